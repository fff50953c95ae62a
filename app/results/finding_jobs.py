"""Findings of large studies, computed beside the server's work, one study after the other, on `app.state.findings`."""

import threading
from concurrent.futures import ThreadPoolExecutor

import structlog
from sqlalchemy import Engine as Database

from app.results.standing import refresh
from models.base import now

_log = structlog.get_logger(__name__)


class FindingJobs:
    """Which studies are being computed, and what failed. Nothing is lost by a stop: the next look starts again."""

    def __init__(self, database: Database) -> None:
        """Start with nothing to do."""
        self._database = database
        self._running: set[str] = set()
        self._failed: set[str] = set()
        self._lock = threading.Lock()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="findings")

    def start(self, study_id: str) -> None:
        """Begin to compute a study; one that is being computed goes on."""
        with self._lock:
            if study_id in self._running:
                return
            self._running.add(study_id)
            self._failed.discard(study_id)
        self._worker.submit(self._run, study_id)

    def failed(self, study_id: str) -> bool:
        """Tell whether the last attempt at a study failed."""
        with self._lock:
            return study_id in self._failed

    def close(self) -> None:
        """Wait for the study in hand; those that wait are dropped."""
        self._worker.shutdown(wait=True, cancel_futures=True)

    def _run(self, study_id: str) -> None:
        problem = False
        try:
            refresh(self._database, study_id, now())
        except Exception:  # noqa: BLE001  the page must say that it failed, whatever it was
            problem = True
            _log.exception("findings_not_computed", study=study_id)
        with self._lock:
            self._running.discard(study_id)
            if problem:
                self._failed.add(study_id)
