"""Where annotators disagree most: per item and pair, over which arm won. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from app.monitor.columns import NOBODY, Bools, Floats, Ints, Sheet

TIE = ""


@dataclass(frozen=True, slots=True)
class Disputed:
    """One item and pair that two or more judged: how often each arm won, or (under `TIE`) neither, and the rows.

    `score` is 0 where all agree and 1 where every two annotators preferred opposite arms.
    """

    item_id: str
    pair_id: str
    score: float
    outcomes: Mapping[str, int]
    rows: tuple[int, ...]


def disputed(sheet: Sheet, left_out: Bools, most: int) -> tuple[list[Disputed], int]:
    """List the `most` that regular judgments disagree about most, and count all; both kinds of tie are ties.

    The score is the mean over pairs of annotators: 1 for opposite arms, a half for a tie against an arm, else 0. Rows
    that are `left_out` do not count.
    """
    columns = sheet.columns
    rows = np.flatnonzero(sheet.judged & ~left_out)
    if not len(rows):
        return [], 0
    width = len(columns.pairs)
    cases, case = np.unique(columns.item[rows] * width + columns.pair[rows], return_inverse=True)
    outcomes = len(columns.arms) + 1
    # The last outcome is the tie, because the place of no arm is -1.
    won = np.where(sheet.chosen[rows] == NOBODY, outcomes - 1, sheet.chosen[rows])
    counts = np.bincount(case * outcomes + won, minlength=len(cases) * outcomes).reshape(len(cases), outcomes)
    n = counts.sum(axis=1)
    score = _apart(counts) / np.maximum(n * (n - 1) / 2, 1)
    found = np.flatnonzero(score > 0)
    first = _first(columns.items, columns.pairs, cases[found], score[found], n[found])[:most]
    return [
        Disputed(
            item_id=columns.items[cases[at] // width],
            pair_id=columns.pairs[cases[at] % width],
            score=float(score[at]),
            outcomes={
                TIE if arm == outcomes - 1 else columns.arms[arm]: int(counts[at, arm])
                for arm in np.flatnonzero(counts[at]).tolist()
            },
            rows=tuple(int(row) for row in rows[case == at]),
        )
        for at in found[first]
    ], len(found)


def _apart(counts: Ints) -> Floats:
    """Sum, over every two outcomes, how far apart they are times how many annotators are so."""
    tie = counts.shape[1] - 1
    apart = np.zeros(len(counts))
    for one, other in combinations(range(tie + 1), 2):
        apart += counts[:, one] * counts[:, other] * (0.5 if other == tie else 1.0)
    return apart


def _first(items: Sequence[str], pairs: Sequence[str], cases: Ints, score: Floats, n: Ints) -> Ints:
    width = len(pairs)
    by_item, by_pair = (np.argsort(np.argsort(np.array(ids))) for ids in (items, pairs))
    return np.lexsort((by_pair[cases % width], by_item[cases // width], -n, -score))
