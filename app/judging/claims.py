"""Handing out work, never more than the overlap asks for and never another person's.

Arms are joined here once, by `_hand_out`, to draw the sides; none of that is returned. Whatever decides about a place
first ends the leases that ran out: a clock that is set back later must not revive them beside those who followed.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from sqlmodel import Session, col, select, update
from sqlmodel.sql.expression import SelectOfScalar

from app.errors import ConflictError
from app.judging.check import may_start
from app.judging.queries import DONE, aware
from app.studies.assignment import Leans, Slot, draw_sides, gold_places, next_slot
from app.studies.slots import kinds_of, leans_of, open_slots, places_left, regular_reach, special_slots, step_of
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
    gold among them. A lapsed item waits while its sides would leave theirs two out of balance. The caller's write
    transaction is exclusive on SQLite and elsewhere locks the study's row, so the overlap cap holds.
    """
    _lock(session, study.id)
    member = session.get_one(Membership, (study.id, annotator.id))
    if study.state != StudyState.OPEN or member.state != MemberState.ACTIVE:
        return None
    if not may_start(session, study, annotator.id):
        return None
    _end_leases(session, study.id, now)
    _shorten_leases(session, study.id, now + lease)
    own = own_presentations(session, study.id, annotator.id)
    kinds = kinds_of(session, study.id)
    full = limit_left(study, regular_done(own, kinds)) == 0
    lapsed = [one for one in own if one.state == PresentationState.EXPIRED and one.item_id not in kinds]
    in_hand = [one for one in own if one.state not in DONE and one not in lapsed]
    fitting, tipping = ([], []) if full else _by_balance(session, study, lapsed, now)
    for presentation in (*in_hand, *fitting):
        if renew(session, presentation, study, now, lease=lease):
            return presentation.id
    found = _next(session, study, member, own, now)
    if found is None:
        # Better out of balance by one item than idle while places are free.
        return next((one.id for one in tipping if renew(session, one, study, now, lease=lease)), None)
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
    """Tell whether a judgment of this presentation would keep within the overlap; the caller writes.

    Raises ConflictError for somebody who paused or withdrew.
    """
    refuse_absent(session, presentation)
    _lock(session, study.id)
    _end_leases(session, study.id, now)
    return may_hold(session, presentation, study, now)


def may_hold(session: Session, presentation: Presentation, study: Study, now: datetime) -> bool:
    """Tell whether a presentation has, or may take, a place within the overlap."""
    if presentation.state == PresentationState.SUBMITTED:
        return True
    if presentation.state == PresentationState.LEASED and aware(presentation.leased_until) > now:
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
    held = session.exec(_leased(study_id).where(Presentation.annotator_id == annotator_id)).all()
    _change(session, held, state=PresentationState.EXPIRED, leased_until=now)


def own_presentations(session: Session, study_id: str, annotator_id: str) -> Sequence[Presentation]:
    """List what an annotator was ever handed in a study, oldest first."""
    return session.exec(
        select(Presentation)
        .where(Presentation.study_id == study_id, Presentation.annotator_id == annotator_id)
        .order_by(col(Presentation.created_at), col(Presentation.id))
    ).all()


def gold_left(
    session: Session, study: Study, member: Membership, own: Sequence[Presentation]
) -> list[tuple[int, Slot]]:
    """List the gold items an annotator has not had, each with how many regular items come before it."""
    pairs = dict(special_slots(session, study.id, ItemKind.GOLD))
    if not pairs:
        return []
    seen = {presentation.item_id for presentation in own}
    places = gold_places(pairs, regular=regular_reach(session, study), seed=study.seed, pid=member.pid)
    return [(at, Slot(item_id, pairs[item_id], 0, 1)) for at, item_id in places if item_id not in seen]


def practice_left(session: Session, study_id: str, own: Iterable[Presentation]) -> list[Slot]:
    """List the practice items an annotator has not had, in order."""
    seen = {presentation.item_id for presentation in own}
    practice = special_slots(session, study_id, ItemKind.PRACTICE)
    return [Slot(item_id, pair_id, 0, 1) for item_id, pair_id in practice if item_id not in seen]


def regular_done(own: Iterable[Presentation], kinds: dict[str, ItemKind]) -> int:
    """Count the regular items an annotator has done or has in hand."""
    counted = (*DONE, PresentationState.LEASED)
    return sum(one.state in counted and one.item_id not in kinds for one in own)


def limit_left(study: Study, done: int) -> int | None:
    """Count the regular items an annotator may still take under the study's limit; None without one."""
    return None if study.per_annotator is None else max(0, study.per_annotator - done)


def _next(
    session: Session, study: Study, member: Membership, own: Sequence[Presentation], now: datetime
) -> tuple[Slot, int] | None:
    """Choose the next item, with what balance asks of its sides."""
    kinds = kinds_of(session, study.id)
    # Most studies have neither practice nor gold, and looking for them costs as much as the item itself.
    practice = practice_left(session, study.id, own) if ItemKind.PRACTICE in kinds.values() else []
    if practice:
        return _with_sides(practice[0], leans_of(session, study, member.user_id, now, special=True))
    done = regular_done(own, kinds)
    slots = [] if limit_left(study, done) == 0 else open_slots(session, study, member.user_id, now)
    if not slots:
        return None
    due = gold_left(session, study, member, own) if ItemKind.GOLD in kinds.values() else []
    gold = [slot for at, slot in due if at <= done]
    if gold:
        return _with_sides(gold[0], leans_of(session, study, member.user_id, now, special=True))
    leans = leans_of(session, study, member.user_id, now, special=False)
    return _with_sides(next_slot(slots, leans, seed=study.seed, pid=member.pid), leans)


def _by_balance(
    session: Session, study: Study, lapsed: Sequence[Presentation], now: datetime
) -> tuple[list[Presentation], list[Presentation]]:
    """Split an annotator's lapsed items: those that keep their sides within one, and those that would not.

    Sides are never drawn anew: a page that is still open, or work kept in a browser, would answer for the wrong ones.
    """
    if not lapsed:
        return [], []
    own = leans_of(session, study, lapsed[0].annotator_id, now, special=False).own
    fits = {one.id: abs(sum(own.values()) + step_of(session, one)) <= 1 for one in lapsed}
    return [one for one in lapsed if fits[one.id]], [one for one in lapsed if not fits[one.id]]


def _with_sides(slot: Slot, leans: Leans) -> tuple[Slot, int]:
    return slot, leans.against(slot.pair_id)


def _lock(session: Session, study_id: str) -> None:
    session.exec(select(Study.id).where(Study.id == study_id).with_for_update()).one()


def _leased(study_id: str) -> SelectOfScalar[str]:
    return select(Presentation.id).where(
        Presentation.study_id == study_id, Presentation.state == PresentationState.LEASED
    )


def _end_leases(session: Session, study_id: str, now: datetime) -> None:
    # A row somebody is saving is skipped: they hold it, and wait for the study's lock that we have.
    over = _leased(study_id).where(col(Presentation.leased_until) <= now).with_for_update(skip_locked=True)
    _change(session, session.exec(over).all(), state=PresentationState.EXPIRED)


def _shorten_leases(session: Session, study_id: str, latest: datetime) -> None:
    # Given out while the clock was ahead, a lease would hide its place for as long as the clock was wrong.
    beyond = _leased(study_id).where(col(Presentation.leased_until) > latest).with_for_update(skip_locked=True)
    _change(session, session.exec(beyond).all(), leased_until=latest)


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
    pair = session.get_one(Pair, slot.pair_id)
    answers = session.exec(
        select(Arm.name, Arm.id, ItemResponse.response_id)
        .join(ItemResponse, col(ItemResponse.arm_id) == col(Arm.id))
        .where(ItemResponse.item_id == slot.item_id, col(Arm.id).in_([pair.first_arm_id, pair.second_arm_id]))
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
