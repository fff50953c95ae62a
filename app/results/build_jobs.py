"""Exports that are built now, on `app.state.exports`: one after the other, beside the server's work.

Those of a large study are built by a process of their own.
"""

import shutil
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import Engine as Database
from sqlalchemy.exc import OperationalError
from sqlmodel import col, update

from app.db import reading, snapshot, writing
from app.results import standing
from app.results.apart import EndedError, Say, do_apart
from app.results.builds import begin, file_of, tidy
from app.results.bundle import STAGING, write_bundle
from app.results.files import written
from app.results.manifest import as_of
from app.results.standing import count_judgments
from app.results.state import fingerprint
from app.storage import in_words
from app.studies.queries import get_study
from models import Export, ExportState, Study, User
from models.base import now

_log = structlog.get_logger(__name__)

# Seconds between two notes of progress, and after which a folder that a killed server left is nobody's.
_EVERY_S, _STALE_S = 0.5, 24 * 3600


class StoppedError(Exception):
    """The server is closing."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be built, into which folder, and under which row it is kept."""

    folder: Path
    export_id: str
    study_id: str
    external_ids: bool


class Exports:
    """Builds exports into `folder`, a folder of files per study. A file appears there whole or not at all."""

    def __init__(self, database: Database, folder: Path) -> None:
        """Start with nothing to do."""
        self.folder = folder
        self._database = database
        self._stopping = threading.Event()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="export")

    def start(self, study: Study, user: User, *, external_ids: bool) -> str:
        """Begin to build a study's export and return its id; the same one being built already goes on."""
        with writing(self._database) as session:
            export_id, new = begin(session, study, external_ids=external_ids, by=user.id, now=now())
        if new:
            self._worker.submit(self._run, Order(self.folder, export_id, study.id, external_ids))
        return export_id

    def close(self) -> None:
        """Stop; what was being built has to be begun again."""
        self._stopping.set()
        self._worker.shutdown(wait=True, cancel_futures=True)

    def _run(self, order: Order) -> None:
        with reading(self._database) as session:
            large = count_judgments(session, order.study_id) > standing.AT_ONCE
        if not large:
            build(self._database, order, self._stopping)
            return
        given = asdict(order) | {"folder": str(order.folder.resolve())}
        try:
            do_apart(build_apart, self._database, given, stopping=self._stopping, on_said=lambda _said: None)
        except Exception as error:  # noqa: BLE001  the page must say that it ended, whatever it was
            _log.exception("export_not_built", study=order.study_id)
            _finish(self._database, order, _failed(error))


def build_apart(database: Database, given: Mapping[str, Any], _say: Say, stopping: threading.Event) -> None:
    """Build the export that is given; how far it is, is said in its row."""
    build(database, Order(**{**given, "folder": Path(given["folder"])}), stopping)


def build(database: Database, order: Order, stopping: threading.Event) -> None:
    """Build an export and write into its row what became of it."""
    try:
        found = _built(database, order, stopping)
    except StoppedError:
        found = {"state": ExportState.FAILED, "message": "The server was stopped while it was built."}
    except Exception as error:  # noqa: BLE001  the page must say that it ended, whatever it was
        _log.exception("export_not_built", study=order.study_id)
        found = _failed(error)
    _finish(database, order, found)


def _failed(error: Exception) -> dict[str, object]:
    known = str(error) if isinstance(error, ValueError | OSError | EndedError) else "The server's log has the details."
    return {"state": ExportState.FAILED, "message": in_words(error, known)[:300]}


def _finish(database: Database, order: Order, found: Mapping[str, object]) -> None:
    with writing(database) as session:
        session.exec(update(Export).where(col(Export.id) == order.export_id).values(touched_at=now(), **found))
        tidy(session, order.folder, order.study_id, now())


def _built(database: Database, order: Order, stopping: threading.Event) -> dict[str, object]:
    """Build the file unless there is one of the same state; returns what the row has to say of it."""
    folder = order.folder / order.study_id
    folder.mkdir(parents=True, exist_ok=True)
    _sweep(folder)
    last = time.monotonic()

    def report(done: int, total: int, what: str) -> None:
        nonlocal last
        if stopping.is_set():
            raise StoppedError
        if time.monotonic() - last >= _EVERY_S:
            last = time.monotonic()
            _note(database, order.export_id, done=done, total=total, message=what)

    with snapshot(database) as session:
        study = get_study(session, order.study_id)
        state = fingerprint(session, study, external_ids=order.external_ids)
        path = file_of(order.folder, Export(study_id=order.study_id, fingerprint=state))
        moment = as_of(session, study)
        if not path.exists():
            write_bundle(session, study, path, external_ids=order.external_ids, on_progress=report)
    file = written(path.name, path)
    kept = {"fingerprint": state, "sha256": file.sha256, "bytes": file.bytes, "as_of": moment}
    return {"state": ExportState.DONE, "message": "", **kept}


def _note(database: Database, export_id: str, **values: object) -> None:
    try:
        with writing(database) as session:
            session.exec(update(Export).where(col(Export.id) == export_id).values(touched_at=now(), **values))
    except OperationalError:
        # Somebody else writes for long; the next note will do.
        _log.info("export_progress_not_noted", export=export_id)


def _sweep(folder: Path) -> None:
    """Remove what a build left when its server was killed."""
    for left in folder.glob(f"{STAGING}*"):
        if time.time() - left.stat().st_mtime > _STALE_S:
            shutil.rmtree(left, ignore_errors=True)
