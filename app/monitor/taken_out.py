"""Which judgments the exclusion rules take out, for a whole study at once: what `exclusions` says one by one. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from app.monitor.columns import ANSWERED, Bools, Columns, Sheet
from app.monitor.exclusions import Given, Person, Rule, meets

# The rules that look at the judgment itself; every other looks at the person alone.
_EACH: dict[str, Callable[[Mapping[str, Any], Columns], Bools]] = {
    "min_active": lambda settings, columns: columns.timed & (columns.active_ms < settings["seconds"] * 1000),
    "recognised": lambda _settings, columns: columns.recognised,
    "outdated_guidelines": lambda settings, columns: columns.guideline_version < settings["version"],
}
_ANY = Given("", 0, recognised=False, guideline_version=1)


def taken_out(rules: Iterable[Rule], sheet: Sheet, members: Mapping[str, Person]) -> Bools:
    """Tell, row by row, which regular judgments some rule takes out. Raises KeyError for a rule that is none."""
    rules = tuple(rules)
    out = np.zeros(len(sheet.columns), dtype=np.bool_)
    if rules:
        people = counted(sheet, members)
        for rule in rules:
            out |= _met(rule, sheet, people)
    return out & sheet.regular


def _met(rule: Rule, sheet: Sheet, people: Mapping[str, Person]) -> Bools:
    columns = sheet.columns
    if rule.name in _EACH:
        return _EACH[rule.name](rule.settings, columns)
    met: Bools = np.array([meets(rule, _ANY, people[one]) for one in columns.people], dtype=np.bool_)[columns.who]
    return met


@dataclass(frozen=True, slots=True)
class Tally:
    """What remains: judgments, the annotators they come from, and judgments per pair id."""

    judgments: int
    annotators: int
    pairs: Mapping[str, int]


def tally(sheet: Sheet, out: Bools) -> Tally:
    """Count the regular judgments that are not `out`, skips included, as preferences.csv has them."""
    columns = sheet.columns
    kept = sheet.regular & ~out
    of_pairs = np.bincount(columns.pair[kept], minlength=len(columns.pairs))
    return Tally(
        judgments=int(kept.sum()),
        annotators=len(np.unique(columns.who[kept])),
        pairs={pair: int(count) for pair, count in zip(columns.pairs, of_pairs, strict=True) if count},
    )


def met_by(rules: Sequence[Rule], sheet: Sheet, members: Mapping[str, Person]) -> list[tuple[int, int]]:
    """Count the regular judgments that each rule meets by itself, and their annotators."""
    people = counted(sheet, members)
    found = []
    for rule in rules:
        met = _met(rule, sheet, people) & sheet.regular
        found.append((int(met.sum()), len(np.unique(sheet.columns.who[met]))))
    return found


def counted(sheet: Sheet, members: Mapping[str, Person]) -> dict[str, Person]:
    """Give whoever judged their counts, by annotator id."""
    columns, n = sheet.columns, len(sheet.columns.people)
    width = len(ANSWERED)
    of_answers = np.bincount((columns.who * width + columns.preference)[sheet.judged], minlength=n * width)
    asked = np.bincount(columns.who[sheet.gold], minlength=n)
    right = np.bincount(columns.who[sheet.right_answer], minlength=n)
    return {
        who: replace(
            members[who],
            answers={
                answer: int(count)
                for answer, count in zip(ANSWERED, of_answers[at * width :][:width], strict=True)
                if count
            },
            gold_asked=int(asked[at]),
            gold_right=int(right[at]),
        )
        for at, who in enumerate(columns.people)
    }
