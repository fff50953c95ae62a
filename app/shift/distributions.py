"""Measures over next-token distributions: rank, ties, KL, entropy, top-k. Rows are positions, columns token ids.

Nothing here sorts the vocabulary: a rank is a count, a top-k a partition. All logarithms are natural.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Ints = NDArray[np.int64]

_BLOCK = 64
_STRETCH = 256


class Distribution(NamedTuple):
    """Next-token distributions, one per row: probabilities and their logarithms, both `[T, V]`."""

    p: Floats
    log_p: Floats


def distribution(logits: Floats) -> Distribution:
    """Normalise logits `[T, V]`, keeping their dtype; -inf stays -inf and has probability 0."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    exponentials = np.exp(shifted)
    total = exponentials.sum(axis=-1, keepdims=True, dtype=np.float64)
    exponentials /= total.astype(logits.dtype)
    shifted -= np.log(total).astype(logits.dtype)
    return Distribution(p=exponentials, log_p=shifted)


def log_softmax(logits: Floats) -> Floats:
    """Normalise logits `[T, V]` into log-probabilities of the same shape and dtype; -inf stays -inf."""
    return distribution(logits).log_p


def ranks(scores: Floats, targets: Ints) -> Ints:
    """Rank targets `[T]` in scores `[T, V]`, 1-based: 1 + the number of ids strictly greater.

    Give it logits: normalising in float32 rounds close values together.
    """
    own = np.take_along_axis(scores, targets[:, None], axis=-1)
    greater: Ints = np.count_nonzero(scores > own, axis=-1).astype(np.int64)
    return greater + 1


def ties(scores: Floats, targets: Ints) -> Ints:
    """Count, per row, the *other* ids that share the target's score exactly, `[T]`."""
    own = np.take_along_axis(scores, targets[:, None], axis=-1)
    equal: Ints = np.count_nonzero(scores == own, axis=-1).astype(np.int64)
    return equal - 1


def kl_divergence(p: Distribution, q: Distribution) -> NDArray[np.float64]:
    """KL(p || q) per row in nats over the whole vocabulary, `[T]`; inf where p has mass and q has none.

    Definition: sum of p (ln p - ln q). The rounding of float32 inputs is clipped at 0.
    """
    if _is_finite(p) and _is_finite(q):
        gap = p.log_p - q.log_p
    else:
        # Where p has no mass the term is 0, also where q has none either (0 ln 0 is 0).
        gap = np.subtract(p.log_p, q.log_p, out=np.zeros_like(p.log_p), where=p.p > 0)
    return np.maximum(_expectation(p, gap), 0.0)


def entropy(p: Distribution) -> NDArray[np.float64]:
    """Shannon entropy per row in nats, `[T]`."""
    values = p.log_p if _is_finite(p) else np.where(p.p > 0, p.log_p, 0.0)
    return -_expectation(p, values)


def _is_finite(p: Distribution) -> bool:
    return bool(p.log_p.min() > -np.inf)


def _expectation(p: Distribution, values: Floats) -> NDArray[np.float64]:
    """Sum p times values per row: short stretches in the rows' dtype, their sums in float64.

    One float32 sum over a vocabulary is off by up to 1e-3 nats, depending on the processor's kernel; these, by 2e-5.
    """
    whole = values.shape[-1] // _STRETCH * _STRETCH
    parts = (len(values), -1, _STRETCH)
    # Splitting the last axis copies nothing.
    stretches = np.vecdot(p.p[:, :whole].reshape(parts), values[:, :whole].reshape(parts))
    result: NDArray[np.float64] = stretches.sum(axis=-1, dtype=np.float64)
    result += np.vecdot(p.p[:, whole:], values[:, whole:])
    return result


def top_k(scores: Floats, k: int) -> Ints:
    """Return the ids of the k largest columns per row, descending, equal values by ascending id; `[T, min(k, V)]`.

    The vocabulary is not sorted: the k-th largest of the block maxima bounds the k-th largest value from below, so only
    the few columns at or above it need sorting.
    """
    width = scores.shape[-1]
    k = min(k, width)
    starts = np.arange(0, width, max(1, min(_BLOCK, width // k)))
    maxima = np.maximum.reduceat(scores, starts, axis=-1)
    floors = np.partition(maxima, len(starts) - k, axis=-1)[:, -k]
    ids = np.empty((len(scores), k), dtype=np.int64)
    for t, (row, floor) in enumerate(zip(scores, floors, strict=True)):
        candidates = np.flatnonzero(row >= floor)
        ids[t] = candidates[np.argsort(-row[candidates], kind="stable")[:k]]
    return ids
