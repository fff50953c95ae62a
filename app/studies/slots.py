"""What is still wanted of a study's items, and how its sides lean: rows and counts, never an arm's name.

A place is held by a judgment, or by a lease that has not run out. Those of people who withdrew are held only where the
study keeps their judgments.
"""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import ColumnElement, and_, func, or_
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select

from app.studies.assignment import Leans, Slot
from models import (
    Arm,
    Item,
    ItemKind,
    ItemResponse,
    Membership,
    MemberState,
    Pair,
    Presentation,
    PresentationState,
    Study,
    WithdrawalPolicy,
)


def holds_a_place(study: Study, now: datetime) -> ColumnElement[bool]:
    """Tell in SQL whether a presentation of `study` is judged or in hand."""
    held = and_(col(Presentation.study_id) == study.id, _counts(now))
    if study.withdrawal == WithdrawalPolicy.KEEP:
        return held
    gone = select(Membership.user_id).where(Membership.study_id == study.id, Membership.state == MemberState.WITHDRAWN)
    return and_(held, col(Presentation.annotator_id).not_in(gone))


def _counts(now: datetime) -> ColumnElement[bool]:
    in_hand = and_(col(Presentation.state) == PresentationState.LEASED, col(Presentation.leased_until) > now)
    return or_(col(Presentation.state) == PresentationState.SUBMITTED, in_hand)


def open_slots(session: Session, study: Study, annotator_id: str, now: datetime) -> list[Slot]:
    """List the regular items and pairs that want judgments and that this annotator may take, full ones left out.

    An item lacks no response for the pair and none is withheld. Nobody gets an item and pair twice, nor, unless the
    study allows it, one prompt in two pairs.
    """
    taken = (
        select(Presentation.item_id, Presentation.pair_id, func.count().label("taken"))
        .where(holds_a_place(study, now))
        .group_by(col(Presentation.item_id), col(Presentation.pair_id))
        .subquery()
    )
    first, second = aliased(ItemResponse), aliased(ItemResponse)
    wanted = func.coalesce(Item.overlap, study.overlap)
    given = func.coalesce(taken.c.taken, 0)
    query = (
        select(Item.id, Pair.id, given, wanted)
        .join(Pair, col(Pair.study_id) == col(Item.study_id))
        .join(first, and_(col(first.item_id) == col(Item.id), col(first.arm_id) == col(Pair.first_arm_id)))
        .join(second, and_(col(second.item_id) == col(Item.id), col(second.arm_id) == col(Pair.second_arm_id)))
        .outerjoin(taken, and_(taken.c.item_id == col(Item.id), taken.c.pair_id == col(Pair.id)))
        .where(
            Item.study_id == study.id,
            Item.kind == ItemKind.REGULAR,
            col(Pair.special).is_(False),
            col(first.withheld).is_(False),
            col(second.withheld).is_(False),
            given < wanted,
        )
    )
    seen = select(Presentation.item_id, Presentation.pair_id).where(
        Presentation.study_id == study.id, Presentation.annotator_id == annotator_id
    )
    own = session.exec(seen).all()
    before: Collection[object] = set(own) if study.repeat_items else {item_id for item_id, _ in own}
    return [
        Slot(item_id, pair_id, taken, wanted)
        for item_id, pair_id, taken, wanted in session.exec(query)
        if ((item_id, pair_id) if study.repeat_items else item_id) not in before
    ]


def special_slots(session: Session, study_id: str, kind: ItemKind) -> list[tuple[str, str]]:
    """List the practice or gold items of a study with their pair, in the order of their positions."""
    first, second = aliased(ItemResponse), aliased(ItemResponse)
    query = (
        select(Item.id, Pair.id)
        .join(Pair, col(Pair.study_id) == col(Item.study_id))
        .join(first, and_(col(first.item_id) == col(Item.id), col(first.arm_id) == col(Pair.first_arm_id)))
        .join(second, and_(col(second.item_id) == col(Item.id), col(second.arm_id) == col(Pair.second_arm_id)))
        .where(
            Item.study_id == study_id,
            Item.kind == kind,
            col(first.withheld).is_(False),
            col(second.withheld).is_(False),
        )
        .order_by(col(Item.position), col(Pair.id))
    )
    return list(session.exec(query))


def kinds_of(session: Session, study_id: str) -> dict[str, ItemKind]:
    """Name the kind of every practice and gold item; all others are regular."""
    items = session.exec(select(Item).where(Item.study_id == study_id, Item.kind != ItemKind.REGULAR))
    return {item.id: item.kind for item in items}


def regular_reach(session: Session, study: Study) -> int:
    """Count the regular items one annotator could ever be handed."""
    items = select(func.count()).where(Item.study_id == study.id, Item.kind == ItemKind.REGULAR)
    pairs = select(func.count()).where(Pair.study_id == study.id, col(Pair.special).is_(False))
    most = session.exec(items).one() * (session.exec(pairs).one() if study.repeat_items else 1)
    return most if study.per_annotator is None else min(most, study.per_annotator)


def places_left(session: Session, study: Study, item_id: str, pair_id: str, now: datetime) -> int | None:
    """Count the places left for one item and pair; None where everybody gets it."""
    item = session.get_one(Item, item_id)
    if item.kind != ItemKind.REGULAR:
        return None
    taken = session.exec(
        select(func.count()).where(
            holds_a_place(study, now), Presentation.item_id == item_id, Presentation.pair_id == pair_id
        )
    ).one()
    return (study.overlap if item.overlap is None else item.overlap) - taken


def leans_of(session: Session, study: Study, annotator_id: str, now: datetime, *, special: bool) -> Leans:
    """Count how the sides lean, for one annotator over what they judged or have in hand, and for everybody.

    Regular pairs and the special one are balanced apart, since only regular items are results.
    """
    names = dict(session.exec(select(Arm.id, Arm.name).where(Arm.study_id == study.id)).all())
    pairs = session.exec(select(Pair).where(Pair.study_id == study.id, col(Pair.special).is_(special)))
    # Names are compared here and not by the database, whose order of letters may be another one.
    leading = {pair.id: min((pair.first_arm_id, pair.second_arm_id), key=names.__getitem__) for pair in pairs}
    of_them = and_(
        col(Presentation.study_id) == study.id,
        col(Presentation.annotator_id) == annotator_id,
        _counts(now),
    )
    return Leans(
        own=_leans(session, of_them, leading),
        study=_leans(session, holds_a_place(study, now), leading),
    )


def step_of(session: Session, presentation: Presentation) -> int:
    """Tell what a presentation adds to a lean: 1 where the alphabetically first arm stands left, -1 otherwise."""
    left, right = (session.get_one(Arm, key).name for key in (presentation.left_arm_id, presentation.right_arm_id))
    return 1 if left < right else -1


def _leans(session: Session, which: ColumnElement[bool], leading: dict[str, str]) -> dict[str, int]:
    query = (
        select(Presentation.pair_id, Presentation.left_arm_id, func.count())
        .where(which)
        .group_by(Presentation.pair_id, Presentation.left_arm_id)
    )
    found: dict[str, int] = {}
    for pair_id, left, number in session.exec(query):
        if pair_id in leading:
            found[pair_id] = found.get(pair_id, 0) + (number if left == leading[pair_id] else -number)
    return found


def held_by_others(session: Session, study: Study, annotator_id: str, now: datetime) -> tuple[int, datetime | None]:
    """Count the items others have in hand that this annotator has not seen, and tell when the first may come back."""
    before = select(Presentation.item_id).where(
        Presentation.study_id == study.id, Presentation.annotator_id == annotator_id
    )
    held = session.exec(
        select(Presentation.item_id, Presentation.leased_until)
        .join(Item, col(Item.id) == col(Presentation.item_id))
        .where(
            Presentation.study_id == study.id,
            Presentation.annotator_id != annotator_id,
            Presentation.state == PresentationState.LEASED,
            col(Presentation.leased_until) > now,
            Item.kind == ItemKind.REGULAR,
            col(Presentation.item_id).not_in(before),
        )
        .order_by(col(Presentation.leased_until))
    ).all()
    return len({item_id for item_id, _ in held}), held[0][1] if held else None
