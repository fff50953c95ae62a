"""Intervals that draw whole clusters (prompts, annotators, responses) again, never single judgments.

Every statistic here is a function of sums over clusters, so a million rows become one row of sums per cluster, a draw
is a count per cluster, and all draws are one product of matrices. Bounds are percentiles of the draws, corrected for
bias and skewness (BCa; Efron 1987) and moved outwards as t is wider than normal, or few clusters would make them too
narrow (Hesterberg 2015, "expanded percentile"). Beyond 2,000 clusters, clusters are put together at random into 2,000
groups, which are then drawn (random groups; Wolter 2007).

Results do not depend on the order of the rows, nor on how clusters are numbered.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtrit

from app.stats.bootstrap import DRAWS, SEED
from app.stats.estimate import Estimate, Floats, Ints, bare, undefined

Statistic = Callable[[Floats], Floats]

_GROUPS = 2_000
_TAIL = 0.975
_SAME = 1e-12
PROMPT, ANNOTATOR = "prompt", "annotator"


def cluster_sums(clusters: Ints, *columns: Floats) -> Floats:
    """Add up columns within each cluster that has rows, `[clusters, columns]`, in an order of the sums' own."""
    codes, count = compact(clusters)
    sums = np.stack([_sums(codes, column, count) for column in columns], axis=1)
    return ordered(sums)


def cell_sums(clusters: Ints, cells: Ints, count: int, *columns: Floats) -> Floats:
    """Add up columns within each cluster and cell, `[clusters, columns * count]`, as `cluster_sums` orders them.

    The columns must hold whole and half numbers, whose sums are exact.
    """
    codes, size = compact(clusters)
    place = codes * count + cells
    sums = [np.bincount(place, weights=column, minlength=size * count).reshape(size, count) for column in columns]
    return ordered(np.concatenate(sums, axis=1))


def ordered(sums: Floats) -> Floats:
    """Sort clusters by their sums, so that draws do not depend on how clusters are numbered."""
    return np.asarray(sums[np.lexsort(sums.T[::-1])])


def compact(clusters: Ints) -> tuple[Ints, int]:
    """Number the clusters that occur from 0 without gaps; returns the numbers and how many there are."""
    if not clusters.size:
        return clusters, 0
    top = int(clusters.max()) + 1
    if top > 4 * clusters.size + 1000:
        found, codes = np.unique(clusters, return_inverse=True)
        return codes.astype(np.int64), len(found)
    present = np.bincount(clusters, minlength=top) > 0
    return (np.cumsum(present) - 1)[clusters], int(present.sum())


def _sums(codes: Ints, column: Floats, count: int) -> Floats:
    # Halves add up exactly in any order.
    if np.array_equal(column * 2, np.rint(column * 2)):
        return np.asarray(np.bincount(codes, weights=column, minlength=count), dtype=np.float64)
    # Other numbers are parted into whole multiples of two powers of two, which do so too; to sort takes longer.
    room = 52 - len(column).bit_length()
    scale = room - int(np.frexp(np.abs(column).max())[1])
    scaled = np.ldexp(column, scale)
    whole = np.rint(scaled)
    rest = np.rint(np.ldexp(scaled - whole, room))
    sums, rests = (np.bincount(codes, weights=one, minlength=count) for one in (whole, rest))
    return np.asarray(np.ldexp(sums + np.ldexp(rests, -room), -scale), dtype=np.float64)


def draw_sums(sums: Floats, *, draws: int = DRAWS, seed: int = SEED) -> Floats:
    """Draw the clusters with replacement `draws` times; returns the sums of each draw, `[draws, columns]`."""
    return np.asarray(_counts(len(sums), draws, seed).astype(np.float64) @ sums)


def grouped(sums: Floats, seed: int = SEED) -> Floats:
    """Put more than 2,000 clusters together at random into 2,000 groups of nearly the same size."""
    if len(sums) <= _GROUPS:
        return sums
    shuffled = sums[np.random.default_rng(seed).permutation(len(sums))]
    starts = np.linspace(0, len(sums), _GROUPS, endpoint=False).astype(np.int64)
    parts: Floats = np.add.reduceat(shuffled, starts)
    return parts


@lru_cache(maxsize=4)
def _counts(clusters: int, draws: int, seed: int) -> NDArray[np.uint16]:
    """Count how often each draw takes each cluster, `[draws, clusters]`."""
    picked = np.random.default_rng(seed).integers(0, clusters, size=(draws, clusters))
    picked += np.arange(draws)[:, None] * clusters
    return np.bincount(picked.ravel(), minlength=draws * clusters).reshape(draws, clusters).astype(np.uint16)


def interval(
    value: float, drawn: Floats, clusters: int, n: int, *, unit: str = PROMPT, left_out: Floats | None = None
) -> Estimate:
    """Bound a value by its draws; a draw that is NaN counts against both ends, an infinite one against its own.

    `left_out` holds the value without each cluster, for the correction of skewness. Gives no bounds, and says why in
    `reason`, for one cluster, for draws that do not vary, and where draws without a number reach the bounds.
    """
    if not np.isfinite(value):
        return undefined("nothing to divide by", n)
    if clusters < 2:  # noqa: PLR2004  one cluster has no variation
        return bare(value, n, f"one {unit}: its own variation says nothing of other {unit}s")
    known = ~np.isnan(drawn)
    below, above = _tails(value, drawn[known], clusters, left_out)
    low = float(np.quantile(np.where(known, drawn, -np.inf), below, method="lower"))
    high = float(np.quantile(np.where(known, drawn, np.inf), above, method="higher"))
    if not np.isfinite(low) or not np.isfinite(high):
        lost = int(np.count_nonzero(~np.isfinite(drawn)))
        return bare(value, n, f"undefined in {lost:,} of {len(drawn):,} draws of the {clusters:,} {unit}s")
    if high - low <= _SAME * max(1.0, abs(value)):
        return bare(value, n, f"no variation between the {clusters:,} {unit}s: drawing them again says nothing")
    return Estimate(float(value), min(low, float(value)), max(high, float(value)), n)


def _tails(value: float, drawn: Floats, clusters: int, left_out: Floats | None) -> tuple[float, float]:
    """Give the shares of draws below each bound."""
    spread = np.sqrt(clusters / (clusters - 1)) * stdtrit(clusters - 1, _TAIL)
    if left_out is None or not len(drawn) or not np.isfinite(left_out).all():
        return float(ndtr(-spread)), float(ndtr(spread))
    same = np.abs(drawn - value) <= _SAME * max(1.0, abs(value))
    share = (np.count_nonzero((drawn < value) & ~same) + np.count_nonzero(same) / 2) / len(drawn)
    bias = float(ndtri(np.clip(share, 0.5 / len(drawn), 1 - 0.5 / len(drawn))))
    pull = left_out.mean() - left_out
    size = float((pull**2).sum())
    skew = float((pull**3).sum()) / (6 * size**1.5) if size > _SAME**2 else 0.0
    return _corrected(bias, skew, bias - spread), _corrected(bias, skew, bias + spread)


def _corrected(bias: float, skew: float, at: float) -> float:
    shrink = 1 - skew * at
    if shrink <= 0:
        return float(at > 0)
    return float(ndtr(bias + at / shrink))


def sums_interval(
    sums: Floats, statistic: Statistic, *, n: int, unit: str = PROMPT, draws: int = DRAWS, seed: int = SEED
) -> Estimate:
    """Bound a statistic of sums, given the sums of each cluster `[clusters, columns]`."""
    return sums_intervals(sums, (statistic,), n=n, unit=unit, draws=draws, seed=seed)[0]


def sums_intervals(
    sums: Floats, statistics: Sequence[Statistic], *, n: int, unit: str = PROMPT, draws: int = DRAWS, seed: int = SEED
) -> tuple[Estimate, ...]:
    """Bound several statistics of the same sums by the same draws."""
    if not len(sums):
        return tuple(undefined("no data") for _ in statistics)
    total = sums.sum(axis=0)
    parts = grouped(sums, seed)
    drawn = draw_sums(parts, draws=draws, seed=seed) if len(sums) > 1 else None
    found = []
    with np.errstate(divide="ignore", invalid="ignore"):
        for statistic in statistics:
            value = float(statistic(total))
            if drawn is None:
                found.append(interval(value, np.empty(0), 1, n, unit=unit))
            else:
                left_out = statistic(total - parts)
                found.append(interval(value, statistic(drawn), len(sums), n, unit=unit, left_out=left_out))
    return tuple(found)


def cluster_interval(
    columns: tuple[Floats, ...],
    clusters: Ints,
    statistic: Statistic,
    *,
    unit: str = PROMPT,
    draws: int = DRAWS,
    seed: int = SEED,
) -> Estimate:
    """Bound a statistic of sums, given the rows: `statistic` turns sums `[..., columns]` into values `[...]`."""
    if not clusters.size:
        return undefined("no data")
    sums = cluster_sums(clusters, *columns)
    return sums_interval(sums, statistic, n=clusters.size, unit=unit, draws=draws, seed=seed)


def ratio(sums: Floats) -> Floats:
    """Divide the first sum by the second."""
    return np.asarray(sums[..., 0] / sums[..., 1])


def difference(sums: Floats) -> Floats:
    """Subtract the second ratio (third and fourth sums) from the first."""
    return np.asarray(sums[..., 0] / sums[..., 1] - sums[..., 2] / sums[..., 3])
