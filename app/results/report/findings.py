"""Findings as they are kept and shown: numbers by key. Nothing here computes, so nothing here loads the statistics."""

from dataclasses import dataclass
from typing import Any

from app.results.report.values import Flat, Number, Numbers, flat

_ABOUT = ("arms", "pairs", "dimensions", "types", "annotators", "rules", "strata")
ALL = "all."


@dataclass(frozen=True, slots=True)
class Findings:
    """Every number by key, and what the keys are about. Excluded judgments count only in keys that begin with `all.`.

    Those exist where an exclusion takes a judgment out.
    """

    arms: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]
    dimensions: tuple[str, ...]
    types: tuple[str, ...]
    annotators: tuple[str, ...]
    rules: tuple[str, ...]
    strata: tuple[str, ...]
    numbers: Numbers

    def flat(self) -> Flat:
        """Write the numbers as results.json has them."""
        return flat(self.numbers)

    def to_json(self) -> dict[str, Any]:
        """Write the findings as plain values that `from_json` reads back."""
        kept = {name: [one.value, one.low, one.high, one.n, one.reason] for name, one in self.numbers.items()}
        about = {name: getattr(self, name) for name in _ABOUT}
        return {**about, "numbers": kept}


def from_json(value: dict[str, Any]) -> Findings:
    """Read findings back, number for number."""
    return Findings(
        arms=tuple(value["arms"]),
        pairs=tuple((first, second) for first, second in value["pairs"]),
        dimensions=tuple(value["dimensions"]),
        types=tuple(value["types"]),
        annotators=tuple(value["annotators"]),
        rules=tuple(value["rules"]),
        # What an older version kept is read until it is computed anew.
        strata=tuple(value.get("strata", ())),
        numbers={name: Number(*one) for name, one in value["numbers"].items()},
    )
