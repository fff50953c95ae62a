"""Two readings of the same tokens by one checkpoint, its base given another prompt: which classes changed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from app.shift.classes import DEFAULT_THRESHOLDS, ShiftClass, Thresholds, classify
from app.shift.trace import TokenShift

CLASSES = tuple(ShiftClass)


@dataclass(frozen=True, slots=True)
class Change:
    """A token whose class is not what it was. Ranks are base ranks, 1-based; `index` counts from 0."""

    index: int
    before: ShiftClass
    after: ShiftClass
    rank_before: int
    rank_after: int


@dataclass(frozen=True, slots=True)
class Changes:
    """`table[before][after]` counts tokens in the order of `CLASSES`; KL(tuned ‖ base) in nats, means per token.

    A mean is None where no token has a value.
    """

    n: int
    table: tuple[tuple[int, ...], ...]
    changed: tuple[Change, ...]
    kl_before: float | None
    kl_after: float | None


def class_changes(
    before: Sequence[TokenShift], after: Sequence[TokenShift], thresholds: Thresholds = DEFAULT_THRESHOLDS
) -> Changes:
    """Compare two readings token by token. Raises ValueError when they are not of the same number of tokens."""
    counts = {(row, column): 0 for row in CLASSES for column in CLASSES}
    changed = []
    for index, (old, new) in enumerate(zip(before, after, strict=True)):
        was, now = classify(old.base_rank, thresholds), classify(new.base_rank, thresholds)
        counts[was, now] += 1
        if was is not now:
            changed.append(Change(index, was, now, old.base_rank, new.base_rank))
    return Changes(
        n=len(before),
        table=tuple(tuple(counts[row, column] for column in CLASSES) for row in CLASSES),
        changed=tuple(changed),
        kl_before=_mean_kl(before),
        kl_after=_mean_kl(after),
    )


def _mean_kl(tokens: Sequence[TokenShift]) -> float | None:
    known = [token.kl_tuned_base for token in tokens if token.kl_tuned_base is not None]
    return math.fsum(known) / len(known) if known else None
