"""Handing out work and loading it back, never more than the overlap asks for and never another person's.

A judging page is read by side alone: the queries behind it select texts through `left_response_id` and
`right_response_id` and touch no arm. Arms are joined once, by `_hand_out`, to draw the sides; none of that is returned.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, and_, func, or_, update
from sqlmodel import Session, col, select

from app.errors import NotFoundError
from app.judging.blind import BlindAnswer, BlindItem, BlindResponse, BlindSpan, is_complete, outbox_name
from app.studies.assignment import Slot, draw_sides, order_slots
from models import (
    Arm,
    Item,
    ItemResponse,
    Membership,
    Pair,
    Presentation,
    PresentationState,
    Response,
    Revision,
    Span,
    Study,
    StudyState,
    User,
)

_DONE = (PresentationState.SUBMITTED, PresentationState.SKIPPED)
_NOT_YOURS = "There is nothing at this address, or it is not yours to see."


@dataclass(frozen=True, slots=True)
class Desk:
    """A study as its annotator finds it: what is done, what is in hand, what is free, and when held work comes back."""

    study_id: str
    name: str
    guidelines: str
    state: StudyState
    done: int
    in_hand: str
    free: int
    held_until: datetime | None
    last_done: str

    @property
    def total(self) -> int:
        """Items this annotator has done or could still do."""
        return self.done + self.free + bool(self.in_hand)


def claim(session: Session, study: Study, annotator: User, now: datetime, *, lease: timedelta) -> str | None:
    """Lease the next item to an annotator and return its token; None when there is nothing for them now.

    Their own unfinished item comes first, also one whose lease ran out while a place is free. The caller's write
    transaction is exclusive on SQLite and elsewhere locks the study's row, so the overlap cap holds.
    """
    session.exec(select(Study.id).where(Study.id == study.id).with_for_update()).one()
    if study.state != StudyState.OPEN:
        return None
    _expire(session, study.id, now)
    member = session.get_one(Membership, (study.id, annotator.id))
    taken = _taken(session, study.id, now)
    own = _own(session, study.id, annotator.id)
    for presentation in own:
        if renew(session, presentation, study, now, lease=lease):
            return presentation.id
    seen = {(presentation.item_id, presentation.pair_id) for presentation in own}
    slots = [slot for slot in _slots(session, study.id, taken) if (slot.item_id, slot.pair_id) not in seen]
    ordered = order_slots(slots, seed=study.seed, overlap=study.overlap, pid=member.pid)
    if not ordered:
        return None
    return _hand_out(session, study, member, ordered[0], leased_until=now + lease)


def renew(session: Session, presentation: Presentation, study: Study, now: datetime, *, lease: timedelta) -> bool:
    """Extend an unfinished lease, one that ran out only while a place is free; tell whether it is held now."""
    if presentation.state in _DONE or not has_place(session, presentation, study, now):
        return False
    presentation.state = PresentationState.LEASED
    presentation.leased_until = now + lease
    session.add(presentation)
    session.flush()
    return True


def has_place(session: Session, presentation: Presentation, study: Study, now: datetime) -> bool:
    """Tell whether a judgment of this presentation would keep within the overlap."""
    return _may_hold(presentation, _taken(session, study.id, now), study, now)


def _may_hold(presentation: Presentation, taken: dict[tuple[str, str], int], study: Study, now: datetime) -> bool:
    if presentation.state == PresentationState.SUBMITTED:
        return True
    if presentation.state == PresentationState.LEASED and _aware(presentation.leased_until) > now:
        return True
    return taken.get((presentation.item_id, presentation.pair_id), 0) < study.overlap


def _own(session: Session, study_id: str, annotator_id: str) -> Sequence[Presentation]:
    return session.exec(
        select(Presentation)
        .where(Presentation.study_id == study_id, Presentation.annotator_id == annotator_id)
        .order_by(col(Presentation.created_at), col(Presentation.id))
    ).all()


def _expire(session: Session, study_id: str, now: datetime) -> None:
    session.exec(
        update(Presentation)
        .where(
            col(Presentation.study_id) == study_id,
            col(Presentation.state) == PresentationState.LEASED,
            col(Presentation.leased_until) <= now,
        )
        .values(state=PresentationState.EXPIRED)
    )


def _taken(session: Session, study_id: str, now: datetime) -> dict[tuple[str, str], int]:
    """Count what is judged or in hand per item and pair; who could not judge leaves the place to others."""
    query = (
        select(Presentation.item_id, Presentation.pair_id, func.count())
        .where(Presentation.study_id == study_id, _holds_a_place(now))
        .group_by(Presentation.item_id, Presentation.pair_id)
    )
    return {(item_id, pair_id): number for item_id, pair_id, number in session.exec(query)}


def _holds_a_place(now: datetime) -> ColumnElement[bool]:
    in_hand = and_(col(Presentation.state) == PresentationState.LEASED, col(Presentation.leased_until) > now)
    return or_(col(Presentation.state) == PresentationState.SUBMITTED, in_hand)


def _slots(session: Session, study_id: str, taken: dict[tuple[str, str], int]) -> list[Slot]:
    query = (
        select(Item.id, Pair.id).join(Pair, col(Pair.study_id) == col(Item.study_id)).where(Item.study_id == study_id)
    )
    return [Slot(item_id, pair_id, taken.get((item_id, pair_id), 0)) for item_id, pair_id in session.exec(query)]


def _hand_out(session: Session, study: Study, member: Membership, slot: Slot, *, leased_until: datetime) -> str:
    pair = session.get_one(Pair, slot.pair_id)
    answers = session.exec(
        select(Arm.name, Arm.id, ItemResponse.response_id)
        .join(ItemResponse, col(ItemResponse.arm_id) == col(Arm.id))
        .where(ItemResponse.item_id == slot.item_id, col(Arm.id).in_([pair.first_arm_id, pair.second_arm_id]))
    ).all()
    by_name = {name: (arm_id, response_id) for name, arm_id, response_id in answers}
    first, second = by_name
    order = draw_sides((first, second), seed=study.seed, item_id=slot.item_id, pid=member.pid)
    presentation = Presentation(
        study_id=study.id,
        item_id=slot.item_id,
        pair_id=slot.pair_id,
        annotator_id=member.user_id,
        left_arm_id=by_name[order.left][0],
        right_arm_id=by_name[order.right][0],
        left_response_id=by_name[order.left][1],
        right_response_id=by_name[order.right][1],
        side_order_key=order.key,
        leased_until=leased_until,
    )
    session.add(presentation)
    session.flush()
    return presentation.id


def own_presentation(session: Session, token: str, annotator: User) -> tuple[Presentation, Study]:
    """Load a presentation leased to this annotator, with its study. Raises NotFoundError for anybody else's."""
    row = session.exec(
        select(Presentation, Study)
        .join(Study, col(Study.id) == col(Presentation.study_id))
        .where(Presentation.id == token, Presentation.annotator_id == annotator.id)
    ).first()
    if row is None:
        raise NotFoundError(_NOT_YOURS)
    return row[0], row[1]


def texts_of(session: Session, presentation: Presentation) -> dict[str, str]:
    """Load the two stored texts by side."""
    return {
        "left": _response(session, presentation.left_response_id).text,
        "right": _response(session, presentation.right_response_id).text,
    }


def _response(session: Session, response_id: str) -> BlindResponse:
    text, finish = session.exec(select(Response.text, Response.finish).where(Response.id == response_id)).one()
    return BlindResponse(text, is_complete(finish))


def blind_item(session: Session, token: str, annotator: User, now: datetime, *, secret: str) -> BlindItem:
    """Load all that the judging page of `token` may show. Raises NotFoundError for anybody else's."""
    presentation, study = own_presentation(session, token, annotator)
    done = _done_tokens(session, study.id, annotator.id)
    submitted = presentation.state in _DONE
    at = done.index(token) if submitted else len(done)
    return BlindItem(
        token=token,
        study=study.name,
        prompt=session.get_one(Item, presentation.item_id).prompt,
        left=_response(session, presentation.left_response_id),
        right=_response(session, presentation.right_response_id),
        guidelines=study.guidelines,
        guideline_version=study.guideline_version,
        position=at + 1,
        total=desk(session, study, annotator, now).total,
        submitted=submitted,
        open=study.state == StudyState.OPEN,
        previous=done[at - 1] if at else "",
        next=done[at + 1] if at + 1 < len(done) else "",
        answer=latest_answer(session, token),
        outbox=outbox_name(secret, user_id=annotator.id, token=token),
    )


def latest_answer(session: Session, token: str) -> BlindAnswer:
    """Load the newest revision of an answer, draft or submitted; an empty one where nothing is saved."""
    revision = session.exec(
        select(Revision).where(Revision.presentation_id == token).order_by(col(Revision.number).desc()).limit(1)
    ).first()
    if revision is None:
        return BlindAnswer()
    spans = session.exec(select(Span).where(Span.revision_id == revision.id).order_by(col(Span.position))).all()
    return BlindAnswer(
        revision=revision.number,
        saved_at=_aware(revision.created_at).isoformat(timespec="milliseconds"),
        preference=revision.preference.value if revision.preference else "",
        ratings=revision.ratings,
        spans=tuple(BlindSpan(s.side.value, s.start, s.end, s.quote, s.type, s.severity.value, s.note) for s in spans),
        comment=revision.comment,
        flagged=revision.flagged,
        skip_reason=revision.skip_reason,
        recognised_model=revision.recognised_model,
        active_ms=revision.active_ms,
        wall_ms=revision.wall_ms,
    )


def desks_of(session: Session, annotator: User, now: datetime) -> list[Desk]:
    """List the studies an annotator belongs to, drafts left out, those with work first."""
    studies = session.exec(
        select(Study)
        .join(Membership, col(Membership.study_id) == col(Study.id))
        .where(Membership.user_id == annotator.id, Study.state != StudyState.DRAFT)
        .order_by(col(Membership.joined_at), col(Study.id))
    ).all()
    desks = [desk(session, study, annotator, now) for study in studies]
    return sorted(desks, key=lambda one: (one.state != StudyState.OPEN, not (one.in_hand or one.free)))


def desk(session: Session, study: Study, annotator: User, now: datetime) -> Desk:
    """Tell an annotator where they stand in a study: counts only, nothing of sides or of other people's answers."""
    taken = _taken(session, study.id, now)
    own = _own(session, study.id, annotator.id)
    in_hand = [one.id for one in own if one.state not in _DONE and _may_hold(one, taken, study, now)]
    seen = {(one.item_id, one.pair_id) for one in own}
    slots = [slot for slot in _slots(session, study.id, taken) if (slot.item_id, slot.pair_id) not in seen]
    done = _done_tokens(session, study.id, annotator.id)
    return Desk(
        study_id=study.id,
        name=study.name,
        guidelines=study.guidelines,
        state=study.state,
        done=len(done),
        in_hand=in_hand[0] if in_hand else "",
        free=sum(slot.taken < study.overlap for slot in slots) + max(0, len(in_hand) - 1),
        held_until=_held_until(session, study.id, annotator.id, seen, now),
        last_done=done[-1] if done else "",
    )


def _held_until(
    session: Session, study_id: str, annotator_id: str, seen: set[tuple[str, str]], now: datetime
) -> datetime | None:
    """When the first item that others hold, and this annotator has not seen, may come back."""
    held = session.exec(
        select(Presentation.item_id, Presentation.pair_id, Presentation.leased_until)
        .where(
            Presentation.study_id == study_id,
            Presentation.annotator_id != annotator_id,
            Presentation.state == PresentationState.LEASED,
            col(Presentation.leased_until) > now,
        )
        .order_by(col(Presentation.leased_until))
    ).all()
    return next((until for item_id, pair_id, until in held if (item_id, pair_id) not in seen), None)


def _done_tokens(session: Session, study_id: str, annotator_id: str) -> Sequence[str]:
    return session.exec(
        select(Presentation.id)
        .where(
            Presentation.study_id == study_id,
            Presentation.annotator_id == annotator_id,
            col(Presentation.state).in_(_DONE),
        )
        .order_by(col(Presentation.submitted_at), col(Presentation.id))
    ).all()


def _aware(moment: datetime) -> datetime:
    # SQLite gives timestamps back without their zone; all are stored in UTC.
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
