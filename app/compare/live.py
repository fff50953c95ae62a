"""Comparisons that are running. A run belongs to the server: pages come and go, reload and follow it in second tabs.

Each run is one task and an append-only log of its events. A column is stored before its ending enters the log, so
nothing is shown as done that a restart could lose.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace

import structlog
from sqlalchemy import Engine as Database
from starlette.concurrency import run_in_threadpool

from app.compare import queries
from app.compare.answers import Fold
from app.compare.plan import Plan
from app.compare.runner import ColumnDone, ColumnFailed, ColumnStopped, Ending, Event, Finished, run_columns
from app.db import writing
from app.engines.open import Engines
from app.errors import AppError, TooManyRequestsError
from app.storage import in_words
from app.tokens.answer import Answer
from models import RunState
from models.base import new_id

MAX_RUNS = 8
MAX_RUNS_EACH = 3
SHUTDOWN_S = 5.0

_log = structlog.get_logger(__name__)


class StoppingError(AppError):
    """The server takes nothing new any more."""

    status = 503


class LiveRun:
    """One running comparison: what was asked, and everything that has happened so far."""

    def __init__(self, plan: Plan, *, owner: str, engines: Engines) -> None:
        """Prepare a run under a fresh id; nothing starts yet."""
        self.id = new_id()
        self.plan = plan
        self.owner = owner
        self.engines = engines
        self.log: list[Event] = []
        self.stop = asyncio.Event()
        self.interrupted = False
        self.task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()

    def fold(self, upto: int | None = None) -> Fold:
        """Return the columns as they stood after the first `upto` events (all of them when None)."""
        return Fold(self.plan, self._namer).take(self.log[:upto])

    def ended(self, ending: Ending) -> Answer:
        """Return the column an ending belongs to, as it will be stored."""
        answer = self.fold().take([ending]).answer(ending.column)
        if self.interrupted and isinstance(ending, ColumnStopped):
            return replace(answer, state=RunState.INTERRUPTED, message=queries.INTERRUPTED)
        return answer

    async def follow(self, after: int) -> AsyncIterator[tuple[int, Sequence[Event]]]:
        """Yield (log length, new events) from the `after`-th event on, until the run has finished."""
        while True:
            changed = self._changed
            if after < len(self.log):
                events = self.log[after:]
                after += len(events)
                yield after, events
                if isinstance(events[-1], Finished):
                    return
                continue
            if self.task is not None and self.task.done():
                return
            await changed.wait()

    def append(self, event: Event) -> None:
        """Add an event and wake everybody who follows."""
        self.log.append(event)
        self.wake()

    def wake(self) -> None:
        """Let followers look again."""
        self._changed.set()
        self._changed = asyncio.Event()

    def _namer(self, checkpoint: str) -> Callable[[int], bytes | None]:
        return self.engines.tokenizer_for(checkpoint).token_bytes


class LiveRuns:
    """The comparisons this process runs, by id. Lives on `app.state.live_runs`; changed on the event loop only."""

    def __init__(self, database: Database) -> None:
        """Start empty; whatever an earlier process left running is marked interrupted."""
        self._database = database
        self._runs: dict[str, LiveRun] = {}
        self._closing = False
        with writing(database) as session:
            if count := queries.interrupt_unfinished(session):
                _log.info("interrupted_comparisons", count=count)

    def get(self, comparison_id: str) -> LiveRun | None:
        """Return a run that has not finished, or None."""
        return self._runs.get(comparison_id)

    def admit(self, run: LiveRun) -> None:
        """Take a place for a run. Raises TooManyRequestsError when there is none, StoppingError at the end."""
        if self._closing:
            raise StoppingError("The server is being stopped.", remedy="Run it again in a minute.")
        mine = sum(other.owner == run.owner for other in self._runs.values())
        if mine >= MAX_RUNS_EACH:
            raise TooManyRequestsError(
                f"You already have {mine} comparisons running.", remedy="Stop one of them, or wait until it is done."
            )
        if len(self._runs) >= MAX_RUNS:
            raise TooManyRequestsError(
                f"{len(self._runs)} comparisons are running on this server already.", remedy="Try again in a minute."
            )
        self._runs[run.id] = run

    def start(self, run: LiveRun) -> None:
        """Start an admitted run, once its rows are in the database."""
        run.task = asyncio.create_task(self._drive(run))

    def drop(self, run: LiveRun) -> None:
        """Give a place back."""
        self._runs.pop(run.id, None)

    async def aclose(self) -> None:
        """End every run for a shutdown: each keeps what it has and is marked interrupted, and its pages are told."""
        self._closing = True
        tasks = []
        for run in list(self._runs.values()):
            run.interrupted = True
            run.stop.set()
            if run.task is not None:
                tasks.append(run.task)
        if not tasks:
            return
        _, slow = await asyncio.wait(tasks, timeout=SHUTDOWN_S)
        for task in slow:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await run_in_threadpool(self._interrupt_unfinished)

    def _interrupt_unfinished(self) -> None:
        with writing(self._database) as session:
            queries.interrupt_unfinished(session)

    async def _drive(self, run: LiveRun) -> None:
        try:
            async for event in run_columns(run.engines, run.plan, stop=run.stop):
                if isinstance(event, Ending):
                    run.append(await self._keep(run, event))
                elif isinstance(event, Finished):
                    await run_in_threadpool(self._finish, run)
                    run.append(event)
                else:
                    run.append(event)
        except Exception:
            _log.exception("comparison_crashed", comparison=run.id)
            raise
        finally:
            self.drop(run)
            run.wake()

    async def _keep(self, run: LiveRun, ending: Ending) -> Ending:
        """Store an ended column; one that cannot be stored has failed, whatever its engine thought."""
        answer = run.ended(ending)
        try:
            response_id = await run_in_threadpool(self._store, run, answer, ending)
        except Exception as error:  # noqa: BLE001 - the page must not show as done what was not kept
            _log.exception("column_not_stored", comparison=run.id, position=ending.column)
            return ColumnFailed(ending.column, f"The answer could not be saved. {in_words(error)}")
        if answer.state is RunState.INTERRUPTED:
            return ColumnFailed(ending.column, answer.message, ending.scores, response_id)
        return replace(ending, response_id=response_id)

    def _store(self, run: LiveRun, answer: Answer, ending: Ending) -> str | None:
        with writing(self._database) as session:
            return queries.store_answer(session, run.id, run.plan, answer, ending.scores)

    def _finish(self, run: LiveRun) -> None:
        with writing(self._database) as session:
            queries.finish_comparison(session, run.id, overall(run))


def overall(run: LiveRun) -> RunState:
    """Say how a finished run ended: interrupted and stopped by what was asked of it, failed when every column did."""
    if run.interrupted:
        return RunState.INTERRUPTED
    if run.stop.is_set():
        return RunState.STOPPED
    endings = [event for event in run.log if isinstance(event, Ending)]
    return RunState.DONE if any(isinstance(ending, ColumnDone) for ending in endings) else RunState.FAILED
