"""Measures over next-token distributions: rank, ties, KL, entropy, top-k. Rows are positions, columns token ids.

Nothing here sorts the vocabulary: a rank is a count, a top-k a partition. All logarithms are natural.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Ints = NDArray[np.int64]

_BLOCK = 64


def log_softmax(logits: Floats) -> Floats:
    """Normalise logits `[T, V]` into log-probabilities of the same shape and dtype; -inf stays -inf."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    normaliser: Floats = np.log(np.exp(shifted).sum(axis=-1, keepdims=True, dtype=np.float64))
    result: Floats = shifted - normaliser.astype(shifted.dtype)
    return result


class Ranks(NamedTuple):
    """1-based ranks `[T]` and, per position, how many *other* ids share the target's value exactly."""

    rank: Ints
    ties: Ints


def ranks(scores: Floats, targets: Ints) -> Ranks:
    """Rank targets `[T]` in scores `[T, V]`: 1 + the number of ids strictly greater (logits or log-probabilities)."""
    own = np.take_along_axis(scores, targets[:, None], axis=-1)
    greater = (scores > own).sum(axis=-1)
    equal = (scores == own).sum(axis=-1)
    return Ranks(rank=(greater + 1).astype(np.int64), ties=(equal - 1).astype(np.int64))


def kl_divergence(log_p: Floats, log_q: Floats) -> NDArray[np.float64]:
    """KL(p || q) per row in nats over the whole vocabulary, `[T]`; inf where p has mass and q has none.

    Definition: sum of p (ln p - ln q). Summed in float64; the rounding of float32 inputs is clipped at 0.
    """
    # Two ids without mass on either side differ by nan; 0 ln 0 is 0.
    with np.errstate(invalid="ignore"):
        gap = np.where(np.isneginf(log_p), 0.0, log_p - log_q) if np.isneginf(log_q).any() else log_p - log_q
    return np.maximum(_expectation(log_p, gap), 0.0)


def entropy(log_p: Floats) -> NDArray[np.float64]:
    """Shannon entropy per row in nats, `[T]`."""
    return -_expectation(log_p, log_p)


def _expectation(log_p: Floats, values: Floats) -> NDArray[np.float64]:
    if np.isneginf(log_p).any():
        values = np.where(np.isneginf(log_p), 0.0, values)
    result: NDArray[np.float64] = np.einsum("tv,tv->t", np.exp(log_p), values, dtype=np.float64)
    return result


class TopK(NamedTuple):
    """The k most probable ids per row, descending; equal values by ascending id. Both `[T, k]`."""

    ids: Ints
    logprobs: Floats


def top_k(log_p: Floats, k: int) -> TopK:
    """Pick the k largest columns per row without sorting the vocabulary; k is capped at V.

    The k-th largest of the block maxima bounds the k-th largest value from below, so only the few columns at or above
    it need sorting.
    """
    width = log_p.shape[-1]
    k = min(k, width)
    starts = np.arange(0, width, max(1, min(_BLOCK, width // k)))
    maxima = np.maximum.reduceat(log_p, starts, axis=-1)
    floors = np.partition(maxima, len(starts) - k, axis=-1)[:, -k]
    ids = np.empty((len(log_p), k), dtype=np.int64)
    for t, (row, floor) in enumerate(zip(log_p, floors, strict=True)):
        candidates = np.flatnonzero(row >= floor)
        ids[t] = candidates[np.argsort(-row[candidates], kind="stable")[:k]]
    return TopK(ids=ids, logprobs=np.take_along_axis(log_p, ids, axis=-1))
