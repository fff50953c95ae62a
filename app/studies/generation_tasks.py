"""The generation runs of this server: each is one task, begun by a page and ended with the server."""

import asyncio

import structlog
from sqlalchemy import Engine as Database
from starlette.concurrency import run_in_threadpool

from app.db import writing
from app.engines.open import Engines
from app.errors import AppError
from app.studies import generation
from app.studies.generate import run_claimed
from app.studies.generation import Claimed
from models import GenerationState
from models.base import now

SHUTDOWN_S = 5.0

_log = structlog.get_logger(__name__)


class Generations:
    """What this process generates, by run. Lives on `app.state.generations`; changed on the event loop only."""

    def __init__(self, database: Database) -> None:
        """Start empty; whatever an earlier server left running is marked interrupted."""
        self._database = database
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._gate = asyncio.Lock()
        with writing(database) as session:
            if count := generation.interrupt_unfinished(session, now=now()):
                _log.info("interrupted_generations", count=count)

    def start(self, claimed: Claimed, engines: Engines) -> None:
        """Work a claimed run off in the background."""
        self._tasks[claimed.run_id] = asyncio.create_task(self._drive(claimed, engines))

    def cancel(self, run_ids: list[str]) -> None:
        """End the work of runs at once, once the database says that they have ended; others' runs are left alone."""
        for run_id in run_ids:
            if task := self._tasks.get(run_id):
                task.cancel()

    def others(self, run_id: str) -> int | None:
        """Count the runs that take turns with this one; None for a run of another process."""
        return len(self._tasks) - 1 if run_id in self._tasks else None

    async def aclose(self) -> None:
        """End every run for a shutdown: each is marked interrupted first, so nothing is stored after that."""
        if not self._tasks:
            return
        await run_in_threadpool(self._interrupt, list(self._tasks))
        # Those that ended by themselves meanwhile are not among them.
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=SHUTDOWN_S)

    def _interrupt(self, run_ids: list[str]) -> None:
        with writing(self._database) as session:
            for run_id in run_ids:
                generation.end(session, run_id, GenerationState.INTERRUPTED, generation.INTERRUPTED, now=now())

    async def _drive(self, claimed: Claimed, engines: Engines) -> None:
        try:
            stored = await run_claimed(self._database, engines, claimed, gate=self._gate)
            _log.info("generation_done", study=claimed.study_id, run=claimed.run_id, responses=stored)
        except AppError as error:
            # The run and its failures say so on the page.
            _log.info("generation_incomplete", study=claimed.study_id, run=claimed.run_id, reason=str(error))
        except Exception:  # noqa: BLE001  nobody awaits this task; the page says that it ended
            _log.exception("generation_crashed", study=claimed.study_id, run=claimed.run_id)
        finally:
            self._tasks.pop(claimed.run_id, None)
