"""Who was preferred: win rates with intervals that know of clusters, ties three ways, strength, alpaca_eval's mean.

Scores are 1 where the first arm won, 0.5 for a tie and 0 where it lost; `items` and `annotators` number the prompt and
the person of each judgment from 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from app.stats.bootstrap import DRAWS, SEED
from app.stats.clusters import ANNOTATOR, PROMPT, Statistic, cluster_sums, ratio, sums_intervals
from app.stats.estimate import (
    Estimate,
    Floats,
    Ints,
    bare,
    labels,
    numbers,
    scores,
    undefined,
    wider,
    width,
)
from app.stats.wilson import wilson

_TIE = 0.5
_STRONGEST = 3


@dataclass(frozen=True, slots=True)
class Clustered:
    """One number with its interval by prompt and by annotator; `shown` is the wider, `shown_by` names it."""

    by_item: Estimate
    by_annotator: Estimate
    shown: Estimate
    shown_by: str


@dataclass(frozen=True, slots=True)
class WinRate:
    """Share of the first arm's wins, a tie as half a win each way.

    `wilson` takes judgments as independent, which they are not; `shown` is the wider of the clustered intervals, and
    Wilson's only where neither exists. `shown_by` is `prompt`, `annotator`, `wilson` or empty.
    """

    wins: int
    losses: int
    ties: int
    wilson: Estimate
    by_item: Estimate
    by_annotator: Estimate
    shown: Estimate
    shown_by: str


@dataclass(frozen=True, slots=True)
class Ties:
    """The three ways to read ties, side by side."""

    half: WinRate
    dropped: WinRate
    davidson: "Davidson"


@dataclass(frozen=True, slots=True)
class Davidson:
    """Two arms under Davidson's model: `win_rate` = p1 / (p1 + p2), and `tie` = nu, with P(tie) ~ nu sqrt(p1 p2).

    For two arms the maximum is exact: p1 / p2 = wins / losses and nu = ties / sqrt(wins * losses).
    """

    win_rate: Estimate
    tie: Estimate


@dataclass(frozen=True, slots=True)
class Strength:
    """How strongly: counts of -3..3 (positive for the first arm, 0 a tie) and their mean."""

    counts: tuple[int, ...]
    mean: Clustered


@dataclass(frozen=True, slots=True)
class MeanPreference:
    """As alpaca_eval prints it: percent, with the standard error of the mean over judgments."""

    win_rate: float | None
    standard_error: float | None
    n_wins: int
    n_draws: int
    n_losses: int
    n_total: int
    reason: str = ""


def refused(reason: str, n: int) -> Clustered:
    """Say why a number does not exist, in every place it would stand."""
    none = undefined(reason, n)
    return Clustered(none, none, none, "")


def clustered(
    columns: tuple[Floats, ...],
    statistic: Statistic,
    items: Ints,
    annotators: Ints,
    *,
    draws: int = DRAWS,
    seed: int = SEED,
) -> Clustered:
    """Bound one statistic of sums by prompt and by annotator; the wider one is shown."""
    return clustered_all(columns, (statistic,), items, annotators, draws=draws, seed=seed)[0]


def clustered_all(
    columns: tuple[Floats, ...],
    statistics: Sequence[Statistic],
    items: Ints,
    annotators: Ints,
    *,
    draws: int = DRAWS,
    seed: int = SEED,
) -> tuple[Clustered, ...]:
    """Bound several statistics of the same sums by prompt and by annotator."""
    n = items.size
    if not n:
        return tuple(refused("no data", 0) for _ in statistics)
    by_item, by_annotator = (
        sums_intervals(cluster_sums(groups, *columns), statistics, n=n, unit=unit, draws=draws, seed=seed)
        for groups, unit in ((items, PROMPT), (annotators, ANNOTATOR))
    )
    return tuple(choose(one, other) for one, other in zip(by_item, by_annotator, strict=True))


def choose(by_item: Estimate, by_annotator: Estimate) -> Clustered:
    """Show the wider of two intervals of one number."""
    shown = wider(by_item, by_annotator)
    if width(shown) < 0 and shown.value is not None:
        both = dict.fromkeys((by_item.reason, by_annotator.reason))
        return Clustered(by_item, by_annotator, bare(shown.value, shown.n, "; ".join(both)), "")
    by = "" if width(shown) < 0 else ANNOTATOR if shown is by_annotator else PROMPT
    return Clustered(by_item, by_annotator, shown, by)


def win_rate(
    first_scores: ArrayLike, items: ArrayLike, annotators: ArrayLike, *, draws: int = DRAWS, seed: int = SEED
) -> WinRate:
    """Give the share of wins, a tie as half a win, with Wilson's and the clustered intervals.

    Raises ValueError, naming the row, for a score that is not 1, 0.5 or 0.
    """
    column = scores("scores", first_scores)
    item, annotator = labels("items", items, len(column)), labels("annotators", annotators, len(column))
    wins, losses = int(np.count_nonzero(column == 1)), int(np.count_nonzero(column == 0))
    ties = len(column) - wins - losses
    alone = _wilson(wins + ties / 2, len(column))
    both = clustered((column, np.ones(len(column))), ratio, item, annotator, draws=draws, seed=seed)
    if both.shown_by or not len(column):
        shown, by = both.shown, both.shown_by
    else:
        shown, by = alone, "wilson"
    return WinRate(wins, losses, ties, alone, both.by_item, both.by_annotator, shown, by)


def _wilson(wins: float, n: int) -> Estimate:
    bounds = wilson(wins, n)
    return Estimate(wins / n, *bounds, n) if bounds else undefined("no data")


def without_ties(
    first_scores: ArrayLike, items: ArrayLike, annotators: ArrayLike, *, draws: int = DRAWS, seed: int = SEED
) -> WinRate:
    """Give the share of wins among decisive judgments; undefined, saying so, where every judgment is a tie."""
    column = scores("scores", first_scores)
    item, annotator = labels("items", items, len(column)), labels("annotators", annotators, len(column))
    decisive = column != _TIE
    if len(column) and not decisive.any():
        none = undefined("every judgment is a tie: none is left when ties are dropped")
        return WinRate(0, 0, 0, none, none, none, none, "")
    return win_rate(column[decisive], item[decisive], annotator[decisive], draws=draws, seed=seed)


def davidson(
    first_scores: ArrayLike, items: ArrayLike, annotators: ArrayLike, *, draws: int = DRAWS, seed: int = SEED
) -> Davidson:
    """Fit Davidson's model of ties to one pair of arms."""
    column = scores("scores", first_scores)
    n = len(column)
    item, annotator = labels("items", items, n), labels("annotators", annotators, n)
    won, lost = (column == 1).astype(np.float64), (column == 0).astype(np.float64)
    reason = _davidson_reason(int(won.sum()), int(lost.sum()), n)
    if reason:
        return Davidson(undefined(reason, n), undefined(reason, n))
    columns = (won, lost, (column == _TIE).astype(np.float64))
    rate, tie = clustered_all(columns, (_decisive_share, _tie_parameter), item, annotator, draws=draws, seed=seed)
    return Davidson(rate.shown, tie.shown)


def _davidson_reason(wins: int, losses: int, n: int) -> str:
    if not n:
        return "no data"
    if not wins and not losses:
        return "every judgment is a tie: the strengths have no finite estimate"
    if not wins or not losses:
        never = "won" if not wins else "lost"
        return f"the first arm never {never}: the strengths have no finite estimate"
    return ""


def _decisive_share(sums: Floats) -> Floats:
    return np.asarray(sums[..., 0] / (sums[..., 0] + sums[..., 1]))


def _tie_parameter(sums: Floats) -> Floats:
    return np.asarray(sums[..., 2] / np.sqrt(sums[..., 0] * sums[..., 1]))


def ties_three_ways(
    first_scores: ArrayLike, items: ArrayLike, annotators: ArrayLike, *, draws: int = DRAWS, seed: int = SEED
) -> Ties:
    """Read ties as half a win, leave them out, and model them, from the same judgments."""
    return Ties(
        win_rate(first_scores, items, annotators, draws=draws, seed=seed),
        without_ties(first_scores, items, annotators, draws=draws, seed=seed),
        davidson(first_scores, items, annotators, draws=draws, seed=seed),
    )


def strength(
    signed: ArrayLike, items: ArrayLike, annotators: ArrayLike, *, draws: int = DRAWS, seed: int = SEED
) -> Strength:
    """Count strengths of -3..3, positive for the first arm and 0 for a tie, and bound their mean.

    Raises ValueError, naming the row, for anything else.
    """
    column = numbers("signed", signed)
    bad = np.flatnonzero((column != np.rint(column)) | (np.abs(column) > _STRONGEST))
    if bad.size:
        raise ValueError(f"signed is {column[bad[0]]:g} in row {bad[0]}; give a whole number from -3 to 3.")
    item, annotator = labels("items", items, len(column)), labels("annotators", annotators, len(column))
    counts = np.bincount(column.astype(np.int64) + _STRONGEST, minlength=2 * _STRONGEST + 1)
    mean = clustered((column, np.ones(len(column))), ratio, item, annotator, draws=draws, seed=seed)
    return Strength(tuple(counts.tolist()), mean)


def mean_preference(first_scores: ArrayLike) -> MeanPreference:
    """Give the mean preference and its standard error over judgments, in percent, as alpaca_eval does."""
    column = scores("scores", first_scores)
    n, wins, losses = len(column), int(np.count_nonzero(column == 1)), int(np.count_nonzero(column == 0))
    counts = wins, n - wins - losses, losses, n
    if not n:
        return MeanPreference(None, None, *counts, "no data")
    mean = float(column.sum() / n)
    if n == 1:
        return MeanPreference(100 * mean, None, *counts, "one judgment has no standard error")
    # Around a mean of halves the squares add up in another order for another order of rows: count them instead.
    squares = wins * (1 - mean) ** 2 + counts[1] * (_TIE - mean) ** 2 + losses * mean**2
    return MeanPreference(100 * mean, 100 * float(np.sqrt(squares / (n - 1) / n)), *counts)
