"""Rules that take judgments out of the results, and which judgment each of them meets. Pure.

A rule looks at one answer and at the person who gave it, never at what was answered by whom for which arm, so no rule
can be bent towards a result.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from app.monitor.facts import GOLD, REGULAR, SKIP, Vote, is_right

WITHDRAWN = "withdrawn"


class Answer(Protocol):
    """What a rule looks at in a judgment."""

    @property
    def annotator_id(self) -> str: ...  # noqa: D102  the names say it
    @property
    def active_ms(self) -> int: ...  # noqa: D102
    @property
    def recognised(self) -> bool: ...  # noqa: D102
    @property
    def guideline_version(self) -> int: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Given:
    """A judgment reduced to what a rule looks at."""

    annotator_id: str
    active_ms: int
    recognised: bool
    guideline_version: int


@dataclass(frozen=True, slots=True)
class Person:
    """What a rule looks at in an annotator. `answers` counts their regular judgments by answer, skips left out.

    `passed` is whether they passed the comprehension check, None where the study has none.
    """

    pid: str
    withdrawn: bool = False
    passed: bool | None = None
    answers: Mapping[str, int] = field(default_factory=dict)
    gold_asked: int = 0
    gold_right: int = 0


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule with its settings, as stored; without an id it is not stored yet."""

    name: str
    settings: Mapping[str, Any]
    id: str = ""


def people_of(votes: Iterable[Vote], members: Mapping[str, Person]) -> dict[str, Person]:
    """Give members, by annotator id, their counts."""
    answers: dict[str, Counter[str]] = {key: Counter() for key in members}
    asked, right = Counter[str](), Counter[str]()
    for vote in votes:
        who = vote.annotator_id
        if vote.item_kind == GOLD:
            asked[who] += 1
            right[who] += is_right(vote)
        elif vote.item_kind == REGULAR and vote.preference != SKIP and who in answers:
            answers[who][vote.preference] += 1
    return {
        key: Person(one.pid, one.withdrawn, one.passed, dict(answers[key]), asked[key], right[key])
        for key, one in members.items()
    }


def _min_active(settings: Mapping[str, Any], answer: Answer, _person: Person) -> bool:
    # What is below nothing is unknown: the judgment was imported without its times.
    return bool(0 <= answer.active_ms < settings["seconds"] * 1000)


def _reaches(part: int, whole: int, share: float) -> bool:
    # 55 % of 20 is 11.000000000000002 in floating point, which 11 would miss.
    return part >= share * whole - 1e-9


def _gold_failed(settings: Mapping[str, Any], _answer: Answer, person: Person) -> bool:
    wrong = person.gold_asked - person.gold_right
    enough = person.gold_asked >= settings["min_n"]
    return enough and _reaches(wrong, person.gold_asked, settings["share"])


def _straight_lining(settings: Mapping[str, Any], _answer: Answer, person: Person) -> bool:
    n = sum(person.answers.values())
    return n >= settings["min_n"] and _reaches(max(person.answers.values()), n, settings["share"])


def _annotator(settings: Mapping[str, Any], _answer: Answer, person: Person) -> bool:
    return bool(person.pid == settings["annotator"])


def _recognised(_settings: Mapping[str, Any], answer: Answer, _person: Person) -> bool:
    return answer.recognised


def _not_passed(_settings: Mapping[str, Any], _answer: Answer, person: Person) -> bool:
    return person.passed is False


def _outdated(settings: Mapping[str, Any], answer: Answer, _person: Person) -> bool:
    return bool(answer.guideline_version < settings["version"])


def _withdrawn(_settings: Mapping[str, Any], _answer: Answer, person: Person) -> bool:
    return person.withdrawn


_MEETS: dict[str, Callable[[Mapping[str, Any], Answer, Person], bool]] = {
    "min_active": _min_active,
    "gold_failed": _gold_failed,
    "straight_lining": _straight_lining,
    "annotator": _annotator,
    "recognised": _recognised,
    "comprehension": _not_passed,
    "outdated_guidelines": _outdated,
    WITHDRAWN: _withdrawn,
}


def meets(rule: Rule, answer: Answer, person: Person) -> bool:
    """Tell whether a rule takes a judgment out. Raises KeyError for a rule that is none."""
    return _MEETS[rule.name](rule.settings, answer, person)


def reasons(rules: Iterable[Rule], answer: Answer, people: Mapping[str, Person]) -> list[str]:
    """Name every rule that takes a judgment out, in the order given, each name once; empty for none."""
    person = people[answer.annotator_id]
    return list(dict.fromkeys(rule.name for rule in rules if meets(rule, answer, person)))


def matched(votes: Iterable[Vote], people: Mapping[str, Person], rules: Sequence[Rule]) -> list[tuple[int, int]]:
    """Count the regular judgments that each rule meets by itself, and their annotators; no judgment is kept."""
    judgments, annotators = [0] * len(rules), [set[str]() for _ in rules]
    for vote in votes:
        for at, rule in enumerate(rules):
            if vote.item_kind == REGULAR and meets(rule, vote, people[vote.annotator_id]):
                judgments[at] += 1
                annotators[at].add(vote.annotator_id)
    return list(zip(judgments, map(len, annotators), strict=True))
