"""The trace of a response: what base and tuned think of each emitted token."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from app.shift import distributions
from app.shift.align import Top, kl_lower_bound
from app.shift.classes import DEFAULT_THRESHOLDS, ShiftClass, classify, near_border
from app.shift.distributions import Floats, Ints

KlKind = Literal["exact", "lower_bound"]

# Rows are compared in blocks of this many numbers: arrays small enough to stay in cache, and to be reused by the
# allocator, are several times faster than ones of a whole response.
_BLOCK_NUMBERS = 2**19


@dataclass(frozen=True, slots=True)
class TokenShift:
    """One emitted token under base and tuned. Log-probabilities, KL and entropy in nats; ranks 1-based.

    `ties` counts other ids base holds exactly equal to this one. None where a number does not exist: the base has never
    seen the id (`base_logprob`, and a KL that would be infinite), or the engine cannot know it (entropies).
    """

    id: int
    base_rank: int
    base_logprob: float | None
    tuned_rank: int
    tuned_logprob: float
    kl_tuned_base: float | None
    kl_base_tuned: float | None
    ties: int
    near_border: bool
    base_entropy: float | None
    tuned_entropy: float | None
    top_base: Top
    top_tuned: Top

    @property
    def shift_class(self) -> ShiftClass:
        """The class under the default thresholds."""
        return classify(self.base_rank)


def from_logits(base: Floats, tuned: Floats, targets: Ints, *, top_k: int, border: float) -> tuple[TokenShift, ...]:
    """Compare full next-token logits `[T, Vb]` and `[T, Vt]` at the emitted ids `[T]`; both KLs are exact.

    A wider tuned vocabulary is allowed: ids the base lacks get no probability there. `border` is in nats.
    """
    width = max(base.shape[-1], tuned.shape[-1])
    rows = max(1, _BLOCK_NUMBERS // width)
    tokens: list[TokenShift] = []
    for start in range(0, len(targets), rows):
        block = slice(start, start + rows)
        base_rows, tuned_rows = _widen(base[block], width), _widen(tuned[block], width)
        tokens += _compare_rows(base_rows, tuned_rows, targets[block], top_k=top_k, border=border)
    return tuple(tokens)


def _compare_rows(base: Floats, tuned: Floats, targets: Ints, *, top_k: int, border: float) -> Iterator[TokenShift]:
    base_rank, ties = distributions.ranks(base, targets), distributions.ties(base, targets)
    tuned_rank = distributions.ranks(tuned, targets)
    p_base, p_tuned = distributions.distribution(base), distributions.distribution(tuned)
    kl_tuned_base = distributions.kl_divergence(p_tuned, p_base)
    kl_base_tuned = distributions.kl_divergence(p_base, p_tuned)
    base_entropy, tuned_entropy = distributions.entropy(p_base), distributions.entropy(p_tuned)
    rows = np.arange(len(targets))
    base_logprob, tuned_logprob = p_base.log_p[rows, targets], p_tuned.log_p[rows, targets]
    # Whether a token is near a border depends on the rivals at that border, however short the lists that are kept.
    top_base = _top(base, p_base, max(top_k, DEFAULT_THRESHOLDS.marginal + 1))
    top_tuned = _top(tuned, p_tuned, top_k)
    return (
        TokenShift(
            id=int(targets[t]),
            base_rank=int(base_rank[t]),
            base_logprob=_finite(base_logprob[t]),
            tuned_rank=int(tuned_rank[t]),
            tuned_logprob=float(tuned_logprob[t]),
            kl_tuned_base=_finite(kl_tuned_base[t]),
            kl_base_tuned=_finite(kl_base_tuned[t]),
            ties=int(ties[t]),
            near_border=near_border(
                float(base_logprob[t]), int(base_rank[t]), tuple(logprob for _, logprob in top_base[t]), border
            ),
            base_entropy=float(base_entropy[t]),
            tuned_entropy=float(tuned_entropy[t]),
            top_base=top_base[t][:top_k],
            top_tuned=top_tuned[t],
        )
        for t in rows
    )


@dataclass(frozen=True, slots=True)
class PartialView:
    """One model's partial view of a position, as a server returns it: the emitted id's values and a top-k list."""

    logprob: float
    server_rank: int
    top: Top

    @property
    def rank(self) -> int:
        """1 + strictly greater among the returned entries; the server's own rank only beyond them."""
        if self.top and self.logprob >= self.top[-1][1]:
            return 1 + sum(logprob > self.logprob for _, logprob in self.top)
        return self.server_rank

    def known(self, token: int, width: int | None) -> dict[int, float]:
        """Log-probabilities of the first `width` entries and of the emitted id, unless that has no mass at all."""
        own = {token: self.logprob} if math.isfinite(self.logprob) else {}
        return dict(self.top[:width]) | own


def from_partial(
    token: int, base: PartialView, tuned: PartialView, *, keep: int, border: float, width: int | None = None
) -> TokenShift:
    """Compare two top-k views of one position; both KLs are proven lower bounds, entropies unknown.

    The bound uses whole lists (`width` entries when given); only the first `keep` are kept in the result.
    """
    log_base, log_tuned = base.known(token, width), tuned.known(token, width)
    top_logprobs = tuple(logprob for _, logprob in base.top)
    return TokenShift(
        id=token,
        base_rank=base.rank,
        base_logprob=base.logprob if token in log_base else None,
        tuned_rank=tuned.rank,
        tuned_logprob=tuned.logprob,
        kl_tuned_base=kl_lower_bound(log_tuned, log_base) if token in log_base else None,
        kl_base_tuned=kl_lower_bound(log_base, log_tuned) if token in log_tuned else None,
        ties=sum(logprob == base.logprob for other, logprob in base.top if other != token),
        near_border=near_border(base.logprob, base.rank, top_logprobs, border),
        base_entropy=None,
        tuned_entropy=None,
        top_base=base.top[:keep],
        top_tuned=tuned.top[:keep],
    )


def _widen(logits: Floats, width: int) -> Floats:
    missing = width - logits.shape[-1]
    if missing <= 0:
        return logits
    return np.pad(logits, ((0, 0), (0, missing)), constant_values=-np.inf)


def _top(logits: Floats, p: distributions.Distribution, k: int) -> list[Top]:
    ids = distributions.top_k(logits, k)
    logprobs = np.take_along_axis(p.log_p, ids, axis=-1)
    return [tuple(zip(*row, strict=True)) for row in zip(ids.tolist(), logprobs.tolist(), strict=True)]


def _finite(value: np.floating) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None
