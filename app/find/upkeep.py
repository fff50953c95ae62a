"""Bring aggregates up to date in the background: traces stored before there were any, and every trace after a lexicon.

How far it is follows from the tables alone, so any page and any process can tell it, and a killed run goes on.
"""

import threading
from dataclasses import dataclass

import structlog
from sqlalchemy import Engine
from sqlmodel import Session, col, func, select

from app.db import reading, writing
from app.shift.lexicon import LexiconWords
from app.shift.packing import unpack
from app.tokens.aggregates import aggregate_row
from app.tokens.lexicon import current_lexicon
from app.tokens.store import texts_of
from models import Response, Trace, TraceAggregate

log = structlog.get_logger(__name__)

# Few enough that a write of them keeps nobody waiting.
CHUNK = 25
_running = threading.Lock()


@dataclass(frozen=True, slots=True)
class Upkeep:
    """How many traces are summed up by the lexicon in force, of how many."""

    done: int
    total: int

    @property
    def complete(self) -> bool:
        """Whether nothing is left to do."""
        return self.done >= self.total


def upkeep(session: Session) -> Upkeep:
    """Tell how far the aggregates are."""
    words = current_lexicon(session)
    current = select(func.count()).where(col(TraceAggregate.lexicon_sha256) == words.sha256)
    return Upkeep(done=session.exec(current).one(), total=session.exec(select(func.count(col(Trace.id)))).one())


def catch_up(database: Engine) -> None:
    """Sum up whatever is not, chunk by chunk; returns at once when this process is at it already."""
    if not _running.acquire(blocking=False):
        return
    try:
        damaged: set[str] = set()
        while _next_chunk(database, damaged):
            pass
    finally:
        _running.release()


def _next_chunk(database: Engine, damaged: set[str]) -> int:
    with reading(database) as session:
        words = current_lexicon(session)
        ids = _outdated(session, words, damaged)
        rows = [row for id_ in ids if (row := _summed(session, id_, words, damaged)) is not None]
    with writing(database) as session:
        for row in rows:
            session.merge(row)
    return len(ids)


def _outdated(session: Session, words: LexiconWords, damaged: set[str]) -> list[str]:
    """List some traces without an aggregate, or with one that another lexicon made."""
    summed = select(TraceAggregate.trace_id).where(TraceAggregate.trace_id == Trace.id)
    missing = select(Trace.id).where(~summed.exists(), col(Trace.id).not_in(damaged)).limit(CHUNK)
    found = list(session.exec(missing))
    if found:
        return found
    stale = select(TraceAggregate.trace_id).where(
        col(TraceAggregate.lexicon_sha256) != words.sha256, col(TraceAggregate.trace_id).not_in(damaged)
    )
    return list(session.exec(stale.limit(CHUNK)))


def _summed(session: Session, trace_id: str, words: LexiconWords, damaged: set[str]) -> TraceAggregate | None:
    trace = session.get_one(Trace, trace_id)
    response = session.get_one(Response, trace.response_id)
    try:
        return aggregate_row(response, trace, unpack(trace.tokens), texts_of(response), words)
    except ValueError as error:
        log.warning("trace not summed up", trace=trace_id, reason=str(error))
        damaged.add(trace_id)
        return None
