"""Which judgments the exclusion rules take out, for a whole study at once: what `exclusions` says one by one. Pure."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from app.monitor.columns import ANSWERED, Bools, Columns, Sheet
from app.monitor.exclusions import Given, Person, Rule, meets

# The rules that look at the judgment itself; every other looks at the person alone.
_EACH: dict[str, Callable[[Mapping[str, Any], Columns], Bools]] = {
    "min_active": lambda settings, columns: columns.active_ms < settings["seconds"] * 1000,
    "recognised": lambda _settings, columns: columns.recognised,
    "outdated_guidelines": lambda settings, columns: columns.guideline_version < settings["version"],
}
_ANY = Given("", 0, recognised=False, guideline_version=1)


def taken_out(rules: Iterable[Rule], sheet: Sheet, members: Mapping[str, Person]) -> Bools:
    """Tell, row by row, which regular judgments some rule takes out. Raises KeyError for a rule that is none."""
    columns = sheet.columns
    out = np.zeros(len(columns), dtype=np.bool_)
    rules = tuple(rules)
    if not rules:
        return out
    people = _counted(sheet, members)
    for rule in rules:
        if rule.name in _EACH:
            out |= _EACH[rule.name](rule.settings, columns)
        else:
            out |= np.array([meets(rule, _ANY, person) for person in people], dtype=np.bool_)[columns.who]
    return out & sheet.regular


def _counted(sheet: Sheet, members: Mapping[str, Person]) -> list[Person]:
    """Give whoever judged their counts, in the columns' order of people."""
    columns, n = sheet.columns, len(sheet.columns.people)
    width = len(ANSWERED)
    of_answers = np.bincount((columns.who * width + columns.preference)[sheet.judged], minlength=n * width)
    asked = np.bincount(columns.who[sheet.gold], minlength=n)
    right = np.bincount(columns.who[sheet.right_answer], minlength=n)
    return [
        replace(
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
    ]
