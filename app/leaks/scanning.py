"""Scanning a study's responses: flags are stored, decisions made before are kept."""

from dataclasses import dataclass

from sqlalchemy import Engine as Database
from sqlmodel import Session, col, func, select

from app.db import reading, writing
from app.leaks.rules import VERSION, Answer, Flag, scan
from models import Arm, Item, ItemKind, ItemResponse, LeakDecision, LeakFlag, LeakKind, Response


@dataclass(frozen=True, slots=True)
class Scanned:
    """What a scan came to: responses read, flags they have now, and how many of those were not there before."""

    responses: int
    flags: int
    new: int


def scan_study(database: Database, study_id: str) -> Scanned:
    """Scan every response of a study and store what is found.

    Rules that compare arms need them all, so all are read each time. A flag found before keeps its decision; an
    undecided one that the rules no longer find is dropped. Reading and matching hold no lock.
    """
    with reading(database) as session:
        read = _read(session, study_id)
        found = scan([answer for _, answer in read], _names(session, study_id))
    with writing(database) as session:
        new = _store(session, study_id, found)
        _mark(session, study_id, {(item_id, answer.id) for item_id, answer in read})
    return Scanned(len(read), len(found), new)


def unscanned(session: Session, study_id: str) -> int:
    """Count the responses that the present rules have not read."""
    query = (
        select(func.count())
        .select_from(ItemResponse)
        .join(Item, col(Item.id) == col(ItemResponse.item_id))
        .where(Item.study_id == study_id, ItemResponse.scanned_with != VERSION)
    )
    return session.exec(query).one()


def undecided(session: Session, study_id: str) -> int:
    """Count the flags that wait for a decision."""
    query = select(func.count()).where(LeakFlag.study_id == study_id, col(LeakFlag.decision) == LeakDecision.UNDECIDED)
    return session.exec(query).one()


def _read(session: Session, study_id: str) -> list[tuple[str, Answer]]:
    query = (
        select(Item, Arm, Response)
        .select_from(ItemResponse)
        .join(Item, col(Item.id) == col(ItemResponse.item_id))
        .join(Arm, col(Arm.id) == col(ItemResponse.arm_id))
        .join(Response, col(Response.id) == col(ItemResponse.response_id))
        .where(Item.study_id == study_id)
        .order_by(col(Item.position), col(Arm.name))
    )
    return [
        (
            item.id,
            Answer(
                one.id, arm.name, item.prompt, one.text, one.finish, not arm.special and item.kind == ItemKind.REGULAR
            ),
        )
        for item, arm, one in session.exec(query)
    ]


def _names(session: Session, study_id: str) -> set[str]:
    arms = session.exec(select(Arm.name, Arm.checkpoint).where(Arm.study_id == study_id, col(Arm.special).is_(False)))
    return {name for both in arms for name in both}


def _store(session: Session, study_id: str, found: list[Flag]) -> int:
    known = {
        (flag.response_id, flag.kind.value, flag.start, flag.end): flag
        for flag in session.exec(select(LeakFlag).where(LeakFlag.study_id == study_id))
    }
    keys = {(flag.answer, flag.kind, flag.start, flag.end) for flag in found}
    for key, row in known.items():
        if key not in keys and row.decision is LeakDecision.UNDECIDED:
            session.delete(row)
    fresh = [flag for flag in found if (flag.answer, flag.kind, flag.start, flag.end) not in known]
    session.add_all(
        LeakFlag(
            study_id=study_id,
            response_id=flag.answer,
            kind=LeakKind(flag.kind),
            start=flag.start,
            end=flag.end,
            quote=flag.quote,
            detail=flag.detail,
        )
        for flag in fresh
    )
    session.flush()
    return len(fresh)


def _mark(session: Session, study_id: str, read: set[tuple[str, str]]) -> None:
    query = (
        select(ItemResponse)
        .join(Item, col(Item.id) == col(ItemResponse.item_id))
        .where(Item.study_id == study_id, ItemResponse.scanned_with != VERSION)
    )
    for row in session.exec(query):
        # One that arrived while the others were read waits for the next scan.
        if (row.item_id, row.response_id) in read:
            row.scanned_with = VERSION
            session.add(row)
    session.flush()
