"""Judgments seen from a pair of arms: which arm was first, what was said of it, and who said it about which prompt."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.results.report.coded import Ints, used
from app.results.report.tables import CANNOT_JUDGE, LEFT, RIGHT, Judgments, Tables
from app.results.report.values import Number, Numbers, part
from app.stats.estimate import Estimate

Floats = NDArray[np.float64]

TIE = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """The judgments of two arms, of which `first` comes first in the alphabet; `[n]` each, skips left out.

    `score` is 1 where the first arm was preferred, 0 where the second, 0.5 for a tie. `items` and `annotators` number
    clusters from 0; `rows` are places in the tables' judgments. `skipped` counts what could not be judged.
    """

    first: str
    second: str
    rows: Ints
    score: Floats
    first_is_left: NDArray[np.bool_]
    items: Ints
    annotators: Ints
    skipped: int

    @property
    def key(self) -> str:
        """How keys name the pair."""
        return f"{part(self.first)}~{part(self.second)}"


def pairs_of(tables: Tables) -> tuple[Pair, ...]:
    """List the pairs that were judged, or tried, in alphabetical order."""
    judgments = tables.judgments
    low = np.minimum(judgments.left.codes, judgments.right.codes)
    high = np.maximum(judgments.left.codes, judgments.right.codes)
    width = max(1, len(tables.arms))
    return tuple(
        _pair(judgments, int(one) // width, int(one) % width, low, high) for one in np.unique(low * width + high)
    )


def _pair(judgments: Judgments, first: int, second: int, low: Ints, high: Ints) -> Pair:
    ours = np.flatnonzero((low == first) & (high == second))
    rows = ours[judgments.outcome[ours] != CANNOT_JUDGE]
    left = judgments.left.codes[rows] == first
    outcome = judgments.outcome[rows]
    won = np.where(left, outcome == LEFT, outcome == RIGHT)
    lost = np.where(left, outcome == RIGHT, outcome == LEFT)
    return Pair(
        first=judgments.left.names[first],
        second=judgments.left.names[second],
        rows=rows,
        score=np.where(won, 1.0, np.where(lost, 0.0, TIE)),
        first_is_left=left,
        items=used(judgments.item.codes[rows]),
        annotators=used(judgments.annotator.codes[rows]),
        skipped=len(ours) - len(rows),
    )


def number(one: Estimate) -> Number:
    """Show an estimate."""
    return Number(one.value, one.low, one.high, one.n, one.reason)


def put(numbers: Numbers, prefix: str, **found: Number | Estimate) -> None:
    """Add numbers under a common prefix."""
    for name, one in found.items():
        numbers[f"{prefix}.{name}"] = number(one) if isinstance(one, Estimate) else one


Section = Callable[[Tables, tuple[Pair, ...]], Numbers]
