"""A response along its positions: a measure per token, and KL added up."""

from collections.abc import Sequence

from app.shift.measures import Measure, value
from app.shift.trace import TokenShift


def profile(tokens: Sequence[TokenShift | None], measure: Measure) -> tuple[float | None, ...]:
    """Return the measure of every token in order; None where it does not exist or nothing is scored yet."""
    return tuple(None if token is None else value(measure, token) for token in tokens)


def cumulative(values: Sequence[float | None]) -> tuple[float | None, ...]:
    """Add values up along a response, `[T]`: entry t is the sum of the known ones up to and with t.

    None before the first known value. A missing value adds nothing, so after one the sum is a lower bound.
    """
    sums: list[float | None] = []
    total: float | None = None
    # Plain additions: at 2,000 terms their rounding stays below 1e-12 of the sum.
    for number in values:
        if number is not None:
            total = number if total is None else total + number
        sums.append(total)
    return tuple(sums)
