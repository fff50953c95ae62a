"""What an estimator returns, and what it refuses to read."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its 95 % interval, from `n` observations.

    `value` is None where the number does not exist; `low` and `high` are None where no interval does. `reason` then
    says why, in words, and is empty otherwise. Never NaN.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    reason: str = ""


def undefined(reason: str, n: int = 0) -> Estimate:
    """Say why a number does not exist."""
    return Estimate(None, None, None, n, reason)


def bare(value: float, n: int, reason: str) -> Estimate:
    """Give a number that has no interval, and say why."""
    return Estimate(float(value), None, None, n, reason)


def wider(first: Estimate, second: Estimate) -> Estimate:
    """Choose the estimate with the wider interval; one with an interval before one without."""
    return second if width(second) > width(first) else first


def width(one: Estimate) -> float:
    """Give the width of an interval; -1 where there is none."""
    return -1.0 if one.low is None or one.high is None else one.high - one.low


def numbers(name: str, values: ArrayLike) -> Floats:
    """Read a column of finite numbers; raises ValueError naming the first row that is none."""
    column = np.asarray(values, dtype=np.float64)
    if column.ndim != 1:
        raise ValueError(f"{name} must be one column, not an array of shape {column.shape}.")
    bad = np.flatnonzero(~np.isfinite(column))
    if bad.size:
        raise ValueError(f"{name} is {column[bad[0]]} in row {bad[0]}; leave the row out or give a finite number.")
    return column


def scores(name: str, values: ArrayLike) -> Floats:
    """Read a column of 1 (won), 0.5 (tied) and 0 (lost); raises ValueError naming the first row that is none."""
    column = numbers(name, values)
    bad = np.flatnonzero((column != 0) & (column != 0.5) & (column != 1))  # noqa: PLR2004  a tie is half a win
    if bad.size:
        raise ValueError(f"{name} is {column[bad[0]]:g} in row {bad[0]}; give 1 for won, 0.5 for tied or 0 for lost.")
    return column


def labels(name: str, values: ArrayLike, rows: int) -> Ints:
    """Read a column of whole numbers from 0 that name groups; raises ValueError where it is none or not `rows` long."""
    column = np.asarray(values)
    if column.shape != (rows,):
        raise ValueError(f"{name} has the shape {column.shape}; give one group for each of the {rows} rows.")
    if rows and not np.issubdtype(column.dtype, np.integer):
        raise ValueError(f"{name} holds {column.dtype}; give whole numbers.")
    whole = column.astype(np.int64)
    if rows and whole.min() < 0:
        raise ValueError(f"{name} is {whole.min()} in row {int(whole.argmin())}; groups are numbered from 0.")
    return whole


def same_length(**columns: Floats) -> int:
    """Give the common length of columns; raises ValueError naming them where they differ."""
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError("columns differ in length: " + ", ".join(f"{name} {size}" for name, size in lengths.items()))
    return next(iter(lengths.values()))
