"""Krippendorff's alpha at four levels of measurement, and how often pairs of judgments agree.

One row per value: `units` number what was judged (a pair of responses, a response) from 0. Units with a single value
say nothing of agreement and are left out, as Krippendorff does; missing values are rows that are not there. Intervals
draw units again, or the `clusters` (prompts) they belong to.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from app.stats.bootstrap import DRAWS, SEED
from app.stats.clusters import (
    Statistic,
    cluster_sums,
    compact,
    draw_sums,
    interval,
    ordered,
    sums_interval,
    sums_intervals,
)
from app.stats.estimate import Estimate, Floats, Ints, labels, numbers, scores, undefined

Level = Literal["nominal", "ordinal", "interval", "ratio"]
LEVELS: tuple[Level, ...] = get_args(Level)

_PAIR = 2
_TIE = 0.5
_MOST_CELLS = 50_000_000
_MOST_ORDERED = 40


@dataclass(frozen=True, slots=True)
class Alpha:
    """Krippendorff's alpha of `n_pairable` values in `units` units; `labels` are the values and how often each came.

    A distribution far from even lowers alpha without lower agreement (the paradox of prevalence): look at `labels`.
    """

    alpha: Estimate
    level: Level
    n_pairable: int
    units: int
    labels: tuple[tuple[float, int], ...]


@dataclass(frozen=True, slots=True)
class PairAgreement:
    """How many of all pairs of judgments of a unit agree.

    `strict`: the same of win, tie and loss. `relaxed`: not opposite, so a tie agrees with anything.
    """

    strict: Estimate
    relaxed: Estimate
    pairs: int
    units: int


def krippendorff(
    values: ArrayLike,
    units: ArrayLike,
    *,
    level: Level,
    clusters: ArrayLike | None = None,
    draws: int = DRAWS,
    seed: int = SEED,
) -> Alpha:
    """Give alpha with its interval. Raises ValueError, naming the row, for NaN and for negative values of a ratio."""
    column = numbers("values", values)
    if level not in LEVELS:
        raise ValueError(f"level is {level!r}; give one of {', '.join(LEVELS)}.")
    if level == "ratio" and (column < 0).any():
        row = int(np.flatnonzero(column < 0)[0])
        raise ValueError(f"values is {column[row]:g} in row {row}; a ratio scale begins at 0.")
    unit = labels("units", units, len(column))
    group = unit if clusters is None else labels("clusters", clusters, len(column))
    found, table, owner = _table(column, unit, group)
    counts = tuple((float(value), int(count)) for value, count in zip(found, table.sum(axis=0), strict=True))
    facts = int(table.sum()), len(table)
    reason = _reason(found, table, len(column))
    if reason:
        return Alpha(undefined(reason, facts[0]), level, *facts, counts)
    bounded = _bounded(level, found, table, owner, clustered=clusters is not None, draws=draws, seed=seed)
    return Alpha(bounded, level, *facts, counts)


def _table(column: Floats, unit: Ints, group: Ints) -> tuple[Floats, Floats, Ints]:
    """Count values by unit: the values that occur, `[units, values]` of units with a pair, and each unit's cluster."""
    place, _ = compact(unit)
    paired = np.bincount(place)[place] >= _PAIR if len(place) else np.zeros(0, dtype=bool)
    # Values are few and rows many: to look each up takes less memory than what `unique` keeps to tell its place.
    found = np.unique(column[paired])
    code = np.searchsorted(found, column[paired])
    place, kept = compact(place[paired])
    if kept * len(found) > _MOST_CELLS:
        raise ValueError(f"{len(found):,} different values in {kept:,} units are too many; round them first.")
    table = np.bincount(place * len(found) + code, minlength=kept * len(found)).reshape(kept, len(found))
    owner = np.zeros(kept, dtype=np.int64)
    owner[place] = group[paired]
    return found, table.astype(np.float64), owner


def _reason(found: Floats, table: Floats, rows: int) -> str:
    if not rows:
        return "no data"
    if not len(table):
        return "no unit has two values, so there is no pair to compare"
    if len(found) == 1:
        return f"unanimous: every value is {found[0]:g}, so there is no disagreement to be expected by chance"
    if len(table) == 1:
        return "one unit: its own disagreement is all that chance could be measured by"
    return ""


def _bounded(
    level: Level, found: Floats, table: Floats, owner: Ints, *, clustered: bool, draws: int, seed: int
) -> Estimate:
    n = int(table.sum())
    if level == "ordinal" and len(found) > _MOST_ORDERED:
        return _many_ordered(table, n, draws, seed)
    columns, statistic = _BY_LEVEL[level](found, table)
    sums = cluster_sums(owner, *columns.T) if clustered else ordered(columns)
    return sums_interval(sums, statistic, n=n, unit="prompt" if clustered else "unit", draws=draws, seed=seed)


def _chance(seen: Floats, expected: Floats, n: Floats) -> Floats:
    """Turn sums of observed and expected squared differences into alpha, 1 - D_o / D_e."""
    return np.asarray(1 - (n - 1) * seen / np.where(expected > 0, expected, np.nan))


def _nominal(_found: Floats, table: Floats) -> tuple[Floats, Statistic]:
    size = table.sum(axis=1)
    seen = (size**2 - (table**2).sum(axis=1)) / (size - 1)

    def statistic(sums: Floats) -> Floats:
        n = sums[..., 1:].sum(axis=-1)
        return _chance(sums[..., 0], n**2 - (sums[..., 1:] ** 2).sum(axis=-1), n)

    return np.column_stack([seen, table]), statistic


def _interval(found: Floats, table: Floats) -> tuple[Floats, Statistic]:
    # Around their middle, large values do not lose their differences.
    middle = found - found.mean()
    size, total, squares = table.sum(axis=1), table @ middle, table @ middle**2
    seen = 2 * (size * squares - total**2) / (size - 1)

    def statistic(sums: Floats) -> Floats:
        n = sums[..., 1]
        return _chance(sums[..., 0], 2 * (n * sums[..., 3] - sums[..., 2] ** 2), n)

    return np.column_stack([seen, size, total, squares]), statistic


def _ratio(found: Floats, table: Floats) -> tuple[Floats, Statistic]:
    both = found[:, None] + found[None, :]
    apart = ((found[:, None] - found[None, :]) / np.where(both > 0, both, 1.0)) ** 2
    seen = ((table @ apart) * table).sum(axis=1) / (table.sum(axis=1) - 1)

    def statistic(sums: Floats) -> Floats:
        counts = sums[..., 1:]
        return _chance(sums[..., 0], ((counts @ apart) * counts).sum(axis=-1), counts.sum(axis=-1))

    return np.column_stack([seen, table]), statistic


def _ordinal(found: Floats, table: Floats) -> tuple[Floats, Statistic]:
    """Square the differences of mid-ranks, which change with every draw: sums are kept by pair of values."""
    first, second = np.triu_indices(len(found), 1)
    seen = 2 * table[:, first] * table[:, second] / (table.sum(axis=1) - 1)[:, None]

    def statistic(sums: Floats) -> Floats:
        counts = sums[..., : len(found)]
        middle = np.cumsum(counts, axis=-1) - counts / 2
        apart = (middle[..., first] - middle[..., second]) ** 2
        observed = (sums[..., len(found) :] * apart).sum(axis=-1)
        expected = (2 * counts[..., first] * counts[..., second] * apart).sum(axis=-1)
        return _chance(observed, expected, counts.sum(axis=-1))

    return np.column_stack([table, seen]), statistic


_BY_LEVEL: dict[Level, Callable[[Floats, Floats], tuple[Floats, Statistic]]] = {
    "nominal": _nominal,
    "ordinal": _ordinal,
    "interval": _interval,
    "ratio": _ratio,
}


def _many_ordered(table: Floats, n: int, draws: int, seed: int) -> Estimate:
    """Bound ordinal alpha of many different values: the mid-ranks of each draw, then interval alpha of these."""
    table = ordered(table)
    size = table.sum(axis=1)

    def alpha_of(counts: Floats, weights: Floats) -> float:
        middle = np.cumsum(counts) - counts / 2
        middle = middle - middle @ counts / counts.sum()
        seen = 2 * (size * (table @ middle**2) - (table @ middle) ** 2) / (size - 1)
        expected = 2 * counts.sum() * (counts @ middle**2)
        return float(_chance(np.asarray(weights @ seen), np.asarray(expected), counts.sum()))

    weights = draw_sums(np.eye(len(table)), draws=draws, seed=seed) if len(table) <= draws else np.zeros((0, 0))
    value = alpha_of(table.sum(axis=0), np.ones(len(table)))
    if not len(weights):
        reason = f"more than {_MOST_ORDERED} different values in {len(table):,} units are not drawn again"
        return Estimate(value, None, None, n, reason)
    drawn = np.array([alpha_of(row @ table, row) for row in weights])
    return interval(value, drawn, len(table), n, unit="unit")


def pair_agreement(
    first_scores: ArrayLike,
    units: ArrayLike,
    *,
    clusters: ArrayLike | None = None,
    draws: int = DRAWS,
    seed: int = SEED,
) -> PairAgreement:
    """Give the share of agreeing pairs of judgments, strictly and relaxed; scores are 1, 0.5 or 0 as in a win rate."""
    column = scores("scores", first_scores)
    unit = labels("units", units, len(column))
    group = unit if clusters is None else labels("clusters", clusters, len(column))
    place, _ = compact(unit)
    won, tied, lost = (np.bincount(place, weights=column == at) for at in (1, _TIE, 0))
    size = won + tied + lost
    pairs = size * (size - 1) / 2
    same = (won * (won - 1) + tied * (tied - 1) + lost * (lost - 1)) / 2
    number, used = int(pairs.sum()), int(np.count_nonzero(pairs))
    if not number:
        none = undefined("no unit has two judgments" if len(column) else "no data")
        return PairAgreement(none, none, 0, 0)
    owner = np.zeros(len(size), dtype=np.int64)
    owner[place] = group
    sums = cluster_sums(owner[pairs > 0], *(one[pairs > 0] for one in (same, pairs - won * lost, pairs)))
    word = "unit" if clusters is None else "prompt"

    shares = lambda total: total[..., 0] / total[..., 2], lambda total: total[..., 1] / total[..., 2]
    strict, relaxed = sums_intervals(sums, shares, n=number, unit=word, draws=draws, seed=seed)
    return PairAgreement(strict, relaxed, number, used)
