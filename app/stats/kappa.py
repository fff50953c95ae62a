"""Kappa: of two annotators (Cohen 1960, 1968), of each pair of them, and of equally many per unit (Fleiss 1971)."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from app.stats.bootstrap import DRAWS, SEED
from app.stats.clusters import ordered, sums_interval
from app.stats.estimate import Estimate, Floats, Ints, bare, labels, numbers, same_length, undefined

Weights = Literal["none", "linear", "quadratic"]

_Z = 1.959963984540054
_PAIR = 2


@dataclass(frozen=True, slots=True)
class Kappa:
    """Agreement of two annotators beyond chance, with the standard error of Fleiss, Cohen and Everitt (1969).

    `table[i][j]` counts units that the first gave `scale[i]` and the second `scale[j]`.
    """

    kappa: Estimate
    standard_error: float | None
    agreement: float | None
    scale: tuple[float, ...]
    table: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class PairKappa:
    """Kappa of two annotators over the `shared` units that both judged."""

    first: int
    second: int
    shared: int
    kappa: Estimate


def cohen(
    first: ArrayLike, second: ArrayLike, *, weights: Weights = "none", scale: tuple[float, ...] | None = None
) -> Kappa:
    """Give Cohen's kappa of two annotators, row by row; weights go by place on the scale, which may hold unused levels.

    Raises ValueError, naming the row, for a value that is not on the scale.
    """
    one, other = numbers("first", first), numbers("second", second)
    same_length(first=one, second=other)
    levels = np.unique(np.concatenate([one, other])) if scale is None else np.asarray(scale, dtype=np.float64)
    for name, column in (("first", one), ("second", other)):
        bad = np.flatnonzero(~np.isin(column, levels))
        if bad.size:
            raise ValueError(f"{name} is {column[bad[0]]:g} in row {bad[0]}, which is not on the scale.")
    table = np.zeros((len(levels), len(levels)))
    np.add.at(table, (np.searchsorted(levels, one), np.searchsorted(levels, other)), 1)
    return of_table(table, weights=weights, scale=tuple(levels.tolist()))


def of_table(table: ArrayLike, *, weights: Weights = "none", scale: tuple[float, ...] = ()) -> Kappa:
    """Give Cohen's kappa of a square table of counts."""
    counts = np.asarray(table, dtype=np.float64)
    n = int(counts.sum())
    shown = tuple(tuple(int(count) for count in row) for row in counts)
    if not n:
        return Kappa(undefined("no unit was judged by both"), None, None, scale, shown)
    share = counts / n
    rows, columns = share.sum(axis=1), share.sum(axis=0)
    credit = _credit(len(counts), weights)
    seen = float((share * credit).sum())
    chance = float(rows @ credit @ columns)
    if 1 - chance <= 1e-12:  # noqa: PLR2004  nothing but rounding is left
        reason = "both gave one and the same label throughout, so there is no disagreement to be expected by chance"
        return Kappa(undefined(reason, n), None, seen, scale, shown)
    kappa = (seen - chance) / (1 - chance)
    pull = (credit @ columns)[:, None] + (rows @ credit)[None, :]
    spread = float((share * (credit - pull * (1 - kappa)) ** 2).sum()) - (kappa - chance * (1 - kappa)) ** 2
    if spread <= 1e-13:  # noqa: PLR2004  as above
        reason = "the table leaves the standard error at zero, so there is no interval"
        return Kappa(bare(kappa, n, reason), None, seen, scale, shown)
    error = float(np.sqrt(spread / n) / (1 - chance))
    bounds = max(-1.0, kappa - _Z * error), min(1.0, kappa + _Z * error)
    return Kappa(Estimate(kappa, *bounds, n), error, seen, scale, shown)


def _credit(levels: int, weights: Weights) -> Floats:
    """Give what each cell counts: 1 for agreement, less with distance."""
    if weights == "none" or levels == 1:
        return np.eye(levels)
    place = np.arange(levels)
    apart = np.abs(place[:, None] - place[None, :]) / (levels - 1)
    return np.asarray(1 - (apart**2 if weights == "quadratic" else apart))


def pairwise(
    values: ArrayLike,
    units: ArrayLike,
    annotators: ArrayLike,
    *,
    weights: Weights = "none",
    least: int = 2,
) -> tuple[PairKappa, ...]:
    """Give kappa of each pair of annotators who share at least `least` units, ordered by their numbers.

    Raises ValueError, naming unit and annotator, where one annotator judged a unit twice.
    """
    column = numbers("values", values)
    unit, annotator = labels("units", units, len(column)), labels("annotators", annotators, len(column))
    scale, code = np.unique(column, return_inverse=True)
    order = np.lexsort((annotator, unit))
    unit, annotator, code = unit[order], annotator[order], code[order]
    twice = np.flatnonzero((unit[1:] == unit[:-1]) & (annotator[1:] == annotator[:-1]))
    if twice.size:
        raise ValueError(f"annotator {annotator[twice[0]]} judged unit {unit[twice[0]]} twice; keep one value.")
    first, second = _pairs(unit)
    if not first.size:
        return ()
    people = int(annotator.max()) + 1
    cells = len(scale) * len(scale)
    pair, place = np.unique(annotator[first] * people + annotator[second], return_inverse=True)
    cell = code[first] * len(scale) + code[second]
    tables = np.bincount(place * cells + cell, minlength=len(pair) * cells).reshape(-1, len(scale), len(scale))
    return tuple(
        PairKappa(int(both // people), int(both % people), int(table.sum()), of_table(table, weights=weights).kappa)
        for both, table in zip(pair, tables, strict=True)
        if table.sum() >= least
    )


def _pairs(unit: Ints) -> tuple[Ints, Ints]:
    """Pair each row with every later row of its unit; rows come sorted by unit."""
    first, second = [], []
    apart = 1
    rows = np.flatnonzero(unit[1:] == unit[:-1])
    while rows.size:
        first.append(rows)
        second.append(rows + apart)
        apart += 1
        rows = rows[rows + apart < len(unit)]
        rows = rows[unit[rows + apart] == unit[rows]]
    none = np.zeros(0, dtype=np.int64)
    return np.concatenate([none, *first]), np.concatenate([none, *second])


def fleiss(values: ArrayLike, units: ArrayLike, *, draws: int = DRAWS, seed: int = SEED) -> Estimate:
    """Give Fleiss' kappa, drawing units again; undefined unless each unit has equally many values."""
    column = numbers("values", values)
    unit = labels("units", units, len(column))
    if not len(column):
        return undefined("no data")
    found, code = np.unique(column, return_inverse=True)
    kept, place = np.unique(unit, return_inverse=True)
    table = np.bincount(place * len(found) + code, minlength=len(kept) * len(found)).reshape(len(kept), len(found))
    return fleiss_of(table, draws=draws, seed=seed)


def fleiss_of(table: ArrayLike, *, draws: int = DRAWS, seed: int = SEED) -> Estimate:
    """Give Fleiss' kappa of counts `[units, labels]`."""
    counts = np.asarray(table, dtype=np.float64)
    n = int(counts.sum())
    size = counts.sum(axis=1)
    reason = _fleiss_reason(counts, size)
    if reason:
        return undefined(reason, n)
    each = float(size[0])
    seen = ((counts**2).sum(axis=1) - each) / (each * (each - 1))
    sums = ordered(np.column_stack([seen, counts]))

    def statistic(total: Floats) -> Floats:
        number = total[..., 1:].sum(axis=-1)
        chance = ((total[..., 1:] / number[..., None]) ** 2).sum(axis=-1)
        apart = np.where(1 - chance > 1e-12, 1 - chance, np.nan)  # noqa: PLR2004  nothing but rounding is left
        return np.asarray((total[..., 0] * each / number - chance) / apart)

    return sums_interval(sums, statistic, n=n, unit="unit", draws=draws, seed=seed)


def _fleiss_reason(counts: Floats, size: Floats) -> str:
    if not size.sum():
        return "no data"
    if size.min() != size.max():
        return f"units have {size.min():g} to {size.max():g} values; Fleiss' kappa needs equally many everywhere"
    if size[0] < _PAIR:
        return "no unit has two values, so there is no pair to compare"
    if np.count_nonzero(counts.sum(axis=0)) == 1:
        return "unanimous: every value is the same, so there is no disagreement to be expected by chance"
    if len(counts) == 1:
        return "one unit: its own disagreement is all that chance could be measured by"
    return ""
