"""Writing the rows of one table to files: each as CSV, JSON Lines and Parquet, in one pass over the rows."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from sqlmodel import Session

from app.results.export import COLUMNS, FORMATS, csv_header, line_writer, values_of
from app.results.parquet import parquet_file
from app.results.queries import table_rows
from models import Study

_CHUNK = 256
_READ = 1 << 20


@dataclass(frozen=True, slots=True)
class Written:
    """A finished file: its name in the export, where it lies, and what it weighs. `rows` is None for no table."""

    name: str
    path: Path
    bytes: int
    sha256: str
    rows: int | None = None


def written(name: str, path: Path, rows: int | None = None) -> Written:
    """Weigh a finished file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_READ):
            digest.update(block)
    return Written(name, path, path.stat().st_size, digest.hexdigest(), rows)


def write_rows(
    folder: Path,
    table: str,
    rows: Iterable[Mapping[str, Any]],
    *,
    formats: Sequence[str] = FORMATS,
    on_rows: Callable[[int], None] | None = None,
) -> list[Written]:
    """Write a table into `folder` in each of `formats`, a few rows in memory at a time.

    `on_rows` is called now and then with how many more rows are written.
    """
    columns = COLUMNS[table]
    count = 0
    with ExitStack() as stack:
        add = [stack.enter_context(_file(folder / f"{table}.{form}", table)) for form in formats]
        for part in _parts(rows):
            values = [values_of(row, columns) for row in part]
            for write in add:
                write(values)
            count += len(values)
            if on_rows is not None:
                on_rows(len(values))
    return [written(f"{table}.{form}", folder / f"{table}.{form}", count) for form in formats]


def _parts(rows: Iterable[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    part: list[Mapping[str, Any]] = []
    for row in rows:
        part.append(row)
        if len(part) == _CHUNK:
            yield part
            part = []
    if part:
        yield part


@contextmanager
def _file(path: Path, table: str) -> Iterator[Callable[[Sequence[Sequence[Any]]], None]]:
    columns = COLUMNS[table]
    if path.suffix == ".parquet":
        with path.open("wb") as raw, parquet_file(raw, columns) as add:
            yield lambda rows: _each(add, rows)
        return
    line = line_writer(path.name)
    with path.open("w", encoding="utf-8", newline="") as file:
        if path.suffix == ".csv":
            file.write(csv_header(columns))
        yield lambda rows: _lines(file, line, rows)


def _each(add: Callable[[Sequence[Any]], None], rows: Sequence[Sequence[Any]]) -> None:
    for values in rows:
        add(values)


def _lines(file: TextIO, line: Callable[[Sequence[Any]], str], rows: Sequence[Sequence[Any]]) -> None:
    file.write("".join(map(line, rows)))


def write_parquet(session: Session, study: Study, table: str, path: Path, *, external_ids: bool = False) -> None:
    """Write one table of a study as Parquet to `path`."""
    with path.open("wb") as raw, parquet_file(raw, COLUMNS[table]) as add:
        for row in table_rows(session, study, table, external_ids=external_ids):
            add(values_of(row, COLUMNS[table]))
