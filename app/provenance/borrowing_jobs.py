"""Measurements of borrowing that run now, on `app.state.borrowing`: one after the other, beside the server's work."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import structlog
from sqlalchemy import Engine as Database

from app.engines.open import Engines
from app.provenance.borrowing_rows import measure
from app.provenance.store import Indexes, StoppedError
from app.storage import in_words

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Job:
    """A measurement: `done` of `total` responses; `problem` says in words why it ended early."""

    done: int = 0
    total: int = 0
    running: bool = True
    problem: str = ""


class BorrowingJobs:
    """What is being measured, by study and tuning set. Nothing is lost by a stop: what is measured is kept."""

    def __init__(self, database: Database, indexes: Indexes) -> None:
        """Start with nothing to do."""
        self._database = database
        self._indexes = indexes
        self._jobs: dict[tuple[str, str], Job] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="borrowing")

    def get(self, study_id: str, set_id: str) -> Job | None:
        """Return a measurement that runs or that failed, or None."""
        with self._lock:
            return self._jobs.get((study_id, set_id))

    def start(self, study_id: str, set_id: str, engines: Engines) -> None:
        """Begin to measure what is missing; one that runs already goes on."""
        with self._lock:
            job = self._jobs.get((study_id, set_id))
            if job is not None and job.running:
                return
            self._jobs[study_id, set_id] = Job()
        self._worker.submit(self._run, study_id, set_id, engines)

    def close(self) -> None:
        """Stop after the responses in hand."""
        self._stopping.set()
        self._worker.shutdown(wait=True, cancel_futures=True)

    def _run(self, study_id: str, set_id: str, engines: Engines) -> None:
        key = study_id, set_id

        def report(done: int, total: int) -> None:
            if self._stopping.is_set():
                raise StoppedError
            with self._lock:
                self._jobs[key] = Job(done, total)

        try:
            measure(self._database, self._indexes, engines, study_id, set_id, on_progress=report)
        except StoppedError:
            return
        except Exception as error:  # noqa: BLE001  the page must say that it ended, whatever it was
            _log.exception("borrowing_not_measured", study=study_id, tuning_set=set_id)
            problem = in_words(error)
            with self._lock:
                self._jobs[key] = replace(self._jobs[key], running=False, problem=problem)
            return
        with self._lock:
            self._jobs.pop(key, None)
