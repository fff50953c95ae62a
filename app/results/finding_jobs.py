"""Findings of large studies, computed beside the server's work, one study after the other, on `app.state.findings`."""

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import structlog
from sqlalchemy import Engine as Database

from app.results.apart import Say, do_apart
from app.results.standing import refresh
from models.base import now

_log = structlog.get_logger(__name__)


class StoppedError(Exception):
    """The server is closing."""


def compute_apart(database: Database, given: Mapping[str, Any], say: Say, stopping: threading.Event) -> None:
    """Compute and keep the findings of the study that is given; says how many judgments are read."""

    def on_read(judgments: int) -> None:
        if stopping.is_set():
            raise StoppedError
        say({"read": judgments})

    refresh(database, given["study"], now(), on_read)


class FindingJobs:
    """Which studies are being computed, how far, and what failed. A stop loses nothing: the next look starts again."""

    def __init__(self, database: Database) -> None:
        """Start with nothing to do."""
        self._database = database
        self._read: dict[str, int] = {}
        self._failed: set[str] = set()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="findings")

    def start(self, study_id: str) -> None:
        """Begin to compute a study; one that is being computed goes on."""
        with self._lock:
            if study_id in self._read:
                return
            self._read[study_id] = 0
            self._failed.discard(study_id)
        self._worker.submit(self._run, study_id)

    def read(self, study_id: str) -> int:
        """Tell how many judgments of a study have been read for the findings that are being computed."""
        with self._lock:
            return self._read.get(study_id, 0)

    def failed(self, study_id: str) -> bool:
        """Tell whether the last attempt at a study failed."""
        with self._lock:
            return study_id in self._failed

    def close(self) -> None:
        """Stop; what was being computed is begun again by the next look."""
        self._stopping.set()
        self._worker.shutdown(wait=True, cancel_futures=True)

    def _run(self, study_id: str) -> None:
        def note(said: Mapping[str, Any]) -> None:
            with self._lock:
                self._read[study_id] = said["read"]

        problem = False
        try:
            do_apart(compute_apart, self._database, {"study": study_id}, stopping=self._stopping, on_said=note)
        except Exception:  # noqa: BLE001  the page must say that it failed, whatever it was
            problem = True
            _log.exception("findings_not_computed", study=study_id)
        with self._lock:
            self._read.pop(study_id, None)
            if problem:
                self._failed.add(study_id)
