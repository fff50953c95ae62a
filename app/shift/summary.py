"""Counts and means over a response, whole and split into its first 5 % and last 95 % of tokens."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from app.shift.classes import DEFAULT_THRESHOLDS, ShiftClass, Thresholds, classify
from app.shift.trace import TokenShift


@dataclass(frozen=True, slots=True)
class Part:
    """Class counts and mean KL (nats per token) of a stretch of tokens; a mean is None where no token has a value."""

    unshifted: int
    marginal: int
    shifted: int
    n: int
    mean_kl_tuned_base: float | None
    mean_kl_base_tuned: float | None


@dataclass(frozen=True, slots=True)
class Summary(Part):
    """A whole response and its two stretches; `first5.n + last95.n == n`."""

    first5: Part
    last95: Part


@dataclass(frozen=True, slots=True)
class Measured:
    """The three numbers of a token that a summary needs."""

    base_rank: int
    kl_tuned_base: float | None = None
    kl_base_tuned: float | None = None


def first_count(n: int) -> int:
    """How many tokens are the first 5 % of n: ceil(n / 20), in integers because 0.05 * 140 rounds up to 8."""
    return -(-n // 20)


def summarise(tokens: Sequence[Measured | TokenShift], thresholds: Thresholds = DEFAULT_THRESHOLDS) -> Summary:
    """Summarise a response from its tokens in order."""
    split = first_count(len(tokens))
    whole = _part(tokens, thresholds)
    return Summary(
        unshifted=whole.unshifted,
        marginal=whole.marginal,
        shifted=whole.shifted,
        n=whole.n,
        mean_kl_tuned_base=whole.mean_kl_tuned_base,
        mean_kl_base_tuned=whole.mean_kl_base_tuned,
        first5=_part(tokens[:split], thresholds),
        last95=_part(tokens[split:], thresholds),
    )


def summarise_ranks(ranks: Sequence[int], thresholds: Thresholds = DEFAULT_THRESHOLDS) -> Summary:
    """Summarise 1-based base ranks alone; the KL means are None."""
    return summarise([Measured(base_rank=rank) for rank in ranks], thresholds)


def _part(tokens: Sequence[Measured | TokenShift], thresholds: Thresholds) -> Part:
    classes = [classify(token.base_rank, thresholds) for token in tokens]
    return Part(
        unshifted=classes.count(ShiftClass.UNSHIFTED),
        marginal=classes.count(ShiftClass.MARGINAL),
        shifted=classes.count(ShiftClass.SHIFTED),
        n=len(tokens),
        mean_kl_tuned_base=_mean([token.kl_tuned_base for token in tokens]),
        mean_kl_base_tuned=_mean([token.kl_base_tuned for token in tokens]),
    )


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None
