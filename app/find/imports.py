"""Bring a scored file in: every line is checked before the first is stored, and none is seen before the last is.

The work runs in a thread beside the server and keeps its place in the file's row. A file whose server stopped is found
by its place not moving, and undone.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import Engine, delete
from sqlmodel import Session, col, select

from app.db import reading, writing
from app.engines.protocol import Scores
from app.errors import InvalidInputError
from app.find.scored import LineError, Record, lines_of, read_line
from app.tokens.store import Reading, add_response, add_trace
from app.web.uploads import Upload
from models import BasePrompt, FileState, Origin, Response, ScoredFile, ScoredLine, Trace, TraceAggregate, User
from models.base import now

log = structlog.get_logger(__name__)

NamesIds = Callable[[int], bytes | None]

MAX_PROBLEMS = 50
STALE = timedelta(minutes=3)
_CHUNK = 20
_TICK = timedelta(seconds=1)
_STOPPED = "The server stopped before the file was whole; nothing of it was kept. Import it again."
_BUSY = (FileState.READING, FileState.STORING)


def admit(session: Session, user: User, upload: Upload, *, name: str, tuned: str, base: str) -> ScoredFile | None:
    """Make the row of a new import; None where the same file is here already. Raises InvalidInputError for names."""
    for field, said in (("Name of the tuned model", tuned), ("Name of the base model", base), ("Name", name)):
        if not said or len(said) > 200:  # noqa: PLR2004 - what the columns hold
            raise InvalidInputError(f"{field}: write 1 to 200 characters.")
    known = with_hash(session, upload.sha256)
    if known is not None:
        if known.state is not FileState.FAILED:
            return None
        session.delete(known)
        session.flush()
    file = ScoredFile(name=name, sha256=upload.sha256, tuned=tuned, base=base, n=upload.size, created_by=user.id)
    session.add(file)
    session.flush()
    return file


def with_hash(session: Session, sha256: str) -> ScoredFile | None:
    """Find the import of a file by its content."""
    return session.exec(select(ScoredFile).where(ScoredFile.sha256 == sha256)).first()


def import_file(database: Engine, file_id: str, path: Path, name: NamesIds) -> None:
    """Check and store the file at `path`, then remove it. `name` gives the bytes of ids beyond those in the file."""
    try:
        total, problems = _check(database, file_id, path)
        if problems:
            _fail(database, file_id, problems)
            return
        _touch(database, file_id, state=FileState.STORING, n=total, done=0)
        _store(database, file_id, path, name)
        _touch(database, file_id, state=FileState.READY)
    except Exception:
        log.exception("import failed", file=file_id)
        undo(database, file_id, "The server met an error it did not expect; nothing of the file was kept.")
    finally:
        path.unlink(missing_ok=True)


def undo_stale(database: Engine) -> None:
    """Undo imports that have not moved for long: the server that was at them is gone."""
    with reading(database) as session:
        left = session.exec(select(ScoredFile).where(col(ScoredFile.state).in_(_BUSY))).all()
    for file in left:
        touched = file.touched_at if file.touched_at.tzinfo else file.touched_at.replace(tzinfo=UTC)
        if now() - touched > STALE:
            undo(database, file.id, _STOPPED)


def undo(database: Engine, file_id: str, why: str) -> None:
    """Take back whatever of a file is stored, and say why on its row."""
    while True:
        with writing(database) as session:
            lines = select(ScoredLine).where(ScoredLine.file_id == file_id).limit(_CHUNK)
            ids = [line.response_id for line in session.exec(lines)]
            if not ids:
                break
            for table, column in (
                (ScoredLine, col(ScoredLine.response_id)),
                (TraceAggregate, col(TraceAggregate.response_id)),
                (Trace, col(Trace.response_id)),
                (Response, col(Response.id)),
            ):
                session.execute(delete(table).where(column.in_(ids)))
    _fail(database, file_id, [_problem(0, "", why)])


def _check(database: Engine, file_id: str, path: Path) -> tuple[int, list[dict[str, Any]]]:
    """Read every line; returns how many there are, and what is wrong with them."""
    problems: list[dict[str, Any]] = []
    seen: dict[str, int] = {}
    total, read, told = 0, 0, now()
    with path.open("rb") as file:
        try:
            for number, line in lines_of(file):
                total, read = total + 1, read + len(line)
                problems += _problems(number, line, seen)
                if len(problems) >= MAX_PROBLEMS:
                    break
                told = _tell(database, file_id, told, done=read)
        except LineError as error:
            problems.append(_problem(0, error.field, error.message))
    if not total and not problems:
        problems.append(_problem(0, "", "there are no lines in it"))
    return total, problems


def _problems(number: int, line: bytes, seen: dict[str, int]) -> list[dict[str, Any]]:
    try:
        record = read_line(line)
    except LineError as error:
        return [_problem(number, error.field, error.message)]
    before = seen.setdefault(record.id, number)
    if before != number:
        return [_problem(number, "id", f"{record.id[:40]!r} is the id of line {before} too; every line needs its own")]
    return []


def _problem(line: int, field: str, message: str) -> dict[str, Any]:
    return {"line": line, "field": field, "message": message}


def _store(database: Engine, file_id: str, path: Path, name: NamesIds) -> None:
    with reading(database) as session:
        file = session.get_one(ScoredFile, file_id)
        session.expunge(file)
    done = 0
    with path.open("rb") as source:
        for chunk in _chunks(read_line(line) for _, line in lines_of(source)):
            with writing(database) as writer:
                for record in chunk:
                    _add(writer, file, done, record, name)
                    done += 1
                row = writer.get_one(ScoredFile, file_id)
                row.done, row.touched_at = done, now()


def _chunks(records: Iterator[Record]) -> Iterator[list[Record]]:
    while chunk := list(islice(records, _CHUNK)):
        yield chunk


def _add(session: Session, file: ScoredFile, position: int, record: Record, name: NamesIds) -> None:
    ids = [token.id for token in record.tokens]
    response = add_response(
        session,
        checkpoint="",
        prompt=record.prompt,
        prompt_ids=record.prompt_ids,
        ids=ids,
        texts=record.texts,
        finish="given",
        run={"engine": record.engine, "engine_version": record.engine_version, "dtype": record.dtype},
        origin=Origin.IMPORTED,
        created_by=file.created_by,
    )
    scores = Scores(
        tokens=record.tokens,
        kl_kind=record.kl_kind,
        dtype=record.dtype,
        border_width=record.border_width,
        engine=record.engine,
        engine_version=record.engine_version,
    )
    read = Reading(
        checkpoint=file.tuned,
        reference=file.base,
        base_prompt=BasePrompt.SAME_IDS,
        prompt_ids=record.prompt_ids,
        reference_prompt_ids=record.prompt_ids,
        scores=scores,
    )
    add_trace(session, response, read, _naming(zip(ids, record.raws, strict=True), name))
    line = ScoredLine(file_id=file.id, position=position, record_id=record.id, response_id=response.id)
    session.add(line)


def _naming(written: Iterable[tuple[int, bytes]], name: NamesIds) -> NamesIds:
    """Name ids by the file first; a tokenizer of ours adds the others only where it agrees with the file."""
    own = dict(written)
    agrees = all(name(token) == raw for token, raw in own.items())
    return lambda token: own.get(token) or (name(token) if agrees else None)


def _tell(database: Engine, file_id: str, told: datetime, *, done: int) -> datetime:
    """Keep the place of a long reading, not more than once a second; returns when it was last kept."""
    if now() - told < _TICK:
        return told
    _touch(database, file_id, done=done)
    return now()


def _fail(database: Engine, file_id: str, problems: list[dict[str, Any]]) -> None:
    _touch(database, file_id, state=FileState.FAILED, problems=problems[:MAX_PROBLEMS], done=0)


def _touch(database: Engine, file_id: str, **changes: Any) -> None:
    with writing(database) as session:
        file = session.get_one(ScoredFile, file_id)
        for field, value in changes.items():
            setattr(file, field, value)
        file.touched_at = now()
        session.add(file)
