"""Fill a study's missing responses through the engines; an interrupted run goes on where it stopped.

The page and the command line claim a run the same way and run the same function. Each response is stored with its trace
as soon as it ends, or it is written down why it could not be generated; one that fails never holds up the others.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import cast

import structlog
from sqlalchemy import Engine as Database
from starlette.concurrency import run_in_threadpool

from app.compare.answers import Fold
from app.compare.plan import Plan
from app.compare.queries import store_response
from app.compare.runner import ColumnDone, ColumnFailed, Event, run_columns
from app.db import reading, writing
from app.engines.open import Engines
from app.engines.protocol import Scores
from app.errors import EngineError
from app.leaks.scanning import scan_study, unscanned
from app.storage import in_words
from app.studies import generation
from app.studies.coverage import Hole
from app.studies.generation import Claimed, GeneratingError, RunEndedError
from app.studies.generation_plan import Batch, planned, turns
from app.studies.generation_rules import HEARTBEAT_S, reasons_in_words
from app.studies.queries import attach_response, get_study
from app.tokens.answer import Answer
from models import GenerationState
from models.base import now

# Items answered together: ten cost little more than one, because a step mostly reads the weights.
AT_ONCE = 10
_CRASHED = "It ended on an unexpected error; the server's log has the details. What was generated is kept."

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Progress:
    """How many of the responses that were missing are stored now, and which one came last."""

    done: int
    total: int
    position: int
    arm: str


@dataclass(slots=True)
class _Run:
    """A run under way: what is stored, why responses failed, and how many of an arm failed one after the other."""

    database: Database
    engines: Engines
    claimed: Claimed
    on_progress: Callable[[Progress], None]
    gate: asyncio.Lock
    done: int = 0
    reasons: list[str] = field(default_factory=list)
    in_a_row: Counter[str] = field(default_factory=Counter)
    last_reason: dict[str, str] = field(default_factory=dict)


async def generate_missing(
    database: Database, engines: Engines, study: str, *, on_progress: Callable[[Progress], None]
) -> int:
    """Generate what the study (id or address) lacks and return how many responses that were.

    Raises ConflictError while somebody else generates them, and, what is stored being kept, EngineError at the end
    when some could not be generated.
    """
    claimed = await _claim_patiently(database, study)
    return await run_claimed(database, engines, claimed, on_progress=on_progress) if claimed else 0


async def _claim_patiently(database: Database, study: str) -> Claimed | None:
    """Claim a run; wait for one that gives no sign of life, as after a closed terminal, until it counts as lost."""

    def claim() -> Claimed | None:
        with writing(database) as session:
            return generation.claim(session, get_study(session, study), now=now())

    seen = None
    while True:
        try:
            return await run_in_threadpool(claim)
        except GeneratingError as error:
            if seen is not None and seen != error.sign:
                raise
            seen = error.sign
        await asyncio.sleep(2 * HEARTBEAT_S)


async def run_claimed(
    database: Database,
    engines: Engines,
    claimed: Claimed,
    *,
    on_progress: Callable[[Progress], None] = lambda _: None,
    gate: asyncio.Lock | None = None,
) -> int:
    """Work a claimed run off, scan what came for leaks, and end the run; returns how many responses were stored.

    Runs that share a `gate` take turns, so that together they ask no more of the engines than one does.
    Raises RunEndedError when it was stopped from elsewhere and EngineError when responses failed. Cancelled, it is
    marked interrupted before anything else happens.
    """
    run = _Run(database, engines, claimed, on_progress, gate or asyncio.Lock())
    try:
        # In its log lines, and what its servers are told that it is.
        with structlog.contextvars.bound_contextvars(run=claimed.run_id):
            said = await _watched(database, claimed.run_id, _work(run))
        state = GenerationState.FAILED if run.reasons else GenerationState.DONE
        words = f"{_failed_words(run)}{said}" if run.reasons else said.strip()
        await run_in_threadpool(_end, database, claimed, state, words)
    except asyncio.CancelledError:
        await run_in_threadpool(_end, database, claimed, GenerationState.INTERRUPTED, generation.INTERRUPTED)
        raise
    except RunEndedError:
        raise
    except Exception as error:
        await run_in_threadpool(_end, database, claimed, GenerationState.FAILED, in_words(error, _CRASHED))
        raise
    if run.reasons:
        raise EngineError(_failed_words(run), remedy="What was generated is kept; run it again for the rest.")
    return run.done


async def _watched(database: Database, run_id: str, work: Coroutine[None, None, str]) -> str:
    """Do the work of a run and return what it says. Raises RunEndedError once it has ended elsewhere."""
    working, watching = asyncio.create_task(work), asyncio.create_task(_watch(database, run_id))
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise RunEndedError
        return await working
    finally:
        for task in (working, watching):
            task.cancel()
        await asyncio.gather(working, watching, return_exceptions=True)


async def _watch(database: Database, run_id: str) -> None:
    """Give signs of life until the run has ended elsewhere."""
    while True:
        await asyncio.sleep(HEARTBEAT_S)
        try:
            if not await run_in_threadpool(_touch, database, run_id):
                return
        except Exception:  # noqa: BLE001  a database that is busy for long must not end hours of work
            _log.exception("generation_not_touched", run=run_id)


def _touch(database: Database, run_id: str) -> bool:
    with writing(database) as session:
        return generation.touch(session, run_id, now=now())


def _end(database: Database, claimed: Claimed, state: GenerationState, message: str) -> None:
    with writing(database) as session:
        generation.end(session, claimed.run_id, state, message, now=now())


async def _work(run: _Run) -> str:
    """Fill what is missing and scan what came; says what the scan found."""
    for turn in turns(run.claimed.holes, AT_ONCE):
        async with run.gate:
            await _take_turn(run, turn)
    try:
        return await run_in_threadpool(_scan, run.database, run.claimed.study_id)
    except Exception:  # noqa: BLE001  the responses are there; opening the study scans again
        _log.exception("leak_scan_failed", study=run.claimed.study_id)
        return " The leak scan failed; start it under Leak flags."


def _failed_words(run: _Run) -> str:
    return f"{len(run.reasons)} of {len(run.claimed.holes)} could not be generated. {reasons_in_words(run.reasons)}"


def _scan(database: Database, study_id: str) -> str:
    """Scan what the present rules have not read yet, and say what came of it."""
    with reading(database) as session:
        if not unscanned(session, study_id):
            return ""
    new = scan_study(database, study_id).new
    return f" {new} new leak flag{'' if new == 1 else 's'} found." if new else ""


async def _take_turn(run: _Run, groups: Sequence[tuple[Hole, ...]]) -> None:
    """Answer some items together. Each runs to its end, whatever becomes of the others."""
    batches: list[Batch] = []
    hopeless: list[tuple[Hole, str]] = []
    for group in groups:
        given_up = [hole for hole in group if run.in_a_row[hole.arm_id] >= AT_ONCE]
        hopeless += [(hole, _not_asked(run.last_reason[hole.arm_id])) for hole in given_up]
        wanted = tuple(hole for hole in group if run.in_a_row[hole.arm_id] < AT_ONCE)
        batch, failures = await run_in_threadpool(planned, run.engines, run.claimed.arms, wanted)
        hopeless += failures
        batches += [batch] if batch else []
    if hopeless:
        await _note(run, hopeless)
    # Asked for in one go, items decode as one batch.
    ended = await asyncio.gather(*(_answer(run, batch) for batch in batches), return_exceptions=True)
    for problem in ended:
        if problem is not None:
            raise problem


def _not_asked(reason: str) -> str:
    return f"Not asked, because the {AT_ONCE} before it failed: {reason}"


async def _answer(run: _Run, batch: Batch) -> None:
    fold = Fold(batch.plan, lambda name: run.engines.tokenizer_for(name).token_bytes)
    # Closed at once when the run is cancelled, so that the engines stop within a step.
    async with aclosing(cast("AsyncGenerator[Event]", run_columns(run.engines, batch.plan))) as events:
        async for event in events:
            fold.take([event])
            if isinstance(event, ColumnFailed):
                hole = batch.holes[event.column]
                await _note(run, [(hole, event.sentence)])
                run.in_a_row[hole.arm_id] += 1
                run.last_reason[hole.arm_id] = event.sentence
            if isinstance(event, ColumnDone):
                await _keep(run, batch, event, fold.answer(event.column))


async def _note(run: _Run, failures: list[tuple[Hole, str]]) -> None:
    def store() -> list[tuple[Hole, str]]:
        with writing(run.database) as session:
            return generation.note_failures(session, run.claimed.run_id, failures, now=now())

    run.reasons += [sentence for _, sentence in await run_in_threadpool(store)]


async def _keep(run: _Run, batch: Batch, event: ColumnDone, answer: Answer) -> None:
    hole = batch.holes[event.column]
    await run_in_threadpool(_store, run, batch.plan, answer, event.scores, hole)
    run.done += 1
    run.in_a_row[hole.arm_id] = 0
    run.on_progress(Progress(done=run.done, total=len(run.claimed.holes), position=hole.position, arm=hole.arm))


def _store(run: _Run, plan: Plan, answer: Answer, scores: Scores, hole: Hole) -> None:
    with writing(run.database) as session:
        row = generation.still_running(session, run.claimed.run_id, now=now())
        response = store_response(session, plan, answer, scores)
        attach_response(session, item_id=hole.item_id, arm_id=hole.arm_id, response_id=response.id)
        generation.count_stored(session, row, hole)
