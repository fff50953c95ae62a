"""Rates of events in responses: shares, counts per 100 tokens, paired samples, causal rates, odds ratios.

Rows are whatever was counted (a judged response, a span, a response's tokens); `items` and `annotators` number the
prompt and the person behind each row from 0.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import binomtest, chi2

from app.stats.bootstrap import DRAWS, SEED
from app.stats.clusters import cluster_sums, difference, ratio, sums_interval
from app.stats.estimate import Estimate, Floats, bare, labels, numbers, same_length, undefined
from app.stats.preference import Clustered, clustered, refused
from app.stats.wilson import wilson

_HALF = 0.5


@dataclass(frozen=True, slots=True)
class PairedBinary:
    """Something found in the first and the second response of the same judgments, or not.

    `mcnemar_exact` and `mcnemar_chi2` are two-sided p-values that take judgments as independent; `difference` (first
    share minus second) does not.
    """

    both: int
    only_first: int
    only_second: int
    neither: int
    difference: Clustered
    mcnemar_exact: float | None
    mcnemar_chi2: float | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Share:
    """Share of `found` rows; `wilson`, `shown` and `shown_by` as in a win rate."""

    found: int
    wilson: Estimate
    by_item: Estimate
    by_annotator: Estimate
    shown: Estimate
    shown_by: str


@dataclass(frozen=True, slots=True)
class OddsRatio:
    """Odds of the second property inside the first, against outside.

    `table` is ((inside with, inside without), (outside with, outside without)). `pooled` adds up all tables;
    `stratified` compares within each stratum (Mantel and Haenszel 1959). `corrected` tells that a cell was empty and
    0.5 was added to all four (Haldane 1956; Anscombe 1956).
    """

    table: tuple[tuple[float, float], tuple[float, float]]
    pooled: Estimate
    stratified: Estimate
    corrected: bool


def share(found: ArrayLike, items: ArrayLike, annotators: ArrayLike, *, draws: int = DRAWS, seed: int = SEED) -> Share:
    """Bound the share of rows in which something was found (1) and not (0)."""
    column = _binary("found", found)
    n, part = len(column), int(column.sum())
    both = rate_per(column, np.ones(n), items, annotators, per=1, draws=draws, seed=seed)
    bounds = wilson(part, n)
    alone = Estimate(part / n, *bounds, n) if bounds else undefined("no data")
    shown, by = (both.shown, both.shown_by) if both.shown_by or not n else (alone, "wilson")
    return Share(part, alone, both.by_item, both.by_annotator, shown, by)


def rate_per(
    counts: ArrayLike,
    exposure: ArrayLike,
    items: ArrayLike,
    annotators: ArrayLike,
    *,
    per: float = 100,
    draws: int = DRAWS,
    seed: int = SEED,
) -> Clustered:
    """Bound the sum of counts over the sum of exposures, times `per`: spans per 100 tokens."""
    count, exposed = _counts("counts", counts), _counts("exposure", exposure)
    n = same_length(counts=count, exposure=exposed)
    item, annotator = labels("items", items, n), labels("annotators", annotators, n)
    return clustered((count, exposed), lambda sums: per * ratio(sums), item, annotator, draws=draws, seed=seed)


def rate_difference(
    first: tuple[ArrayLike, ArrayLike],
    second: tuple[ArrayLike, ArrayLike],
    items: ArrayLike,
    annotators: ArrayLike,
    *,
    per: float = 1,
    draws: int = DRAWS,
    seed: int = SEED,
) -> Clustered:
    """Bound first rate minus second, each (counts, exposure) of the same rows; both sides are drawn together."""
    columns = (
        *(_counts(f"first {name}", column) for name, column in zip(("counts", "exposure"), first, strict=True)),
        *(_counts(f"second {name}", column) for name, column in zip(("counts", "exposure"), second, strict=True)),
    )
    n = same_length(**{f"column {at}": column for at, column in enumerate(columns)})
    item, annotator = labels("items", items, n), labels("annotators", annotators, n)
    return clustered(columns, lambda sums: per * difference(sums), item, annotator, draws=draws, seed=seed)


def paired_binary(
    first: ArrayLike,
    second: ArrayLike,
    items: ArrayLike,
    annotators: ArrayLike,
    *,
    draws: int = DRAWS,
    seed: int = SEED,
) -> PairedBinary:
    """Compare how often something was found in two responses of the same judgments, with McNemar's test."""
    one, other = _binary("first", first), _binary("second", second)
    n = same_length(first=one, second=other)
    ones = np.ones(n)
    apart = rate_difference((one, ones), (other, ones), items, annotators, draws=draws, seed=seed)
    both = int((one * other).sum())
    only_first, only_second = int(one.sum()) - both, int(other.sum()) - both
    changed = only_first + only_second
    counts = both, only_first, only_second, n - both - changed
    if not changed:
        reason = "no judgment tells the two apart" if n else "no data"
        return PairedBinary(*counts, apart, None, None, reason)
    exact = float(binomtest(only_first, changed).pvalue)
    return PairedBinary(*counts, apart, exact, float(chi2.sf((only_first - only_second) ** 2 / changed, 1)))


def causal_rate(
    true_hits: ArrayLike,
    true_shown: ArrayLike,
    decoy_hits: ArrayLike,
    decoy_shown: ArrayLike,
    items: ArrayLike,
    annotators: ArrayLike,
    *,
    draws: int = DRAWS,
    seed: int = SEED,
) -> Clustered:
    """Bound the share of shown evidence judged borrowed, minus the share of shown decoys judged borrowed.

    One row per span: how many retrieved instances were shown and how many of them judged borrowed, the same of decoys.
    """
    if not np.sum(np.asarray(true_shown)):
        return refused("no retrieved instance was shown beside a span", np.size(true_shown))
    if not np.sum(np.asarray(decoy_shown)):
        return refused(
            "no decoy was shown beside a span: the rate has nothing to be compared with", np.size(true_shown)
        )
    return rate_difference(
        (true_hits, true_shown), (decoy_hits, decoy_shown), items, annotators, draws=draws, seed=seed
    )


def causal_difference(
    hits_and_shown: tuple[ArrayLike, ArrayLike, ArrayLike, ArrayLike],
    in_first: ArrayLike,
    items: ArrayLike,
    annotators: ArrayLike,
    *,
    draws: int = DRAWS,
    seed: int = SEED,
) -> Clustered:
    """Bound the causal rate of one arm minus another's: columns as in `causal_rate`, `in_first` 1 for the first arm."""
    mine = _binary("in_first", in_first)
    columns = [_counts(f"column {at}", column) for at, column in enumerate(hits_and_shown)]
    n = same_length(in_first=mine, **{f"column {at}": column for at, column in enumerate(columns)})
    item, annotator = labels("items", items, n), labels("annotators", annotators, n)
    parted = tuple(column * mine for column in columns) + tuple(column * (1 - mine) for column in columns)

    def statistic(sums: Floats) -> Floats:
        return np.asarray(difference(sums[..., :4]) - difference(sums[..., 4:]))

    return clustered(parted, statistic, item, annotator, draws=draws, seed=seed)


def odds_ratio(
    inside_with: ArrayLike,
    inside_without: ArrayLike,
    outside_with: ArrayLike,
    outside_without: ArrayLike,
    items: ArrayLike,
    *,
    draws: int = DRAWS,
    seed: int = SEED,
) -> OddsRatio:
    """Bound an odds ratio of counts, one row per stratum (a response): hallucinated or not, shifted or not.

    Intervals draw whole prompts. Pooled, a prompt's own level mixes with the comparison; stratified, it cancels.
    """
    names = ("inside_with", "inside_without", "outside_with", "outside_without")
    columns = tuple(
        _counts(name, column)
        for name, column in zip(names, (inside_with, inside_without, outside_with, outside_without), strict=True)
    )
    n = same_length(**dict(zip(names, columns, strict=True)))
    item = labels("items", items, n)
    cells = [float(column.sum()) for column in columns]
    table = (cells[0], cells[1]), (cells[2], cells[3])
    reason = _empty_side(cells)
    if reason:
        return OddsRatio(table, undefined(reason, n), undefined(reason, n), corrected=False)
    sums = cluster_sums(item, *columns)
    corrected = min(cells) == 0
    if corrected:
        value = float(_corrected_ratio(sums.sum(axis=0)))
        pooled = bare(value, n, "a cell is empty: 0.5 was added to all four, and draws cannot tell how it varies")
    else:
        pooled = sums_interval(sums, _cross_ratio, n=n, draws=draws, seed=seed)
    size = np.maximum(sum(columns), 1.0)
    across = columns[0] * columns[3] / size, columns[1] * columns[2] / size
    if not across[0].sum() or not across[1].sum():
        reason = "no response has a hit and a miss to compare on either side: the stratified ratio has no finite value"
        return OddsRatio(table, pooled, undefined(reason, n), corrected)
    stratified = sums_interval(cluster_sums(item, *across), ratio, n=n, draws=draws, seed=seed)
    return OddsRatio(table, pooled, stratified, corrected)


def _empty_side(cells: list[float]) -> str:
    if not sum(cells):
        return "no data"
    for count, what in (
        (cells[0] + cells[1], "nothing is inside"),
        (cells[2] + cells[3], "nothing is outside"),
        (cells[0] + cells[2], "nothing has the property"),
        (cells[1] + cells[3], "everything has the property"),
    ):
        if not count:
            return f"{what}: there are no odds to compare"
    return ""


def _cross_ratio(sums: Floats) -> Floats:
    # A draw with an empty cell is corrected as the whole would be.
    empty = (sums == 0).any(axis=-1, keepdims=True)
    return _corrected_ratio(np.where(empty, sums, sums - _HALF))


def _corrected_ratio(sums: Floats) -> Floats:
    a, b, c, d = (sums[..., at] + _HALF for at in range(4))
    return np.asarray((a * d) / (b * c))


def _counts(name: str, values: ArrayLike) -> Floats:
    column = numbers(name, values)
    bad = np.flatnonzero(column < 0)
    if bad.size:
        raise ValueError(f"{name} is {column[bad[0]]:g} in row {bad[0]}; counts are not negative.")
    return column


def _binary(name: str, values: ArrayLike) -> Floats:
    column = numbers(name, values)
    bad = np.flatnonzero((column != 0) & (column != 1))
    if bad.size:
        raise ValueError(f"{name} is {column[bad[0]]:g} in row {bad[0]}; give 1 for found or 0 for not found.")
    return column
