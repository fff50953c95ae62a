"""One thread that owns torch and advances several pieces of work step by step.

Work is a generator: each `next` is one step (a decode step of a cohort, a block of a scoring), so long work never
keeps the rest waiting for longer than a step.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from typing import Protocol

import structlog

from app.engines.local.jobs import Job, ScoreJob, StreamJob
from app.errors import AppError, EngineError, EngineUnavailableError

Work = Generator[None, None, None]

# Requests of one comparison arrive within a loop iteration or two; nobody sees five milliseconds.
COMPANION_WAIT_S = 0.005
MAX_COHORTS = 4
MAX_COHORT_REQUESTS = 32

_log = structlog.get_logger(__name__)


class Backend(Protocol):
    """What the thread runs; made on the thread, by the first job."""

    def stream(self, jobs: list[StreamJob]) -> Work:
        """Decode one cohort."""
        ...

    def score(self, job: ScoreJob) -> Work:
        """Score one response."""
        ...


class Worker:
    """A daemon thread started by the first job; it outlives every failure of a job."""

    def __init__(self, make_backend: Callable[[], Backend]) -> None:
        """Remember how to make the backend; nothing is imported or started yet."""
        self._make_backend = make_backend
        self._backend: Backend | None = None
        self._thread: threading.Thread | None = None
        self._changed = threading.Condition()
        self._streams: deque[StreamJob] = deque()
        self._scores: deque[ScoreJob] = deque()
        self._newest = 0.0
        self._closing = False

    def submit(self, job: Job) -> None:
        """Queue a job from any thread. Raises EngineUnavailableError once closed."""
        with self._changed:
            if self._closing:
                raise EngineUnavailableError("The local engine is shutting down.", remedy="Try again when it is back.")
            if isinstance(job, StreamJob):
                self._streams.append(job)
                self._newest = time.monotonic()
            else:
                self._scores.append(job)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="torch", daemon=True)
                self._thread.start()
            self._changed.notify()

    @property
    def queued(self) -> tuple[int, int]:
        """How many streams and scorings wait to be begun."""
        return len(self._streams), len(self._scores)

    def close(self) -> None:
        """Stop after the current step; queued jobs end with an error. Blocks until the thread has ended."""
        with self._changed:
            self._closing = True
            self._changed.notify()
            thread = self._thread
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        cohorts: list[Work] = []
        scoring: list[Work] = []
        while self._await_work(idle=not cohorts and not scoring):
            cohorts += self._admit_cohort(room=MAX_COHORTS - len(cohorts))
            scoring = scoring or self._admit_score()
            cohorts = [work for work in cohorts if _step(work)]
            scoring = [work for work in scoring if _step(work)]
        for work in (*cohorts, *scoring):
            work.close()
        self._refuse_queued()

    def _await_work(self, *, idle: bool) -> bool:
        """Wait until there is something to do; False when closing."""
        with self._changed:
            while idle and not (self._closing or self._streams or self._scores):
                self._changed.wait()
            return not self._closing

    def _admit_cohort(self, *, room: int) -> list[Work]:
        if room <= 0 or not self._streams:
            return []
        while (wait := self._newest + COMPANION_WAIT_S - time.monotonic()) > 0:
            time.sleep(wait)
        with self._changed:
            count = min(len(self._streams), MAX_COHORT_REQUESTS)
            jobs = [self._streams.popleft() for _ in range(count)]
        jobs = [job for job in jobs if not job.out.cancelled]
        backend = self._ready(jobs)
        return [] if backend is None or not jobs else [_guarded(backend.stream(jobs), jobs)]

    def _admit_score(self) -> list[Work]:
        with self._changed:
            if not self._scores:
                return []
            job = self._scores.popleft()
        backend = self._ready([job])
        return [] if backend is None or job.out.cancelled else [_guarded(backend.score(job), [job])]

    def _ready(self, jobs: Sequence[Job]) -> Backend | None:
        try:
            self._backend = self._backend or self._make_backend()
        except AppError as error:
            for job in jobs:
                job.out.put(error)
            return None
        return self._backend

    def _refuse_queued(self) -> None:
        queued: list[Job] = [*self._streams, *self._scores]
        for job in queued:
            job.out.put(EngineUnavailableError("The local engine was shut down.", remedy="Try again when it is back."))


def _step(work: Work) -> bool:
    try:
        next(work)
    except StopIteration:
        return False
    return True


def _guarded(work: Work, jobs: Sequence[Job]) -> Work:
    """Turn whatever a backend failed to foresee into an error for its jobs, so that the thread goes on."""
    try:
        yield from work
    except GeneratorExit:
        work.close()
        for job in jobs:
            job.out.put(EngineUnavailableError("The local engine was shut down.", remedy="Try again when it is back."))
        raise
    except AppError as error:
        for job in jobs:
            job.out.put(error)
    except Exception as error:  # noqa: BLE001 - the thread must outlive it
        _log.exception("local engine failed")
        for job in jobs:
            job.out.put(EngineError(f"The local engine failed: {error}.", remedy="The log has the details."))
