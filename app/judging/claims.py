"""Handing out work, never more than the overlap asks for and never another person's.

Arms are joined here once, by `_hand_out`, to draw the sides; none of that is returned.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, func, or_, update
from sqlmodel import Session, col, select

from app.judging.queries import DONE, aware
from app.studies.assignment import Slot, draw_sides, order_slots
from models import Arm, Item, ItemResponse, Membership, Pair, Presentation, PresentationState, Study, StudyState, User


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
    taken = taken_places(session, study.id, now)
    own = own_presentations(session, study.id, annotator.id)
    for presentation in own:
        if renew(session, presentation, study, now, lease=lease):
            return presentation.id
    seen = {(presentation.item_id, presentation.pair_id) for presentation in own}
    slots = [slot for slot in slots_of(session, study.id, taken) if (slot.item_id, slot.pair_id) not in seen]
    ordered = order_slots(slots, seed=study.seed, overlap=study.overlap, pid=member.pid)
    if not ordered:
        return None
    return _hand_out(session, study, member, ordered[0], leased_until=now + lease)


def renew(session: Session, presentation: Presentation, study: Study, now: datetime, *, lease: timedelta) -> bool:
    """Extend an unfinished lease, one that ran out only while a place is free; tell whether it is held now."""
    if presentation.state in DONE or not has_place(session, presentation, study, now):
        return False
    presentation.state = PresentationState.LEASED
    presentation.leased_until = now + lease
    session.add(presentation)
    session.flush()
    return True


def has_place(session: Session, presentation: Presentation, study: Study, now: datetime) -> bool:
    """Tell whether a judgment of this presentation would keep within the overlap."""
    return may_hold(presentation, taken_places(session, study.id, now), study, now)


def may_hold(presentation: Presentation, taken: dict[tuple[str, str], int], study: Study, now: datetime) -> bool:
    """Tell whether a presentation has, or may take, a place within the overlap."""
    if presentation.state == PresentationState.SUBMITTED:
        return True
    if presentation.state == PresentationState.LEASED and aware(presentation.leased_until) > now:
        return True
    return taken.get((presentation.item_id, presentation.pair_id), 0) < study.overlap


def own_presentations(session: Session, study_id: str, annotator_id: str) -> Sequence[Presentation]:
    """List what an annotator was ever handed in a study, oldest first."""
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


def taken_places(session: Session, study_id: str, now: datetime) -> dict[tuple[str, str], int]:
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


def slots_of(session: Session, study_id: str, taken: dict[tuple[str, str], int]) -> list[Slot]:
    """List every item and pair of a study with the places taken."""
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
