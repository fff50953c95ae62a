"""What exclusion rules look at and meet, counted by the database: no judgment is read, however many there are.

`exclusions` says the same of one judgment at a time, and `taken_out` of columns.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, String, and_, false, func, or_, type_coerce
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select

from app.monitor.exclusions import Given, Person, Rule, meets
from app.monitor.facts import SKIP
from models import Arm, Item, ItemKind, Presentation, PresentationState, Revision, RevisionKind, Study

_FINAL = (PresentationState.SUBMITTED, PresentationState.SKIPPED)
_ANY = Given("", 0, recognised=False, guideline_version=1)
# The rules that look at the judgment itself; every other looks at the person alone.
_EACH: dict[str, Callable[[Mapping[str, Any], Any], ColumnElement[bool]]] = {
    "min_active": lambda settings, final: and_(final.active_ms >= 0, final.active_ms < settings["seconds"] * 1000),
    "recognised": lambda _settings, final: final.recognised_model.is_(True),
    "outdated_guidelines": lambda settings, final: final.guideline_version < settings["version"],
}


def people_counted(session: Session, study: Study, members: Mapping[str, Person]) -> dict[str, Person]:
    """Give members, by annotator id, their counts."""
    answers: dict[str, dict[str, int]] = {key: {} for key in members}
    asked, right = Counter[str](), Counter[str]()
    final = aliased(Revision)
    answer = type_coerce(final.preference, String)
    by = (col(Presentation.annotator_id), answer)
    for who, said, count in session.execute(
        judged_query(study, ItemKind.REGULAR, final, *by, func.count()).group_by(*by)
    ):
        if said != SKIP and who in answers:
            answers[who][said] = count
    better = session.exec(select(Arm.id).where(Arm.study_id == study.id, Arm.special, Arm.name == "better")).first()
    how = (*by, col(Presentation.left_arm_id), col(Presentation.right_arm_id), col(Item.expected))
    gold = judged_query(study, ItemKind.GOLD, final, *how, func.count()).group_by(*how)
    for who, said, left, other, expected, count in session.execute(gold):
        asked[who] += count
        chosen = {"left": left, "right": other}.get(said)
        if said == expected or (expected == "better" and chosen is not None and chosen == better):
            right[who] += count
    return {
        key: replace(one, answers=answers[key], gold_asked=asked[key], gold_right=right[key])
        for key, one in members.items()
    }


def count_met(
    session: Session, study: Study, people: Mapping[str, Person], rules: Sequence[Rule]
) -> list[tuple[int, int]]:
    """Count the regular judgments that each rule meets by itself, and their annotators."""
    found = [[0, 0] for _ in rules]
    for who, total, *met in _by_person(session, study, [[rule] for rule in rules]):
        for at, rule in enumerate(rules):
            judgments = met[at] if rule.name in _EACH else total * meets(rule, _ANY, people[who])
            found[at][0] += judgments
            found[at][1] += judgments > 0
    return [(judgments, annotators) for judgments, annotators in found]


def count_excluded(
    session: Session, study: Study, people: Mapping[str, Person], rules: Sequence[Rule]
) -> tuple[Counter[str], Counter[str]]:
    """Count the regular judgments of each annotator, all of them and those that some rule takes out."""
    judgments, excluded = Counter[str](), Counter[str]()
    for who, total, met in _by_person(session, study, [rules]):
        judgments[who] = total
        excluded[who] = total if any(_meets_person(rule, people[who]) for rule in rules) else met
    return judgments, excluded


def is_excluded(rules: Sequence[Rule], people: Mapping[str, Person], final: Any) -> ColumnElement[bool]:
    """Hold for a presentation and its final revision where some rule takes the judgment out."""
    whole = [key for key, person in people.items() if any(_meets_person(rule, person) for rule in rules)]
    return or_(false(), col(Presentation.annotator_id).in_(whole), *_conditions(rules, final))


def _meets_person(rule: Rule, person: Person) -> bool:
    return rule.name not in _EACH and meets(rule, _ANY, person)


def _conditions(rules: Iterable[Rule], final: Any) -> Iterator[ColumnElement[bool]]:
    return (_EACH[rule.name](rule.settings, final) for rule in rules if rule.name in _EACH)


def _by_person(session: Session, study: Study, several: Sequence[Sequence[Rule]]) -> Iterator[Any]:
    """Yield annotators with their regular judgments, and how many of these each set of rules meets by the answer."""
    final = aliased(Revision)
    met = [func.count().filter(or_(false(), *_conditions(rules, final))) for rules in several]
    who = col(Presentation.annotator_id)
    yield from session.execute(judged_query(study, ItemKind.REGULAR, final, who, func.count(), *met).group_by(who))


def judged_query(study: Study, kind: ItemKind, final: Any, *columns: Any) -> Any:
    """Select columns of the judgments of a study's items of one kind, each joined with the revision that counts."""
    shown, one = Presentation, aliased(Revision)
    last = (
        select(func.max(one.number))
        .where(one.presentation_id == shown.id, one.kind == RevisionKind.SUBMITTED)
        .correlate(shown)
        .scalar_subquery()
    )
    return (
        select(*columns)
        .select_from(shown)
        .join(final, and_(col(final.presentation_id) == col(shown.id), col(final.number) == last))
        .join(Item, col(Item.id) == col(shown.item_id))
        .where(shown.study_id == study.id, Item.kind == kind, col(shown.state).in_(_FINAL))
    )
