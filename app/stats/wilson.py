"""Interval of a share from its counts."""

import math

_Z = 1.959963984540054


def wilson(part: float, whole: int, *, z: float = _Z) -> tuple[float, float] | None:
    """95 % score interval of part/whole (Wilson 1927, without continuity correction); None for a whole of 0.

    It treats observations as independent; over tokens of the same responses it is too narrow, and pages say so.
    """
    if not whole:
        return None
    share = part / whole
    middle = (share + z * z / (2 * whole)) / (1 + z * z / whole)
    half = z * math.sqrt(share * (1 - share) / whole + z * z / (4 * whole * whole)) / (1 + z * z / whole)
    # Rounding would leave 1e-17 where the bound is exactly the end of the scale.
    low = 0.0 if part == 0 else max(0.0, middle - half)
    high = 1.0 if part == whole else min(1.0, middle + half)
    return low, high
