"""Ratings on an ordered scale: mean and distribution of one arm, and the paired difference between two.

A judgment rates both responses of an item, so differences are taken within judgments; tests and effect sizes use one
mean difference per prompt, because judgments of the same prompt are not independent.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata, wilcoxon

from app.stats.bootstrap import DRAWS, SEED
from app.stats.clusters import PROMPT, cluster_sums, ordered, ratio, sums_interval
from app.stats.estimate import Estimate, Floats, Ints, labels, numbers, same_length, undefined
from app.stats.preference import Clustered, clustered

_EXACT_UP_TO = 50
_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Ratings:
    """One arm on one dimension: the mean, and how often each level of the scale was given."""

    mean: Clustered
    levels: tuple[int, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Wilcoxon:
    """Signed-rank test of the prompts' mean differences; zeros are left out, `prompts` counts the rest."""

    statistic: float | None
    p_value: float | None
    prompts: int
    zeros: int
    exact: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class PairedRatings:
    """First arm minus second on one dimension.

    `better`, `equal` and `worse` count judgments. `rank_biserial` = (sum of positive ranks - sum of negative ranks) /
    sum of ranks; `d_z` = mean / standard deviation of the prompts' differences.
    """

    difference: Clustered
    better: int
    equal: int
    worse: int
    wilcoxon: Wilcoxon
    rank_biserial: Estimate
    d_z: Estimate


def ratings(
    values: ArrayLike,
    items: ArrayLike,
    annotators: ArrayLike,
    *,
    levels: tuple[int, ...] = (1, 2, 3, 4, 5),
    draws: int = DRAWS,
    seed: int = SEED,
) -> Ratings:
    """Summarise one arm's ratings. Raises ValueError, naming the row, for a value that is not on the scale."""
    column = numbers("values", values)
    item, annotator = labels("items", items, len(column)), labels("annotators", annotators, len(column))
    bad = np.flatnonzero(~np.isin(column, levels))
    if bad.size:
        raise ValueError(f"values is {column[bad[0]]:g} in row {bad[0]}; the scale is {', '.join(map(str, levels))}.")
    mean = clustered((column, np.ones(len(column))), ratio, item, annotator, draws=draws, seed=seed)
    return Ratings(mean, levels, tuple(int(np.count_nonzero(column == level)) for level in levels))


def paired_ratings(
    first: ArrayLike,
    second: ArrayLike,
    items: ArrayLike,
    annotators: ArrayLike,
    *,
    draws: int = DRAWS,
    seed: int = SEED,
) -> PairedRatings:
    """Compare two arms rated in the same judgments, row by row."""
    one, other = numbers("first", first), numbers("second", second)
    n = same_length(first=one, second=other)
    item, annotator = labels("items", items, n), labels("annotators", annotators, n)
    apart = one - other
    difference = clustered((apart, np.ones(n)), ratio, item, annotator, draws=draws, seed=seed)
    prompts = prompt_means(apart, item)
    return PairedRatings(
        difference,
        int(np.count_nonzero(apart > 0)),
        int(np.count_nonzero(apart == 0)),
        int(np.count_nonzero(apart < 0)),
        signed_rank(prompts),
        _rank_biserial(prompts, draws, seed),
        _d_z(prompts, draws, seed),
    )


def prompt_means(apart: Floats, items: Ints) -> Floats:
    """Give each prompt's mean difference, sorted; equal ones are equal to the last digit."""
    sums = cluster_sums(items, apart, np.ones(len(apart)))
    return np.sort(np.round(sums[:, 0] / sums[:, 1], _DIGITS) + 0.0)


def signed_rank(apart: Floats) -> Wilcoxon:
    """Test by Wilcoxon's signed ranks whether differences lie around zero, two-sided.

    Exact for up to 50 differences without zeros and ties; else normal, with correction for ties.
    """
    used = apart[apart != 0]
    zeros = len(apart) - len(used)
    if not len(used):
        reason = "every prompt's difference is zero" if zeros else "no data"
        return Wilcoxon(None, None, 0, zeros, exact=False, reason=reason)
    exact = len(used) <= _EXACT_UP_TO and not zeros and len(np.unique(np.abs(used))) == len(used)
    found = wilcoxon(used, method="exact" if exact else "asymptotic", correction=False)
    return Wilcoxon(float(found.statistic), float(found.pvalue), len(used), zeros, exact=exact)


def _rank_biserial(apart: Floats, draws: int, seed: int) -> Estimate:
    used = apart[apart != 0]
    if not len(used):
        return undefined("every prompt's difference is zero" if len(apart) else "no data", len(apart))
    ranks = rankdata(np.abs(used))
    signed = np.where(used > 0, ranks, -ranks)
    # The ranks stay those of the whole sample; a draw weighs them by how often it takes each prompt.
    zeros = np.zeros((len(apart) - len(used), 2))
    sums = ordered(np.concatenate([np.stack([signed, ranks], axis=1), zeros]))
    return sums_interval(sums, ratio, n=len(apart), unit=PROMPT, draws=draws, seed=seed)


def _d_z(apart: Floats, draws: int, seed: int) -> Estimate:
    n = len(apart)
    if not n:
        return undefined("no data")
    if n == 1:
        return undefined("one prompt: its differences have no standard deviation", 1)
    if apart[0] == apart[-1]:
        return undefined(f"no variation between the {n:,} prompts: the standard deviation is zero", n)
    sums = np.stack([apart - apart.mean(), (apart - apart.mean()) ** 2, np.ones(n)], axis=1)
    middle = float(apart.mean())

    def statistic(total: Floats) -> Floats:
        count = total[..., 2]
        shift = total[..., 0] / count
        spread = (total[..., 1] - count * shift**2) / (count - 1)
        return np.asarray(np.where(spread > 0, (middle + shift) / np.sqrt(np.where(spread > 0, spread, 1.0)), np.nan))

    return sums_interval(sums, statistic, n=n, unit=PROMPT, draws=draws, seed=seed)
