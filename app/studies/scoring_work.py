"""The part of scoring that a process does: it claims tasks, has them read, stores what came, and gives signs of life.

Every server process runs one of these, beside each other on one database; a command may run one too.
"""

import asyncio
from contextlib import suppress
from functools import partial

import structlog
from sqlalchemy import Engine as Database
from starlette.concurrency import run_in_threadpool

from app.db import reading, writing
from app.engines.open import Engines
from app.errors import AppError, EngineError
from app.responses.queries import add_reading
from app.responses.read import Written, names_of, plan_reading, read, written
from app.studies import scoring
from app.studies.scoring import Claim
from app.studies.scoring_rules import RENEW_S
from app.tokens.store import Reading, get_response
from models.base import new_id, now

# Enough to keep two servers busy while a third request is stored; more would only wait before those of people.
AT_ONCE = 4
POLL_S = 2.0
_CRASHED = "It ended on an unexpected error; the server's log has the details."

_log = structlog.get_logger(__name__)


class Scorings:
    """What this process scores. Lives on `app.state.scorings`; changed on the event loop only."""

    def __init__(self, database: Database, engines: Engines, *, at_once: int = AT_ONCE) -> None:
        """Start idle; `start` begins to look for work."""
        self.worker = new_id()
        self._database, self._engines, self._at_once = database, engines, at_once
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._woken = asyncio.Event()
        self._looking: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Look for work from now on."""
        self._looking = [asyncio.create_task(self._claim_for_ever()), asyncio.create_task(self._renew_for_ever())]

    def wake(self) -> None:
        """Look for work now; something was ordered, or a place became free."""
        self._woken.set()

    async def drop_lost(self) -> None:
        """Give a sign of life, and stop what is not ours any more or was cancelled."""
        mine = await run_in_threadpool(self._renew)
        for key in self._tasks.keys() - mine:
            self._tasks[key].cancel()

    async def aclose(self) -> None:
        """Stop, and give back what was claimed, so that others need not wait for the leases to end."""
        tasks = [*self._looking, *self._tasks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._looking:
            await run_in_threadpool(self._release)

    async def _claim_for_ever(self) -> None:
        while True:
            self._woken.clear()
            try:
                await self._claim()
            except Exception:  # noqa: BLE001  a database that is busy or away must not end the work of a night
                _log.exception("scoring_not_claimed", worker=self.worker)
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await self._woken.wait()

    async def _claim(self) -> None:
        free = self._at_once - len(self._tasks)
        if free <= 0:
            return
        for claimed in await run_in_threadpool(self._claimed, free):
            key = (claimed.run_id, claimed.response_id)
            task = self._tasks[key] = asyncio.create_task(self._work(claimed))
            task.add_done_callback(partial(self._done, key))

    def _done(self, key: tuple[str, str], _task: asyncio.Task[None]) -> None:
        self._tasks.pop(key, None)
        self.wake()

    async def _renew_for_ever(self) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            try:
                await self.drop_lost()
            except Exception:  # noqa: BLE001  as above
                _log.exception("scoring_not_renewed", worker=self.worker)

    async def _work(self, claimed: Claim) -> None:
        """Read one response and store it; whatever goes wrong is written down with the task."""
        try:
            response = await run_in_threadpool(self._load, claimed)
            plan = plan_reading(self._engines, response, claimed.checkpoint, claimed.base_prompt)
            with structlog.contextvars.bound_contextvars(run=claimed.run_id):
                found = await read(self._engines, plan)
            await run_in_threadpool(self._store, claimed, found)
        except AppError as error:
            # A server that is down comes back; a response that does not fit will not fit next time.
            lasting = not isinstance(error, EngineError)
            await run_in_threadpool(self._fail, claimed, str(error), lasting=lasting)
        except Exception:  # noqa: BLE001  nobody awaits this task; the page says what failed
            _log.exception("scoring_crashed", response=claimed.response_id)
            await run_in_threadpool(self._fail, claimed, _CRASHED, lasting=True)

    def _claimed(self, most: int) -> list[Claim]:
        with reading(self._database) as session:
            if not scoring.any_running(session):
                return []
        with writing(self._database) as session:
            return scoring.claim(session, self.worker, most=most, now=now())

    def _renew(self) -> set[tuple[str, str]]:
        if not self._tasks:
            return set()
        with writing(self._database) as session:
            return scoring.renew(session, self.worker, now=now())

    def _release(self) -> None:
        with writing(self._database) as session:
            scoring.release(session, self.worker)

    def _load(self, claimed: Claim) -> Written:
        with reading(self._database) as session:
            return written(get_response(session, claimed.response_id))

    def _store(self, claimed: Claim, found: Reading) -> None:
        with writing(self._database) as session:
            task = scoring.ours(session, claimed, self.worker)
            if task is not None:
                add_reading(session, claimed.response_id, found, names_of(self._engines, found.checkpoint))
                scoring.end_task(session, task, now=now())

    def _fail(self, claimed: Claim, sentence: str, *, lasting: bool) -> None:
        with writing(self._database) as session:
            task = scoring.ours(session, claimed, self.worker)
            if task is not None:
                scoring.fail_task(session, task, sentence, lasting=lasting, now=now())
