"""The imports of this process: begun here, one after the other in a thread of their own, ended with the server."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePath

from sqlalchemy import Engine as Database
from sqlmodel import Session, col, func, select

from app.db import reading, writing
from app.engines.open import Engines
from app.errors import AppError, ConflictError, InvalidInputError
from app.provenance.index import Encoder
from app.tuning_sets import queries
from app.tuning_sets.files import Places, Source
from app.tuning_sets.importing import Encoders, build_words_of, delete_set, fail_unfinished, run_import
from models import ImportState, TuningSet

MAX_NAME = 200


class AlreadyImportedError(ConflictError):
    """The same bytes are a tuning set already; `row` is that set."""

    def __init__(self, row: TuningSet) -> None:
        """Say which set that is."""
        what = "is being imported" if row.state in queries.UNFINISHED else "was imported"
        super().__init__(
            f"The same file {what} as {row.name!r}, version {row.version}.",
            remedy="Open that one; attach it to more checkpoints there.",
        )
        self.row = row


def clean_name(name: str, filename: str) -> str:
    """Return the name typed, or one made of the file's. Raises InvalidInputError for one that cannot be shown."""
    name = " ".join(name.split()) or PurePath(filename).stem.strip() or "tuning set"
    if not name.isprintable() or len(name) > MAX_NAME:
        raise InvalidInputError(f"A name has up to {MAX_NAME} printable characters.", remedy="Choose another.")
    return name


def begin_import(
    database: Database,
    places: Places,
    source: Source,
    *,
    name: str = "",
    checkpoints: Sequence[str] = (),
    created_by: str | None = None,
) -> str:
    """Store the row of an import to be and take the file over; returns the set's id.

    New bytes under a name in use are its next version. Raises AlreadyImportedError for bytes that are a set already;
    the file is then gone. Failed imports of the same name or bytes make room.
    """
    try:
        with writing(database) as session:
            row = _new_row(session, places, source, name=clean_name(name, source.filename))
            row.created_by = created_by
            queries.attach(session, row.id, checkpoints)
            source.path.replace(places.source(row.id))
    except BaseException:
        source.path.unlink(missing_ok=True)
        raise
    return row.id


def _new_row(session: Session, places: Places, source: Source, *, name: str) -> TuningSet:
    if (same := queries.find_set(session, source.sha256)) is not None:
        raise AlreadyImportedError(same)
    row = TuningSet(
        name=name,
        version=_make_room(session, places, name, source.sha256),
        sha256=source.sha256,
        filename=source.filename,
        total=source.path.stat().st_size,
    )
    session.add(row)
    session.flush()
    return row


def _make_room(session: Session, places: Places, name: str, sha256: str) -> int:
    failed = session.exec(
        select(TuningSet.id).where(
            TuningSet.state == ImportState.FAILED, (col(TuningSet.name) == name) | (col(TuningSet.sha256) == sha256)
        )
    ).all()
    for set_id in failed:
        while queries.delete_rows(session, set_id, limit=10_000):
            pass
        places.forget(set_id, None)
    queries.remove(session, failed)
    return (session.exec(select(func.max(TuningSet.version)).where(TuningSet.name == name)).one() or 0) + 1


class Imports:
    """Runs imports in the background. Lives on `app.state.imports`."""

    def __init__(self, database: Database, places: Places, engines: Engines) -> None:
        """Start with nothing under way; what an earlier process left unfinished has failed."""
        self.places = places
        self._database, self._engines = database, engines
        self._stopping = threading.Event()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="import")
        fail_unfinished(database)
        self._restore_words()

    def _restore_words(self) -> None:
        """Make the word files that are lost, for instance after a restore from a backup, in the background."""
        with reading(self._database) as session:
            ready = session.exec(select(TuningSet.id).where(TuningSet.state == ImportState.READY)).all()
        for set_id in ready:
            if not self.places.words(set_id).exists():
                self._worker.submit(build_words_of, self._database, self.places, set_id)

    def start(self, set_id: str) -> None:
        """Import a set whose row and file are there, after those begun before it."""
        self._worker.submit(
            run_import,
            self._database,
            self.places,
            set_id,
            encoders=tokenizers_of(self._engines),
            stopped=self._stopping.is_set,
        )

    def retry(self, set_id: str) -> None:
        """Try a failed import again. Raises ConflictError for one that did not fail, or whose file is gone."""
        with writing(self._database) as session:
            row = queries.get_set(session, set_id)
            if row.state is not ImportState.FAILED or not self.places.source(set_id).exists():
                raise ConflictError("There is nothing to try again.", remedy="Import the corrected file instead.")
            if (same := queries.find_set(session, row.sha256)) is not None:
                raise AlreadyImportedError(same)
            row.state, row.message, row.done = ImportState.READING, "", 0
            session.add(row)
        self.start(set_id)

    def delete(self, set_id: str, *, confirmed: bool) -> None:
        """Delete a set and everything made of it. Raises ConflictError while it is imported or referred to."""
        delete_set(self._database, self.places, set_id, confirmed=confirmed)

    def close(self) -> None:
        """Stop; imports under way are marked, so that a later start can say so."""
        self._stopping.set()
        self._worker.shutdown(wait=True, cancel_futures=True)
        fail_unfinished(self._database)


def tokenizers_of(engines: Engines) -> Encoders:
    """Return what names the tokenizers to index sub-words with: those of a set's checkpoints, or of any registered."""

    def encoders(checkpoints: Sequence[str]) -> Sequence[Encoder]:
        known = engines.registry.checkpoints
        names = [name for name in checkpoints if name in known] or list(known)[:1]
        found: dict[str, Encoder] = {}
        for name in names:
            try:
                tokenizer = engines.tokenizer_for(name)
            except AppError:
                continue
            found.setdefault(tokenizer.fingerprint, tokenizer)
        return tuple(found.values())

    return encoders
