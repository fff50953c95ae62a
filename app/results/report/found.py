"""All findings of a study from its tables: `found(tables)`. Same tables, same numbers, to the last bit."""

from dataclasses import dataclass
from typing import Any

from app.results.report.agreement import agreement
from app.results.report.causal import causal
from app.results.report.dimensions import dimensions
from app.results.report.hallucination import hallucination
from app.results.report.pairs import Pair, Section, pairs_of
from app.results.report.preference import preference
from app.results.report.quality import quality
from app.results.report.shifted import shifted
from app.results.report.strata import strata, strata_of
from app.results.report.strengths import strengths
from app.results.report.tables import Tables
from app.results.report.values import Flat, Number, Numbers, count, flat

SECTIONS: tuple[Section, ...] = (
    preference,
    strengths,
    dimensions,
    hallucination,
    causal,
    shifted,
    agreement,
    quality,
    strata,
)
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


def found(tables: Tables) -> Findings:
    """Compute every number of the results page."""
    excluded = tables.judgments.excluded
    counted = tables.keep(~excluded) if excluded.any() else tables
    numbers = _numbers(counted, pairs_of(counted))
    numbers["judgments.all"] = count(len(tables.judgments))
    numbers["judgments.excluded"] = count(int(excluded.sum()))
    everything = pairs_of(tables)
    if excluded.any():
        numbers |= {f"{ALL}{name}": one for name, one in _numbers(tables, everything).items()}
    return Findings(
        arms=tables.arms,
        pairs=tuple((pair.first, pair.second) for pair in everything),
        dimensions=tables.ratings.dimensions,
        types=tables.spans.type.names,
        annotators=tables.judgments.annotator.names,
        rules=tuple(rule.name for rule in tables.rules),
        strata=strata_of(tables),
        numbers=numbers,
    )


def _numbers(tables: Tables, pairs: tuple[Pair, ...]) -> Numbers:
    numbers: Numbers = {}
    for section in SECTIONS:
        numbers |= section(tables, pairs)
    return numbers
