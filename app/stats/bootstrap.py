"""Intervals for numbers that come in clusters: whole clusters (prompts) are drawn again, never single tokens.

Percentile bootstrap over clusters (Efron 1979; Davison & Hinkley 1997, section 3.8). A statistic is a function of sums
over clusters, so a draw is only a count per cluster: its sums are `counts @ sums`, and thousands of draws are one
product of matrices.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Statistic = Callable[[Floats], Floats]

DRAWS = 2_000
SEED = 20_240_205
LEVEL = 0.95

# Draws are made in blocks of at most this many indices, so that memory stays small whatever the number of clusters.
_BLOCK = 4_000_000


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its interval, from `n` observations in `clusters` clusters.

    `estimate` is None where the number does not exist; `low` and `high` are None where no interval does. `reason` then
    says why, in words, and is empty otherwise.
    """

    estimate: float | None
    low: float | None
    high: float | None
    n: int
    clusters: int
    draws: int = DRAWS
    seed: int = SEED
    reason: str = ""


def _interval(
    sums: Floats, drawn: Floats | None, statistic: Statistic, facts: tuple[int, int, int], level: float
) -> Interval:
    n, draws, seed = facts
    clusters = len(sums)
    with np.errstate(divide="ignore", invalid="ignore"):
        estimate = float(statistic(sums.sum(axis=0))) if clusters else np.nan
        reason = _reason(estimate, clusters)
        if reason or drawn is None:
            known = estimate if np.isfinite(estimate) else None
            return Interval(known, None, None, n, clusters, draws, seed, reason)
        values = statistic(drawn)
    undefined = int(np.count_nonzero(~np.isfinite(values)))
    if undefined:
        reason = f"undefined in {undefined:,} of {draws:,} draws"
        return Interval(estimate, None, None, n, clusters, draws, seed, reason)
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(estimate, float(low), float(high), n, clusters, draws, seed)


def rate(
    part: Sequence[float] | Floats, whole: Sequence[float] | Floats, *, draws: int = DRAWS, seed: int = SEED
) -> Interval:
    """Interval of sum(part) / sum(whole), one entry of each per cluster; for a mean, pass sums and counts."""
    return rates(_column(part), _column(whole), draws=draws, seed=seed)[0]


def rates(part: Floats, whole: Floats, *, draws: int = DRAWS, seed: int = SEED) -> tuple[Interval, ...]:
    """Intervals of several rates, `[clusters, rates]` each, all from the same draws."""
    return _intervals([part, whole], _ratio, draws=draws, seed=seed)


def paired_difference(
    first: tuple[Sequence[float], Sequence[float]],
    second: tuple[Sequence[float], Sequence[float]],
    *,
    draws: int = DRAWS,
    seed: int = SEED,
) -> Interval:
    """Interval of rate(first) - rate(second), each (part, whole) per cluster; the same clusters, in the same order.

    Both sides are drawn together, so what a prompt does to both cancels.
    """
    columns = [_column(column) for column in (*first, *second)]
    return paired_differences((columns[0], columns[1]), (columns[2], columns[3]), draws=draws, seed=seed)[0]


def paired_differences(
    first: tuple[Floats, Floats], second: tuple[Floats, Floats], *, draws: int = DRAWS, seed: int = SEED
) -> tuple[Interval, ...]:
    """Intervals of several differences, `[clusters, rates]` each, all from the same draws."""
    return _intervals([*first, *second], _difference, draws=draws, seed=seed)


def _intervals(columns: Sequence[Floats], statistic: Statistic, *, draws: int, seed: int) -> tuple[Interval, ...]:
    """Apply one statistic of `len(columns)` sums to every rate, drawing the clusters once."""
    stacked = np.stack([np.asarray(column, dtype=np.float64) for column in columns], axis=-1)
    clusters, several, width = stacked.shape
    flat = stacked.reshape(clusters, several * width)
    # Every second column is a whole: a part counts what is in it, a whole what there is.
    n = stacked[..., 1::2].sum(axis=(0, 2)).astype(np.int64).tolist()
    drawn = _resample(flat, draws, seed).reshape(draws, several, width) if clusters > 1 else None
    return tuple(
        _interval(stacked[:, at], None if drawn is None else drawn[:, at], statistic, (n[at], draws, seed), LEVEL)
        for at in range(several)
    )


def _ratio(sums: Floats) -> Floats:
    return np.asarray(sums[..., 0] / sums[..., 1])


def _difference(sums: Floats) -> Floats:
    return np.asarray(sums[..., 0] / sums[..., 1] - sums[..., 2] / sums[..., 3])


def _column(numbers: Sequence[float] | Floats) -> Floats:
    return np.asarray(numbers, dtype=np.float64)[:, None]


def _reason(estimate: float, clusters: int) -> str:
    if not clusters:
        return "no data"
    if not np.isfinite(estimate):
        return "nothing to divide by"
    if clusters == 1:
        return "one prompt: its own variation says nothing of other prompts"
    return ""


def _resample(sums: Floats, draws: int, seed: int) -> Floats:
    """Draw the clusters with replacement `draws` times; returns the sums `[draws, columns]`."""
    counts = _counts(len(sums), draws, seed)
    rows = max(1, _BLOCK // len(sums))
    blocks = [counts[start : start + rows].astype(np.float64) @ sums for start in range(0, draws, rows)]
    return np.concatenate(blocks)


@lru_cache(maxsize=1)
def _counts(clusters: int, draws: int, seed: int) -> NDArray[np.uint16]:
    """Count how often each draw takes each cluster, `[draws, clusters]`; the arms of one study share their draws."""
    generator = np.random.default_rng(seed)
    rows = max(1, _BLOCK // clusters)
    blocks = []
    for start in range(0, draws, rows):
        count = min(rows, draws - start)
        picked = generator.integers(0, clusters, size=(count, clusters))
        picked += np.arange(count)[:, None] * clusters
        counted = np.bincount(picked.ravel(), minlength=count * clusters).reshape(count, clusters)
        blocks.append(counted.astype(np.uint16))
    return np.concatenate(blocks)
