"""One judgment whole: what was shown, and every revision ever saved of the answer. For researchers' routes alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session, col, select

from app.cells import UNKNOWN_MS, known_ms
from app.monitor.evidence import ShownInstance, instances_beside
from app.monitor.exclusions import Given, reasons
from app.monitor.facts import ANSWERS
from app.monitor.matrix import shown_in
from app.monitor.rule_forms import title_of
from app.monitor.standing import standing_of
from app.monitor.taken_out import counted
from app.monitor.votes import active_rules, aware
from app.studies.questions import STRENGTHS, read_questions
from models import Arm, Item, Membership, Presentation, Response, Revision, RevisionKind, Span, Study


@dataclass(frozen=True, slots=True)
class SideShown:
    """A response as it stood on one side of the page."""

    side: str
    letter: str
    arm: str
    response_id: str
    text: str


@dataclass(frozen=True, slots=True)
class MarkedSpan:
    """A marked passage, and the tuning-set instances that were shown beside it; none where none was asked for."""

    span: Span
    instances: tuple[ShownInstance, ...]


@dataclass(frozen=True, slots=True)
class SavedRevision:
    """One saved version of the answer. `marks` are `first` and `counts` where it is the first or the final answer."""

    number: int
    kind: str
    at: datetime
    answer: str
    ratings: tuple[tuple[str, int | None, int | None], ...]
    acceptable: tuple[str, str]
    recognised: str
    comment: str
    skip_reason: str
    edit_reason: str
    flagged: bool
    active: str
    wall: str
    read: str
    guideline_version: int
    app_version: str
    spans: tuple[MarkedSpan, ...]
    marks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Judgment:
    """A presentation with its sides and revisions, oldest first; `excluded` are the titles of the rules it meets."""

    presentation_id: str
    pid: str
    item: Item
    state: str
    handed_at: datetime | None
    leased_until: datetime
    sides: tuple[SideShown, SideShown]
    revisions: tuple[SavedRevision, ...]
    excluded: tuple[str, ...]


def judgment_of(session: Session, study: Study, presentation_id: str) -> Judgment:
    """Load one judgment of a study. Raises NotFoundError."""
    shown = shown_in(session, study, presentation_id)
    item = session.get_one(Item, shown.item_id)
    titles = {one.name: one.title for one in read_questions(study.questions).dimensions}
    return Judgment(
        presentation_id=shown.id,
        pid=session.get_one(Membership, (study.id, shown.annotator_id)).pid,
        item=item,
        state=str(shown.state),
        handed_at=_handed_at(session, shown),
        leased_until=aware(shown.leased_until),
        sides=(
            _side(session, "left", "A", shown.left_arm_id, shown.left_response_id),
            _side(session, "right", "B", shown.right_arm_id, shown.right_response_id),
        ),
        revisions=_revisions(session, shown, titles),
        excluded=_excluded(session, study, shown),
    )


def _side(session: Session, side: str, letter: str, arm_id: str, response_id: str) -> SideShown:
    text = session.exec(select(Response.text).where(Response.id == response_id)).one()
    return SideShown(side, letter, session.get_one(Arm, arm_id).name, response_id, text)


def _revisions(session: Session, shown: Presentation, titles: Mapping[str, str]) -> tuple[SavedRevision, ...]:
    saved = session.exec(
        select(Revision).where(Revision.presentation_id == shown.id).order_by(col(Revision.number))
    ).all()
    spans: dict[str, list[MarkedSpan]] = {}
    marked = (
        select(Span)
        .join(Revision, col(Revision.id) == col(Span.revision_id))
        .where(Revision.presentation_id == shown.id)
        .order_by(col(Span.position), col(Span.id))
    )
    found = session.exec(marked).all()
    beside = instances_beside(session, shown.id, found)
    for span in found:
        spans.setdefault(span.revision_id, []).append(MarkedSpan(span, tuple(beside[span.id])))
    submitted = [one.number for one in saved if one.kind == RevisionKind.SUBMITTED]
    ends = {"first answer": submitted[:1], "final answer": submitted[-1:]}
    return tuple(
        _revision(one, titles, spans.get(one.id, ()), [name for name, at in ends.items() if one.number in at])
        for one in saved
    )


def _revision(
    one: Revision, titles: Mapping[str, str], spans: Sequence[MarkedSpan], marks: Sequence[str]
) -> SavedRevision:
    left, right = one.ratings.get("left", {}), one.ratings.get("right", {})
    named = list(dict.fromkeys([*titles, *left, *right]))
    return SavedRevision(
        number=one.number,
        kind=str(one.kind),
        at=aware(one.created_at),
        answer=_answer(one),
        ratings=tuple(
            (titles.get(name, name), left.get(name), right.get(name)) for name in named if name in left or name in right
        ),
        acceptable=(_yes_no(one.acceptability.get("left")), _yes_no(one.acceptability.get("right"))),
        recognised=(one.recognised_guess or "yes") if one.recognised_model else "",
        comment=one.comment,
        skip_reason=one.skip_reason,
        edit_reason=one.edit_reason,
        flagged=one.flagged,
        active=_seconds(one.active_ms),
        wall=_seconds(one.wall_ms),
        read=_read(one.reading),
        guideline_version=one.guideline_version,
        app_version=one.app_version,
        spans=tuple(spans),
        marks=tuple(marks),
    )


def _handed_at(session: Session, shown: Presentation) -> datetime | None:
    untimed = select(Revision.id).where(Revision.presentation_id == shown.id, Revision.active_ms == UNKNOWN_MS)
    return None if session.exec(untimed.limit(1)).first() else aware(shown.created_at)


def _seconds(stored: int) -> str:
    ms = known_ms(stored)
    return "unknown time" if ms is None else f"{ms / 1000:.1f} s"


def _answer(one: Revision) -> str:
    if one.preference is None:
        return "no preference yet"
    answer = ANSWERS[str(one.preference)]
    return f"{answer}, {STRENGTHS[one.strength]} better" if one.strength in STRENGTHS else answer


def _yes_no(said: object) -> str:
    return ("yes" if said else "no") if isinstance(said, bool) else ""


def _read(reading: Mapping[str, float]) -> str:
    if not {"left", "right"} <= reading.keys():
        return ""
    return f"A {100 * reading['left']:.0f} %, B {100 * reading['right']:.0f} %"


def _excluded(session: Session, study: Study, shown: Presentation) -> tuple[str, ...]:
    final = session.exec(
        select(Revision)
        .where(Revision.presentation_id == shown.id, Revision.kind == RevisionKind.SUBMITTED)
        .order_by(col(Revision.number).desc())
    ).first()
    rules = active_rules(session, study)
    if final is None or not rules:
        return ()
    standing = standing_of(session, study)
    given = Given(shown.annotator_id, final.active_ms, final.recognised_model, final.guideline_version)
    return tuple(title_of(name) for name in reasons(rules, given, counted(standing.sheet, standing.members)))
