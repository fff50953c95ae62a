"""How far each pair of a study is: judgments given, in hand and wanted, item by item. For researchers' routes alone."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select

from app.monitor.columns import ANSWERED, Sheet
from app.monitor.facts import SKIP
from app.monitor.in_hand import Leased
from models import Arm, Item, ItemKind, ItemResponse, Pair, Study


@dataclass(frozen=True, slots=True)
class Coverage:
    """A pair's regular items. `counted` caps each item's judgments at what it wants, so it never exceeds `wanted`.

    `complete` of `items` have all they want; `held_back` lack a response or have one that is shown to nobody, and
    want nothing. `beyond` are judgments above what was wanted, as after the overlap was lowered.
    """

    pair_id: str
    first: str
    second: str
    counted: int
    beyond: int
    in_hand: int
    skipped: int
    wanted: int
    complete: int
    items: int
    held_back: int


def coverage_of(session: Session, study: Study, sheet: Sheet, held: Iterable[Leased]) -> list[Coverage]:
    """Count every pair that is a result, by names; `held` is what is in somebody's hand."""
    first, second = aliased(Arm), aliased(Arm)
    pairs = session.exec(
        select(Pair.id, first.id, second.id, first.name, second.name)  # type: ignore[call-overload]
        .join(first, col(first.id) == col(Pair.first_arm_id))
        .join(second, col(second.id) == col(Pair.second_arm_id))
        .where(Pair.study_id == study.id, col(Pair.special).is_(False))
        .order_by(first.name, second.name)
    ).all()
    items = session.exec(
        select(Item.id, Item.overlap).where(Item.study_id == study.id, Item.kind == ItemKind.REGULAR)
    ).all()
    shown = _shown(session, study.id)
    counts = _counts(sheet, Counter((one.pair_id, one.item_id) for one in held))
    found = []
    for pair_id, one, other, name, other_name in pairs:
        wanted = {
            item_id: (study.overlap if overlap is None else overlap)
            for item_id, overlap in items
            if {one, other} <= shown.get(item_id, set())
        }
        found.append(_coverage(pair_id, (name, other_name), wanted, len(items), counts))
    return found


def _coverage(
    pair_id: str,
    names: tuple[str, str],
    wanted: dict[str, int],
    items: int,
    counts: dict[tuple[str, str], Sequence[int]],
) -> Coverage:
    rows = [(target, *counts.get((pair_id, item_id), (0, 0, 0))) for item_id, target in wanted.items()]
    return Coverage(
        pair_id=pair_id,
        first=names[0],
        second=names[1],
        counted=sum(min(judged, target) for target, judged, _, _ in rows),
        beyond=sum(max(0, judged - target) for target, judged, _, _ in rows),
        in_hand=sum(in_hand for _, _, in_hand, _ in rows),
        skipped=sum(skipped for *_, skipped in rows),
        wanted=sum(wanted.values()),
        complete=sum(judged >= target for target, judged, _, _ in rows),
        items=len(rows),
        held_back=items - len(rows),
    )


def _shown(session: Session, study_id: str) -> dict[str, set[str]]:
    """List the arms whose response to an item may be shown."""
    query = (
        select(ItemResponse.item_id, ItemResponse.arm_id)
        .join(Item, col(Item.id) == col(ItemResponse.item_id))
        .where(Item.study_id == study_id, col(ItemResponse.withheld).is_(False))
    )
    found: dict[str, set[str]] = {}
    for item_id, arm_id in session.exec(query):
        found.setdefault(item_id, set()).add(arm_id)
    return found


def _counts(sheet: Sheet, in_hand: Mapping[tuple[str, str], int]) -> dict[tuple[str, str], Sequence[int]]:
    """Count judged, in hand and skipped per pair and item; an item is skipped by whoever could not judge it."""
    columns = sheet.columns
    width = len(columns.items)
    case = columns.pair * width + columns.item
    skipped = columns.preference == ANSWERED.index(SKIP)
    judged, given_up = (np.bincount(case[rows], minlength=len(columns.pairs) * width) for rows in (~skipped, skipped))
    found = {
        (columns.pairs[at // width], columns.items[at % width]): (int(judged[at]), 0, int(given_up[at]))
        for at in np.flatnonzero(judged + given_up).tolist()
    }
    for key, number in in_hand.items():
        of_judged, _, of_skipped = found.get(key, (0, 0, 0))
        found[key] = (of_judged, number, of_skipped)
    return dict(found)


def pair_names(session: Session, study_id: str) -> dict[str, str]:
    """Name every pair that is a result, by id, in the order of the names."""
    first, second = aliased(Arm), aliased(Arm)
    query = (
        select(Pair.id, first.name, second.name)
        .join(first, col(first.id) == col(Pair.first_arm_id))
        .join(second, col(second.id) == col(Pair.second_arm_id))
        .where(Pair.study_id == study_id, col(Pair.special).is_(False))
        .order_by(first.name, second.name)
    )
    return {key: f"{one} against {other}" for key, one, other in session.exec(query)}
