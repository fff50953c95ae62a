"""The judgments behind a number: which are asked for, and where each can be looked at."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, exists, or_
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, func, select

from app.errors import InvalidInputError
from app.monitor.counts import is_excluded
from app.monitor.excluding import Excluding, excluding
from app.monitor.exclusions import Given, reasons
from app.results.report.strata import NONE_GIVEN
from models import (
    Arm,
    Item,
    ItemKind,
    Membership,
    Preference,
    Presentation,
    PresentationState,
    Revision,
    RevisionKind,
    Severity,
    Side,
    Span,
    Study,
)

PAGE = 50
OUTCOMES = {
    "": "any answer",
    "judged": "judged: a side or a tie",
    "first": "the first arm preferred",
    "second": "the second arm preferred",
    "left": "the left side preferred",
    "right": "the right side preferred",
    "tie": "a tie of either kind",
    "tie_good": "tie, both good",
    "tie_bad": "tie, both bad",
    "cannot_judge": "could not be judged",
    "changed": "answer changed later",
}
_FINISHED = (PresentationState.SUBMITTED, PresentationState.SKIPPED)
# The answers that the state of a presentation tells, which every submission sets with the answer.
_STATES = {"judged": (PresentationState.SUBMITTED,), "cannot_judge": (PresentationState.SKIPPED,)}


@dataclass(frozen=True, slots=True)
class Asked:
    """What judgments are wanted; empty fields ask for nothing.

    `marked` is an arm with a marked span, `rated` one that has a rating of `dimension`, of `value` where that is given.
    """

    first: str = ""
    second: str = ""
    outcome: str = ""
    annotator: str = ""
    item: str = ""
    marked: str = ""
    type: str = ""
    severity: str = ""
    recognised: str = ""
    rated: str = ""
    dimension: str = ""
    value: int | None = None
    stratum: str = ""
    excluded: str = ""


@dataclass(frozen=True, slots=True)
class Listed:
    """One judgment of the list."""

    presentation_id: str
    position: int
    prompt: str
    pid: str
    left: str
    right: str
    answer: str
    excluded_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """One page of judgments, and how many there are in all."""

    rows: tuple[Listed, ...]
    total: int
    page: int
    pages: int


def judgments_like(session: Session, study: Study, asked: Asked, page: int) -> Found:
    """List the judgments asked for, by item and presentation.

    Raises InvalidInputError for an answer or a severity that there is not.
    """
    if asked.outcome not in OUTCOMES:
        raise InvalidInputError(
            f"There is no answer {asked.outcome[:40]!r}.", remedy=f"There are {', '.join(filter(None, OUTCOMES))}."
        )
    if asked.severity and asked.severity not in set(Severity):
        raise InvalidInputError(
            f"There is no severity {asked.severity!r}.", remedy=f"There are {', '.join(Severity)}.", where="severity"
        )
    rules = excluding(session, study)
    total, ids = _page(session, _which(session, study, asked, rules), (page - 1) * PAGE)
    rows = _rows(session, ids)
    names = dict(session.exec(select(Arm.id, Arm.name).where(Arm.study_id == study.id)).all())
    pids = dict(session.exec(select(Membership.user_id, Membership.pid).where(Membership.study_id == study.id)).all())
    listed = tuple(_listed(row, names, pids, _by(rules, row)) for row in rows)
    return Found(listed, total, page, max(1, -(-total // PAGE)))


def _page(session: Session, which: Any, start: int) -> tuple[int, list[str]]:
    """Count what `which` selects, and name the presentations of one page of it.

    All of it is gone through once, to count by item; then only the items that stand on the page are looked at.
    """
    position = col(Item.position)
    counts = session.execute(which.with_only_columns(position, func.count()).group_by(position).order_by(position))
    items: list[int] = []
    total = before = 0
    for at, number in counts:
        if start < total + number and total < start + PAGE:
            before = before if items else total
            items.append(at)
        total += number
    if not items:
        return total, []
    ids = which.where(position.in_(items)).order_by(position, col(Presentation.id))
    return total, list(session.exec(ids.offset(start - before).limit(PAGE)))


def _which(session: Session, study: Study, asked: Asked, rules: Excluding) -> Any:
    """Select the ids of the presentations asked for."""
    final, shown = aliased(Revision), Presentation
    query = select(shown.id).join(Item, col(Item.id) == col(shown.item_id)).where(*_wanted(session, study, asked))
    given = [*_of_answer(session, study, asked, final)]
    if asked.excluded == "yes" or (asked.excluded and rules.rules):
        out = is_excluded(rules.rules, rules.people, final)
        given.append(out if asked.excluded == "yes" else ~out)
    # To look up an answer takes longer than all else, so only where something is asked about it.
    return query.join(final, _is_final(final)).where(*given) if given else query


def _is_final(final: Any) -> Any:
    later = aliased(Revision)
    # Not the greatest number of all: most answers have no later revision, and an index tells so without reading one.
    return and_(
        col(final.presentation_id) == col(Presentation.id),
        col(final.kind) == RevisionKind.SUBMITTED,
        ~exists().where(
            col(later.presentation_id) == col(Presentation.id),
            col(later.number) > col(final.number),
            col(later.kind) == RevisionKind.SUBMITTED,
        ),
    )


def _rows(session: Session, ids: Sequence[str]) -> Sequence[Any]:
    final, shown = aliased(Revision), Presentation
    query = (
        select(  # type: ignore[call-overload]
            shown.id, Item.position, Item.prompt, shown.annotator_id, shown.left_arm_id, shown.right_arm_id,
            final.preference, final.active_ms, final.recognised_model, final.guideline_version,
        )
        .join(Item, col(Item.id) == col(shown.item_id))
        .join(final, _is_final(final))
        .where(col(shown.id).in_(ids))
        .order_by(col(Item.position), col(shown.id))
    )  # fmt: skip
    return list(session.exec(query))


def _by(rules: Excluding, row: Sequence[Any]) -> list[str]:
    return reasons(rules.rules, Given(row[3], row[7], row[8], row[9]), rules.people) if rules.rules else []


def _listed(row: Sequence[Any], names: dict[str, str], pids: dict[str, str], by: list[str]) -> Listed:
    left, right = names[row[4]], names[row[5]]
    said = {Preference.LEFT: f"{left} (A)", Preference.RIGHT: f"{right} (B)"}
    answer = said.get(row[6]) or {"tie_good": "tie, both good", "tie_bad": "tie, both bad"}.get(row[6], "cannot judge")
    return Listed(row[0], row[1], row[2], pids[row[3]], left, right, answer, tuple(by))


def _wanted(session: Session, study: Study, asked: Asked) -> list[Any]:
    """Turn what is asked of items, arms and annotators into conditions."""
    shown, arms = Presentation, _arms(session, study)
    wanted: list[Any] = [
        shown.study_id == study.id,
        Item.kind == ItemKind.REGULAR,
        col(shown.state).in_(_STATES.get(asked.outcome, _FINISHED)),
    ]
    for name in (asked.first, asked.second):
        if name:
            key = arms.get(name, "")
            wanted.append(or_(col(shown.left_arm_id) == key, col(shown.right_arm_id) == key))
    if asked.item:
        wanted.append(shown.item_id == asked.item)
    if asked.stratum:
        wanted.append(Item.stratum == ("" if asked.stratum == NONE_GIVEN else asked.stratum))
    if asked.annotator:
        people = select(Membership.user_id).where(Membership.study_id == study.id, Membership.pid == asked.annotator)
        wanted.append(col(shown.annotator_id).in_(people))
    return wanted


def _arms(session: Session, study: Study) -> dict[str, str]:
    return {name: key for key, name in session.exec(select(Arm.id, Arm.name).where(Arm.study_id == study.id))}


def _of_answer(session: Session, study: Study, asked: Asked, final: Any) -> Iterator[Any]:
    """Turn what is asked of the answer into conditions; none where nothing is."""
    arms = _arms(session, study)
    if asked.outcome and asked.outcome not in _STATES:
        yield _answered(asked, arms, final)
    if asked.recognised:
        yield final.recognised_model.is_(asked.recognised == "yes")
    if asked.marked or asked.type or asked.severity:
        yield _marked(asked, arms, final)
    if asked.rated and asked.dimension:
        yield _rated(asked, arms, final)


def _rated(asked: Asked, arms: dict[str, str], final: Any) -> Any:
    shown, key = Presentation, arms.get(asked.rated, "")
    sides = []
    for side, arm_id in (("left", shown.left_arm_id), ("right", shown.right_arm_id)):
        value = final.ratings[side][asked.dimension].as_integer()
        said = value.is_not(None) if asked.value is None else value == asked.value
        sides.append(and_(col(arm_id) == key, said))
    return or_(*sides)


def _answered(asked: Asked, arms: dict[str, str], final: Any) -> Any:
    shown = Presentation
    left, right = final.preference == Preference.LEFT, final.preference == Preference.RIGHT
    if asked.outcome in {"first", "second"}:
        key = arms.get(asked.first if asked.outcome == "first" else asked.second, "")
        return or_(and_(left, col(shown.left_arm_id) == key), and_(right, col(shown.right_arm_id) == key))
    if asked.outcome == "tie":
        return final.preference.in_((Preference.TIE_GOOD, Preference.TIE_BAD))
    if asked.outcome == "changed":
        other = aliased(Revision)
        return (final.preference != Preference.CANNOT_JUDGE) & exists().where(
            col(other.presentation_id) == shown.id,
            col(other.kind) == RevisionKind.SUBMITTED,
            other.preference != final.preference,
            other.number == _first(shown),
        )
    return final.preference == Preference(asked.outcome)


def _first(shown: Any) -> Any:
    one = aliased(Revision)
    return (
        select(func.min(one.number))
        .where(one.presentation_id == shown.id, one.kind == RevisionKind.SUBMITTED)
        .correlate(shown)
        .scalar_subquery()
    )


def _marked(asked: Asked, arms: dict[str, str], final: Any) -> Any:
    shown, span = Presentation, aliased(Span)
    where = [col(span.revision_id) == final.id]
    if asked.marked:
        key = arms.get(asked.marked, "")
        where.append(
            or_(
                and_(col(span.side) == Side.LEFT, col(shown.left_arm_id) == key),
                and_(col(span.side) == Side.RIGHT, col(shown.right_arm_id) == key),
            )
        )
    if asked.type:
        where.append(col(span.type) == asked.type)
    if asked.severity:
        where.append(col(span.severity) == asked.severity)
    return exists().where(*where)
