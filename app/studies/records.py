"""Read a file's records with their row numbers: a JSON list, JSON Lines, or CSV with a header. Pure."""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from app.studies.rules import BadRowsError

MAX_RECORDS = 100_000


class BadFileError(BadRowsError):
    """A file cannot be used."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record and where it stands: a line of the file, or its place in a JSON list, from 1."""

    row: int
    fields: Mapping[str, Any]


def decoded(raw: bytes) -> str:
    """Read a file's bytes as UTF-8, a byte order mark left out. Raises BadFileError naming the first wrong byte."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise BadFileError([f"Row {line} is not UTF-8 text. Save the file as UTF-8 and send it again."]) from error


def read_records(text: str) -> list[Record]:
    """Read all records. Raises BadFileError naming every row that is none."""
    problems: list[str] = []
    head = text.lstrip("\ufeff \t\r\n")
    reader = _json_list if head.startswith("[") else _json_lines if head.startswith("{") else _csv_rows
    records: list[Record] = []
    for record in reader(text, problems):
        records.append(record)
        if len(records) > MAX_RECORDS:
            problems.append(f"There are more than {MAX_RECORDS:,} rows. Split the file.")
            break
    if not problems and not records:
        problems.append("There are no rows in it.")
    if problems:
        raise BadFileError(problems)
    return records


def _json_list(text: str, problems: list[str]) -> Iterator[Record]:
    try:
        values = json.loads(text.lstrip("\ufeff"))
    except (ValueError, RecursionError) as error:
        problems.append(f"The file is not JSON: {error}.")
        return
    for row, value in enumerate(values, start=1):
        yield from _record(row, value, problems)


def _json_lines(text: str, problems: list[str]) -> Iterator[Record]:
    # Not splitlines(): a JSON string may hold U+2028 and its like unescaped.
    for row, line in enumerate(text.lstrip("\ufeff").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            problems.append(f"Row {row} is not JSON: {error}.")
            continue
        yield from _record(row, value, problems)


def _record(row: int, value: object, problems: list[str]) -> Iterator[Record]:
    if isinstance(value, dict):
        yield Record(row, value)
    else:
        problems.append(f"Row {row} is no record: an object with named fields is needed.")


def _csv_rows(text: str, problems: list[str]) -> Iterator[Record]:
    reader = csv.DictReader(io.StringIO(text.lstrip("\ufeff \t\r\n"), newline=""), strict=True)
    row = 1
    try:
        reader.fieldnames = [name.strip() for name in reader.fieldnames or []]
        for row, record in enumerate(reader, start=2):
            if None in record:
                problems.append(f"Row {row} has more cells than the header has names.")
                continue
            yield Record(row, {name: value for name, value in record.items() if value is not None})
    except csv.Error as error:
        problems.append(f"The CSV breaks off after row {row}: {error}.")
