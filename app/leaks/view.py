"""What the leaks page shows: flags in groups of a kind and an arm, each quote with the text around it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlmodel import Session, col, select

from app.leaks.decisions import WORDS
from models import Arm, Item, ItemResponse, LeakDecision, LeakFlag, LeakKind, Response, User

AROUND = 160
SHOWN = 200


@dataclass(frozen=True, slots=True)
class FlagRow:
    """One flag: where it is, its quote between what stands before and after, and what was decided by whom."""

    id: str
    position: int
    response_id: str
    before: str
    quote: str
    after: str
    whole: bool
    detail: str
    decision: str
    decided_by: str
    decided_at: datetime | None


@dataclass(frozen=True, slots=True)
class Group:
    """The flags of one kind in one arm. `flags` are those shown; the counts are of all."""

    kind: str
    title: str
    arm: str
    total: int
    undecided: int
    maskable: bool
    flags: tuple[FlagRow, ...]


def groups_of(session: Session, study_id: str, *, everything: bool) -> tuple[list[Group], int]:
    """Return a study's flags by kind and arm, and how many are not shown for want of room.

    Without `everything`, decided flags are counted but not shown.
    """
    rows = _rows(session, study_id)
    keyed: dict[tuple[LeakKind, str], list[Any]] = {}
    for row in rows:
        keyed.setdefault((row[0].kind, row[1]), []).append(row)
    wanted = [row for row in rows if everything or row[0].decision is LeakDecision.UNDECIDED]
    shown = {row[0].id for row in wanted[:SHOWN]}
    texts = _texts(session, [row[0].response_id for row in wanted[:SHOWN]])
    groups = [_group(kind, arm, those, shown, texts) for (kind, arm), those in keyed.items()]
    return [group for group in groups if group.flags or everything], len(wanted) - len(shown)


def _rows(session: Session, study_id: str) -> Sequence[Any]:
    query = (
        select(LeakFlag, Arm.name, Item.position, User.name)
        .join(ItemResponse, col(ItemResponse.response_id) == col(LeakFlag.response_id))
        .join(Item, col(Item.id) == col(ItemResponse.item_id))
        .join(Arm, col(Arm.id) == col(ItemResponse.arm_id))
        .outerjoin(User, col(User.id) == col(LeakFlag.decided_by))
        .where(LeakFlag.study_id == study_id, Item.study_id == study_id)
        .order_by(col(LeakFlag.kind), col(Arm.name), col(Item.position), col(LeakFlag.start), col(LeakFlag.id))
    )
    return session.exec(query).all()


def _texts(session: Session, response_ids: Sequence[str]) -> dict[str, str]:
    wanted = set(response_ids)
    return dict(session.exec(select(Response.id, Response.text).where(col(Response.id).in_(wanted))).all())


def _group(kind: LeakKind, arm: str, rows: Sequence[Any], shown: set[str], texts: dict[str, str]) -> Group:
    counts = Counter(flag.decision for flag, *_ in rows)
    waiting = [flag for flag, *_ in rows if flag.decision is LeakDecision.UNDECIDED]
    return Group(
        kind=kind.value,
        title=WORDS[kind],
        arm=arm,
        total=len(rows),
        undecided=counts[LeakDecision.UNDECIDED],
        maskable=all(flag.end > flag.start for flag in waiting),
        flags=tuple(_flag_row(row, texts[row[0].response_id]) for row in rows if row[0].id in shown),
    )


def _flag_row(row: Any, text: str) -> FlagRow:
    flag, _, position, decided_by = row
    before, after = around(text, flag.start, flag.end, tail=flag.kind is LeakKind.TRUNCATION)
    return FlagRow(
        id=flag.id,
        position=position,
        response_id=flag.response_id,
        before=before,
        quote=flag.quote,
        after=after,
        whole=flag.start == flag.end,
        detail=flag.detail,
        decision=flag.decision.value,
        decided_by=decided_by or "",
        decided_at=flag.decided_at,
    )


def around(text: str, start: int, end: int, *, tail: bool) -> tuple[str, str]:
    """Cut what stands before and after a quote, an ellipsis where the text goes on.

    Where nothing is quoted, the second is the beginning of the text, or its `tail`, which tells where it was cut off.
    """
    if start < end:
        first, last = max(0, start - AROUND), min(len(text), end + AROUND)
    else:
        first = start = end = max(0, len(text) - 2 * AROUND) if tail else 0
        last = min(len(text), first + 2 * AROUND)
    return "… " * (first > 0) + text[first:start], text[end:last] + " …" * (last < len(text))
