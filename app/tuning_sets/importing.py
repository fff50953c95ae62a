"""Import a tuning set: check every record, store the rows in small transactions, index them, and only then show it.

While it runs its row says how far it is; an import that ends early leaves that row with the reason and nothing else.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

import structlog
from sqlalchemy import Engine as Database
from sqlalchemy import insert, update
from sqlmodel import col, select

from app.db import reading, writing
from app.errors import AppError
from app.provenance.index import Encoder, ensure_index, index_folder
from app.storage import in_words
from app.tuning_sets import queries, words
from app.tuning_sets.files import Places
from app.tuning_sets.read import DataError, Example, answer_of, instruction_of, iter_examples
from models import ImportState, TuningInstance, TuningSet

# Small enough that somebody who saves a judgment meanwhile waits for milliseconds.
ROWS_AT_ONCE = 500
_REPORT_S = 0.4
_CHECK_EVERY = 200
STOPPED = "This import was stopped before its end."
_CRASHED = "The import met an error it did not expect; the server's log has the details."

Encoders = Callable[[Sequence[str]], Sequence[Encoder]]
Watch = Callable[[ImportState, int, int], None]

_log = structlog.get_logger(__name__)


class ImportStoppedError(Exception):
    """The server is closing, or the import was ended from elsewhere."""


@dataclass
class _Facts:
    """What the first reading finds out."""

    n: int = 0
    empty: int = 0
    characters: int = 0
    shapes: frozenset[str] = frozenset()

    @property
    def shape(self) -> str:
        return next(iter(self.shapes)) if len(self.shapes) == 1 else "mixed"

    @property
    def note(self) -> str:
        if not self.empty:
            return ""
        one = self.empty == 1
        return f"{self.empty:,} instance{' has' if one else 's have'} an empty answer, from which nothing is borrowed."


class _Meter:
    """Writes how far an import is, at most every `_REPORT_S` seconds, and ends it when it should not go on."""

    def __init__(self, database: Database, set_id: str, *, stopped: Callable[[], bool], watch: Watch | None) -> None:
        self._database, self._set_id = database, set_id
        self._stopped, self._watch = stopped, watch
        self._last = 0.0

    def report(self, state: ImportState, done: int, total: int, *, now: bool = False) -> None:
        if self._stopped():
            raise ImportStoppedError
        if not now and monotonic() - self._last < _REPORT_S:
            return
        self._last = monotonic()
        if self._watch is not None:
            self._watch(state, done, total)
        query = update(TuningSet).where(col(TuningSet.id) == self._set_id)
        query = query.where(col(TuningSet.state).in_(queries.UNFINISHED))
        with writing(self._database) as session:
            if not session.execute(query.values(state=state, done=done, total=total)).rowcount:  # type: ignore[attr-defined]  # of a cursor
                raise ImportStoppedError


def run_import(
    database: Database,
    places: Places,
    set_id: str,
    *,
    encoders: Encoders | None = None,
    stopped: Callable[[], bool] = lambda: False,
    watch: Watch | None = None,
) -> ImportState:
    """Take the import of `set_id` from its first byte to ready, or to failed with the reason; returns which.

    Rows of a failed import are gone. Its file stays for another try, unless what is wrong is the file itself.
    `watch` hears (state, done, total) about twice a second.
    """
    meter = _Meter(database, set_id, stopped=stopped, watch=watch)
    try:
        _remove_rows(database, set_id)
        facts = _store(database, places, set_id, meter)
        build_index(database, set_id, places, meter=meter, encoders=encoders)
        meter.report(ImportState.INDEXING, 2 * facts.n, 2 * facts.n, now=True)
        _finish(database, set_id, ImportState.READY, facts.note)
    except DataError as error:
        places.source(set_id).unlink(missing_ok=True)
        return _give_up(database, set_id, str(error))
    except ImportStoppedError:
        return _give_up(database, set_id, STOPPED)
    except AppError as error:
        return _give_up(database, set_id, str(error))
    except Exception as error:  # noqa: BLE001  the page must say that it failed, whatever it was
        _log.exception("tuning_set_not_imported", tuning_set=set_id)
        return _give_up(database, set_id, in_words(error, _CRASHED))
    except BaseException:
        _give_up(database, set_id, STOPPED)
        raise
    places.source(set_id).unlink(missing_ok=True)
    return ImportState.READY


def _store(database: Database, places: Places, set_id: str, meter: _Meter) -> _Facts:
    with reading(database) as session:
        name = queries.get_set(session, set_id).filename
    source = places.source(set_id)
    size = source.stat().st_size
    facts = _check(iter_examples(source, name=name, empty_answers=True), size, places, meter, name)
    chunk: list[dict[str, Any]] = []
    for position, example in enumerate(iter_examples(source, name=name, empty_answers=True)):
        chunk.append(_row(set_id, position, example))
        if len(chunk) == ROWS_AT_ONCE:
            _add(database, chunk)
            chunk = []
            meter.report(ImportState.READING, size + example.end, 2 * size)
    _add(database, chunk)
    with writing(database) as session:
        query = update(TuningSet).where(col(TuningSet.id) == set_id)
        session.execute(query.values(n=facts.n, shape=facts.shape))
    return facts


def _check(examples: Iterator[Example], size: int, places: Places, meter: _Meter, name: str) -> _Facts:
    """Read everything before anything is stored. Raises DataError for the first record that is wrong."""
    facts = _Facts()
    limit = places.max_bytes
    for example in examples:
        facts.n += 1
        facts.empty += not answer_of(example).strip()
        facts.shapes |= {example.shape}
        facts.characters += sum(len(message.content) for message in example.messages)
        if facts.characters > limit:
            raise DataError(
                f"{name}: it unpacks to more than {limit >> 20} MiB of text.",
                remedy="Split it, or have the operator raise TUNESHIFT_MAX_UPLOAD_MIB.",
            )
        if facts.n % _CHECK_EVERY == 1:
            meter.report(ImportState.READING, example.end, 2 * size)
    return facts


def _row(set_id: str, position: int, example: Example) -> dict[str, Any]:
    roles = tuple(message.role for message in example.messages)
    turns = [{"role": message.role, "content": message.content} for message in example.messages]
    return {
        "set_id": set_id,
        "position": position,
        "instance_id": example.id,
        "instruction": instruction_of(example),
        "answer": answer_of(example),
        "turns": None if roles == ("user", "assistant") else turns,
    }


def _add(database: Database, rows: list[dict[str, Any]]) -> None:
    if rows:
        with writing(database) as session:
            session.execute(insert(TuningInstance), rows)


def build_index(
    database: Database, set_id: str, places: Places, *, meter: _Meter | None = None, encoders: Encoders | None = None
) -> None:
    """Make the word file of a stored set, and its provenance index for each tokenizer of its checkpoints.

    An index of the same content is kept. Raises what building raises.
    """
    with reading(database) as session:
        row = queries.get_set(session, set_id)
        sha256, n = row.sha256, row.n
        checkpoints = queries.checkpoints_of(session, set_id)

    def report(done: float) -> None:
        if meter is not None:
            meter.report(ImportState.INDEXING, min(int(done), 2 * n), 2 * n)

    if meter is not None:
        meter.report(ImportState.INDEXING, 0, 2 * n, now=True)
    build_words_of(database, places, set_id, report=report)
    found = encoders(checkpoints) if encoders is not None else ()
    for encoder in tuple(found) or (None,):
        ensure_index(
            places.indexes,
            sha256,
            lambda: (queries.instance_of(row) for row in _rows(database, set_id)),
            encoder=encoder,
            progress=lambda done, _message: report(n + done),
        )


def build_words_of(
    database: Database, places: Places, set_id: str, *, report: Callable[[float], None] = lambda _done: None
) -> None:
    """Make the word file of a stored set; `report` hears how many instances are in it."""

    def rows() -> Iterator[tuple[int, str, str]]:
        for row in _rows(database, set_id):
            if row.position % _CHECK_EVERY == 0:
                report(row.position)
            yield row.position, row.instruction, row.answer

    words.build_words(places.words(set_id), rows())


def _rows(database: Database, set_id: str) -> Iterator[TuningInstance]:
    """Read a set in order, a few rows at a time, so that no reading transaction outlives them."""
    start = 0
    while True:
        with reading(database) as session:
            rows = queries.instances_from(session, set_id, start, limit=ROWS_AT_ONCE)
        if not rows:
            return
        yield from rows
        start = rows[-1].position + 1


def _finish(database: Database, set_id: str, state: ImportState, message: str) -> None:
    query = update(TuningSet).where(col(TuningSet.id) == set_id, col(TuningSet.state).in_(queries.UNFINISHED))
    with writing(database) as session:
        if not session.execute(query.values(state=state, message=message)).rowcount:  # type: ignore[attr-defined]  # of a cursor
            raise ImportStoppedError


def _give_up(database: Database, set_id: str, message: str) -> ImportState:
    _remove_rows(database, set_id)
    query = update(TuningSet).where(col(TuningSet.id) == set_id)
    with writing(database) as session:
        session.execute(query.values(state=ImportState.FAILED, message=message[:2000]))
    return ImportState.FAILED


def _remove_rows(database: Database, set_id: str) -> None:
    more = True
    while more:
        with writing(database) as session:
            more = queries.delete_rows(session, set_id, limit=ROWS_AT_ONCE)


def fail_unfinished(database: Database) -> int:
    """End the imports an earlier process left behind, and remove their rows; returns how many there were."""
    with reading(database) as session:
        found = session.exec(select(TuningSet.id).where(col(TuningSet.state).in_(queries.UNFINISHED))).all()
    for set_id in found:
        _give_up(database, set_id, STOPPED)
    return len(found)


def delete_set(database: Database, places: Places, set_id: str, *, confirmed: bool) -> None:
    """Delete a set, its rows, its files and its indexes. Raises ConflictError while it is imported or referred to."""
    with writing(database) as session:
        queries.hide(session, set_id, confirmed=confirmed)
        sha256 = queries.get_set(session, set_id).sha256
    _remove_rows(database, set_id)
    with writing(database) as session:
        queries.remove(session, [set_id])
        shared = queries.find_set(session, sha256) is not None
    places.forget(set_id, None if shared else index_folder(places.indexes, sha256))
