"""Handing out work, never more than the overlap asks for and never another person's.

Arms are joined here once, by `_hand_out`, to draw the sides; none of that is returned. Whatever decides about a place
first ends the leases that ran out: a clock that is set back later must not revive them beside those who followed.
The caller writes, and who writes is alone (decision 0017), so what is read here stays true until the commit.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, or_
from sqlmodel import Session, col, select, update

from app.errors import ConflictError
from app.judging.check import may_start
from app.judging.queries import DONE, aware
from app.studies.assignment import Leans, Slot, draw_sides, gold_places, next_slot
from app.studies.slots import (
    Handed,
    handed_to,
    kinds_of,
    leans_of,
    open_slots,
    own_leans,
    places_left,
    places_taken,
    regular_reach,
    special_slots,
    step_of,
)
from models import (
    Arm,
    ItemKind,
    ItemResponse,
    Membership,
    MemberState,
    Pair,
    Presentation,
    PresentationState,
    Study,
    StudyState,
    User,
)


def claim(session: Session, study: Study, annotator: User, now: datetime, *, lease: timedelta) -> str | None:
    """Lease the next item to an annotator and return its token; None when there is nothing for them now.

    What they have in hand comes first, then what lapsed while a place is free; then practice, then regular items with
    gold among them. A lapsed item waits while its sides would leave theirs two out of balance.
    """
    member = session.get_one(Membership, (study.id, annotator.id))
    if study.state != StudyState.OPEN or member.state != MemberState.ACTIVE:
        return None
    if not may_start(session, study, annotator.id):
        return None
    _end_leases(session, study.id, now, latest=now + lease)
    own = handed_to(session, study.id, annotator.id)
    kinds = kinds_of(session, study.id)
    full = limit_left(study, regular_done(own, kinds)) == 0
    lapsed = [one for one in own if one.state == PresentationState.EXPIRED and one.item_id not in kinds]
    in_hand = [one for one in own if one.state not in DONE and one not in lapsed]
    fitting, tipping = ([], []) if full else _by_balance(session, study, own, lapsed, now)
    for one in (*in_hand, *fitting):
        if renew(session, session.get_one(Presentation, one.id), study, now, lease=lease):
            return one.id
    found = _next(session, study, member, own, kinds, now)
    if found is None:
        # Better out of balance by one item than idle while places are free.
        tips = ((one.id, session.get_one(Presentation, one.id)) for one in tipping)
        return next((key for key, one in tips if renew(session, one, study, now, lease=lease)), None)
    slot, against = found
    return _hand_out(session, study, member, slot, now, against=against, leased_until=now + lease)


def renew(session: Session, presentation: Presentation, study: Study, now: datetime, *, lease: timedelta) -> bool:
    """Extend an unfinished lease, one that ran out only while a place is free; tell whether it is held now.

    Raises ConflictError for somebody who paused or withdrew.
    """
    if presentation.state in DONE or not has_place(session, presentation, study, now):
        return False
    presentation.state = PresentationState.LEASED
    presentation.leased_until = now + lease
    session.add(presentation)
    session.flush()
    return True


def has_place(session: Session, presentation: Presentation, study: Study, now: datetime) -> bool:
    """Tell whether a judgment of this presentation would keep within the overlap.

    Raises ConflictError for somebody who paused or withdrew.
    """
    refuse_absent(session, presentation)
    if _is_held(presentation, now):
        # Nothing is decided about a place: it is theirs already.
        return True
    _end_leases(session, study.id, now)
    return may_hold(session, presentation, study, now)


def may_hold(session: Session, presentation: Presentation | Handed, study: Study, now: datetime) -> bool:
    """Tell whether a presentation has, or may take, a place within the overlap."""
    if _is_held(presentation, now):
        return True
    left = places_left(session, study, presentation.item_id, presentation.pair_id, now)
    return left is None or left > 0


def refuse_absent(session: Session, presentation: Presentation) -> None:
    """Raise ConflictError where the annotator of a presentation paused or withdrew: they are not at work."""
    member = session.get_one(Membership, (presentation.study_id, presentation.annotator_id))
    if member.state == MemberState.WITHDRAWN:
        raise ConflictError("You are no longer part of this study, so nothing more is saved in it.")
    if member.state == MemberState.PAUSED:
        raise ConflictError(
            "Your work in this study is paused, so nothing can be saved now.", remedy="Your desk says how to go on."
        )


def release(session: Session, study_id: str, annotator_id: str, now: datetime) -> None:
    """Give back at once whatever an annotator has in hand; drafts are kept."""
    mine = select(Presentation.id).where(_leased(study_id), Presentation.annotator_id == annotator_id)
    held = session.exec(mine).all()
    _change(session, held, state=PresentationState.EXPIRED, leased_until=now)


def _is_held(presentation: Presentation | Handed, now: datetime) -> bool:
    leased = presentation.state == PresentationState.LEASED and aware(presentation.leased_until) > now
    return leased or presentation.state == PresentationState.SUBMITTED


def gold_left(session: Session, study: Study, member: Membership, own: Sequence[Handed]) -> list[tuple[int, Slot]]:
    """List the gold items an annotator has not had, each with how many regular items come before it."""
    pairs = dict(special_slots(session, study.id, ItemKind.GOLD))
    if not pairs:
        return []
    seen = {presentation.item_id for presentation in own}
    places = gold_places(pairs, regular=regular_reach(session, study), seed=study.seed, pid=member.pid)
    return [(at, Slot(item_id, pairs[item_id], 0, 1)) for at, item_id in places if item_id not in seen]


def practice_left(session: Session, study_id: str, own: Iterable[Handed]) -> list[Slot]:
    """List the practice items an annotator has not had, in order."""
    seen = {presentation.item_id for presentation in own}
    practice = special_slots(session, study_id, ItemKind.PRACTICE)
    return [Slot(item_id, pair_id, 0, 1) for item_id, pair_id in practice if item_id not in seen]


def regular_done(own: Iterable[Handed], kinds: dict[str, ItemKind]) -> int:
    """Count the regular items an annotator has done or has in hand."""
    counted = (*DONE, PresentationState.LEASED)
    return sum(one.state in counted and one.item_id not in kinds for one in own)


def limit_left(study: Study, done: int) -> int | None:
    """Count the regular items an annotator may still take under the study's limit; None without one."""
    return None if study.per_annotator is None else max(0, study.per_annotator - done)


def _next(
    session: Session,
    study: Study,
    member: Membership,
    own: Sequence[Handed],
    kinds: dict[str, ItemKind],
    now: datetime,
) -> tuple[Slot, int] | None:
    """Choose the next item, with what balance asks of its sides."""
    # Most studies have neither practice nor gold, and looking for them costs as much as the item itself.
    practice = practice_left(session, study.id, own) if ItemKind.PRACTICE in kinds.values() else []
    places = places_taken(session, study, now)
    if practice:
        return _with_sides(practice[0], leans_of(session, study, own, places, now, special=True))
    done = regular_done(own, kinds)
    slots = [] if limit_left(study, done) == 0 else open_slots(session, study, own, places)
    if not slots:
        return None
    due = gold_left(session, study, member, own) if ItemKind.GOLD in kinds.values() else []
    gold = [slot for at, slot in due if at <= done]
    if gold:
        return _with_sides(gold[0], leans_of(session, study, own, places, now, special=True))
    leans = leans_of(session, study, own, places, now, special=False)
    return _with_sides(next_slot(slots, leans, seed=study.seed, pid=member.pid), leans)


def _by_balance(
    session: Session, study: Study, own: Sequence[Handed], lapsed: Sequence[Handed], now: datetime
) -> tuple[list[Handed], list[Handed]]:
    """Split an annotator's lapsed items: those that keep their sides within one, and those that would not.

    Sides are never drawn anew: a page that is still open, or work kept in a browser, would answer for the wrong ones.
    """
    if not lapsed:
        return [], []
    lean = sum(own_leans(session, study, own, now).values())
    fits = {one.id: abs(lean + step_of(session, one)) <= 1 for one in lapsed}
    return [one for one in lapsed if fits[one.id]], [one for one in lapsed if not fits[one.id]]


def _with_sides(slot: Slot, leans: Leans) -> tuple[Slot, int]:
    return slot, leans.against(slot.pair_id)


def _leased(study_id: str) -> ColumnElement[bool]:
    # Nothing that is leased was ever submitted, and by that the index finds it among a hundred thousand judgments.
    return and_(
        col(Presentation.study_id) == study_id,
        col(Presentation.submitted_at).is_(None),
        col(Presentation.state) == PresentationState.LEASED,
    )


def _end_leases(session: Session, study_id: str, now: datetime, *, latest: datetime | None = None) -> None:
    """End the leases that ran out, and cut to `latest` those that go beyond it."""
    wrong = col(Presentation.leased_until) <= now
    if latest is not None:
        # Given out while the clock was ahead, a lease would hide its place for as long as the clock was wrong.
        wrong = or_(wrong, col(Presentation.leased_until) > latest)
    found = session.exec(select(Presentation.id, Presentation.leased_until).where(_leased(study_id), wrong)).all()
    over = [token for token, until in found if aware(until) <= now]
    _change(session, over, state=PresentationState.EXPIRED)
    _change(session, [token for token, _ in found if token not in over], leased_until=latest)


def _change(session: Session, tokens: Sequence[str], **values: object) -> None:
    if tokens:
        session.exec(update(Presentation).where(col(Presentation.id).in_(tokens)).values(**values))


def _hand_out(
    session: Session,
    study: Study,
    member: Membership,
    slot: Slot,
    now: datetime,
    *,
    against: int,
    leased_until: datetime,
) -> str:
    answers = session.exec(
        select(Arm.name, Arm.id, ItemResponse.response_id)
        .join(Pair, or_(col(Arm.id) == col(Pair.first_arm_id), col(Arm.id) == col(Pair.second_arm_id)))
        .join(ItemResponse, col(ItemResponse.arm_id) == col(Arm.id))
        .where(Pair.id == slot.pair_id, ItemResponse.item_id == slot.item_id)
    ).all()
    by_name = {name: (arm_id, response_id) for name, arm_id, response_id in answers}
    first, second = by_name
    order = draw_sides((first, second), seed=study.seed, item_id=slot.item_id, pid=member.pid, against=against)
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
        created_at=now,
    )
    session.add(presentation)
    session.flush()
    return presentation.id
