"""What is still wanted of a study's items, and how its sides lean: rows and counts, never an arm's name.

A place is held by a judgment, or by a lease that has not run out. Those of people who withdrew are held only where the
study keeps their judgments.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Executable, and_, func, or_, union_all
from sqlalchemy import select as columns
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select

from app.studies.assignment import Leans, Slot
from app.studies.stored import aware
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

_FIRST, _SECOND = aliased(ItemResponse), aliased(ItemResponse)
_FIRST_ARM, _SECOND_ARM = aliased(Arm), aliased(Arm)


class Handed(NamedTuple):
    """What somebody was handed, as far as deciding what comes next needs it."""

    id: str
    item_id: str
    pair_id: str
    left_arm_id: str
    right_arm_id: str
    state: PresentationState
    leased_until: datetime


def handed_to(session: Session, study_id: str, annotator_id: str) -> list[Handed]:
    """List what an annotator was ever handed in a study, oldest first."""
    rows = session.execute(
        columns(*(col(getattr(Presentation, name)) for name in Handed._fields))
        .where(col(Presentation.study_id) == study_id, col(Presentation.annotator_id) == annotator_id)
        .order_by(col(Presentation.created_at), col(Presentation.id))
    )
    return [Handed(*row) for row in rows]


def holds_a_place(study: Study, now: datetime) -> ColumnElement[bool]:
    """Tell in SQL whether a presentation of `study` is judged or in hand."""
    return and_(col(Presentation.study_id) == study.id, or_(_judged(), _in_hand(now)), *_staying(study))


def _judged() -> ColumnElement[bool]:
    return col(Presentation.state) == PresentationState.SUBMITTED


def _in_hand(now: datetime) -> ColumnElement[bool]:
    return and_(col(Presentation.state) == PresentationState.LEASED, col(Presentation.leased_until) > now)


def _staying(study: Study) -> list[ColumnElement[bool]]:
    """Leave out those who withdrew, where the study does not keep their judgments."""
    if study.withdrawal == WithdrawalPolicy.KEEP:
        return []
    gone = select(Membership.user_id).where(Membership.study_id == study.id, Membership.state == MemberState.WITHDRAWN)
    return [col(Presentation.annotator_id).not_in(gone)]


# How often an item, in a pair, with an arm on the left, is judged or in hand.
Places = Mapping[tuple[str, str, str], int]


def places_taken(session: Session, study: Study, now: datetime) -> Places:
    """Count the places of a study that are taken, all that choosing the next item looks at, in one pass."""
    where = (col(Presentation.item_id), col(Presentation.pair_id), col(Presentation.left_arm_id))
    # Each part by one state alone: so the index gives the rows in the order in which they are counted.
    parts = [
        columns(*where, func.count())
        .where(which, col(Presentation.study_id) == study.id, *_staying(study))
        .group_by(*where)
        for which in (_judged(), _in_hand(now))
    ]
    found: dict[tuple[str, str, str], int] = {}
    for item_id, pair_id, left, number in _rows(session, union_all(*parts)):
        found[item_id, pair_id, left] = found.get((item_id, pair_id, left), 0) + number
    return found


def _rows(session: Session, query: Executable) -> Sequence[Any]:
    """Read plain rows past the session, which takes as long again as the database where a claim reads thousands."""
    # Which the session does by itself: what was changed and not yet written counts here too.
    session.flush()
    return session.connection().execute(query).all()


def open_slots(session: Session, study: Study, own: Iterable[Handed], places: Places) -> list[Slot]:
    """List the regular items and pairs that want judgments, without full ones and what `own` forbids an annotator.

    An item lacks no response for the pair and none is withheld. Nobody gets an item and pair twice, nor, unless the
    study allows it, one prompt in two pairs.
    """
    taken: dict[tuple[str, str], int] = {}
    for (item_id, pair_id, _), number in places.items():
        taken[item_id, pair_id] = taken.get((item_id, pair_id), 0) + number
    first, second = _FIRST, _SECOND
    query = (
        columns(col(Item.id), col(Pair.id), func.coalesce(Item.overlap, study.overlap))
        .join(Pair, col(Pair.study_id) == col(Item.study_id))
        .join(first, and_(col(first.item_id) == col(Item.id), col(first.arm_id) == col(Pair.first_arm_id)))
        .join(second, and_(col(second.item_id) == col(Item.id), col(second.arm_id) == col(Pair.second_arm_id)))
        .where(
            col(Item.study_id) == study.id,
            col(Item.kind) == ItemKind.REGULAR,
            col(Pair.special).is_(False),
            col(first.withheld).is_(False),
            col(second.withheld).is_(False),
        )
    )
    rows = _rows(session, query)
    if study.repeat_items:
        had = {(one.item_id, one.pair_id) for one in own}
        rows = [row for row in rows if (row[0], row[1]) not in had]
    else:
        before = {one.item_id for one in own}
        rows = [row for row in rows if row[0] not in before]
    return [
        Slot(item_id, pair_id, number, wanted)
        for item_id, pair_id, wanted in rows
        if (number := taken.get((item_id, pair_id), 0)) < wanted
    ]


def special_slots(session: Session, study_id: str, kind: ItemKind) -> list[tuple[str, str]]:
    """List the practice or gold items of a study with their pair, in the order of their positions."""
    first, second = _FIRST, _SECOND
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
    rows = session.exec(select(Item.id, Item.kind).where(Item.study_id == study_id, Item.kind != ItemKind.REGULAR))
    return {item_id: ItemKind(kind) for item_id, kind in rows}


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


def leans_of(
    session: Session, study: Study, own: Iterable[Handed], places: Places, now: datetime, *, special: bool
) -> Leans:
    """Count how the sides lean, for one annotator over what they judged or have in hand, and for everybody.

    Regular pairs and the special one are balanced apart, since only regular items are results.
    """
    leading = _leading(session, study.id, special=special)
    of_them = Counter((one.pair_id, one.left_arm_id) for one in own if _is_counted(one, now))
    of_all: Counter[tuple[str, str]] = Counter()
    for (_, pair_id, left), number in places.items():
        of_all[pair_id, left] += number
    return Leans(own=_leans(of_them, leading), study=_leans(of_all, leading))


def own_leans(session: Session, study: Study, own: Iterable[Handed], now: datetime) -> dict[str, int]:
    """Count how the sides of regular pairs lean for one annotator alone."""
    of_them = Counter((one.pair_id, one.left_arm_id) for one in own if _is_counted(one, now))
    return _leans(of_them, _leading(session, study.id, special=False))


def _is_counted(one: Handed, now: datetime) -> bool:
    until = aware(one.leased_until)
    in_hand = one.state == PresentationState.LEASED and until is not None and until > now
    return in_hand or one.state == PresentationState.SUBMITTED


def _leading(session: Session, study_id: str, *, special: bool) -> dict[str, str]:
    """Name for each pair the arm that is alphabetically first."""
    first, second = _FIRST_ARM, _SECOND_ARM
    pairs = session.execute(
        columns(col(Pair.id), col(first.id), col(first.name), col(second.id), col(second.name))
        .join(first, col(first.id) == col(Pair.first_arm_id))
        .join(second, col(second.id) == col(Pair.second_arm_id))
        .where(col(Pair.study_id) == study_id, col(Pair.special).is_(special))
    )
    # Names are compared here and not by the database, whose order of letters may be another one.
    return {pair: one if name < other_name else other for pair, one, name, other, other_name in pairs}


def step_of(session: Session, presentation: Presentation | Handed) -> int:
    """Tell what a presentation adds to a lean: 1 where the alphabetically first arm stands left, -1 otherwise."""
    left, right = (session.get_one(Arm, key).name for key in (presentation.left_arm_id, presentation.right_arm_id))
    return 1 if left < right else -1


def _leans(sides: Mapping[tuple[str, str], int], leading: dict[str, str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for (pair_id, left), number in sides.items():
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
