"""A number as it is shown, with its interval and its n, or the reason why there is none; and all of them by key."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Flat = dict[str, Any]

TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class Number:
    """`value` is None where the number does not exist, and `reason` then says why; so it is with the interval.

    `low` and `high` are the ends of a 95 % interval, None where the number has none. `n` is what it rests on.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    reason: str = ""

    def __post_init__(self) -> None:
        """Refuse what is neither a number nor a word."""
        for one in (self.value, self.low, self.high):
            if one is not None and not math.isfinite(one):
                raise ValueError(f"{one} is no number to show; give a reason instead")
        if self.value is None and not self.reason:
            raise ValueError("a number that does not exist needs a reason")


Numbers = dict[str, Number]


def count(value: int | np.integer[Any]) -> Number:
    """Return a plain count."""
    return Number(int(value))


def undefined(reason: str, n: int | None = None) -> Number:
    """Return a number that does not exist, and why."""
    return Number(None, n=n, reason=reason)


def part(name: str) -> str:
    """Spell a name as one part of a key: what separates parts is percent-encoded."""
    return "".join(f"%{ord(one):02X}" if one in "%.~" or one.isspace() else one for one in name)


def key(*parts: str) -> str:
    """Join the parts of a key with dots; names go through `part` first."""
    return ".".join(parts)


def flat(numbers: Mapping[str, Number]) -> Flat:
    """Write all numbers as one flat mapping, as results.json has them: a number, or its absence with the reason."""
    written: Flat = {}
    for name in sorted(numbers):
        one = numbers[name]
        written[name] = one.value if one.value is not None else {"value": None, "reason": one.reason}
        if one.n is not None:
            written[f"{name}.n"] = one.n
        if one.low is not None and one.high is not None:
            written[f"{name}.ci_low"], written[f"{name}.ci_high"] = one.low, one.high
        elif one.value is not None and one.reason:
            written[f"{name}.ci_low"] = written[f"{name}.ci_high"] = {"value": None, "reason": one.reason}
    return written


def differences(stored: Flat, computed: Flat) -> list[tuple[str, Any, Any]]:
    """List the keys on which two flat mappings disagree by more than 1e-9, with both values; keys of one alone too."""
    missing = object()
    found = []
    for name in sorted(stored.keys() | computed.keys()):
        one, other = stored.get(name, missing), computed.get(name, missing)
        if not _same(one, other):
            found.append((name, "(missing)" if one is missing else one, "(missing)" if other is missing else other))
    return found


def _same(one: Any, other: Any) -> bool:
    numbers = (int, float)
    if isinstance(one, numbers) and isinstance(other, numbers):
        return abs(one - other) <= TOLERANCE * max(1.0, abs(one))
    return bool(one == other)
