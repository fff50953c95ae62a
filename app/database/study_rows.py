"""The rows of one study, table by table: brought into another database or compared with what it has, and read back."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import Connection, PrimaryKeyConstraint, Table, UniqueConstraint, select, tuple_
from sqlalchemy.exc import DataError, IntegrityError

from app.database.digest import Digest, digest_of, plain, read_rows
from app.database.move import Report, insertion
from app.database.study_parts import PARTS, Part, in_order, rows_of_study
from app.database.study_people import called_there, without_sign_in
from app.errors import ConfigurationError

Rows = Sequence[Sequence[Any]]
Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Work:
    """One study on its way: both databases, which study, the set its questions name, and how people are called."""

    origin: Connection
    copy: Connection
    study_id: str
    asked_set: str | None
    called: Mapping[str, str]
    report: Report


@dataclass(frozen=True, slots=True)
class Brought:
    """What the other database holds of a table for the study: all rows, with their hash, and how many are new there."""

    digest: Digest
    new: int


def bring(work: Work, table: Table) -> Brought:
    """Add the study's rows of a table that are not there, and read all of them back.

    Raises ConfigurationError, naming table, id and column, where a row that is there is another one.
    """
    seen, new = Digest(), 0
    for rows in _expected(work, table):
        there = _found(work.copy, table, rows)
        missing = [row for row in rows if _key(table, row) not in there]
        _refuse_different(table, [row for row in rows if _key(table, row) in there], there)
        _add(work.copy, table, missing)
        there |= (stored := _found(work.copy, table, missing))
        _refuse_different(table, missing, stored)
        for row in there.values():
            seen.add(row)
        new += len(missing)
        work.report(table.name, seen.rows)
    _refuse_more(work, table, seen)
    return Brought(seen, new)


def compare(work: Work, table: Table) -> Brought:
    """Say what the study has there of a table; raises ConfigurationError where that is not what it has here."""
    seen = Digest()
    if PARTS[table.name] in {Part.DERIVED, Part.TRAIL}:
        # Both databases go on measuring, and writing down who looks, after a study has moved.
        return Brought(seen, 0)
    for rows in _expected(work, table):
        there = _found(work.copy, table, rows)
        for row in rows:
            if _key(table, row) not in there:
                raise ConfigurationError(f"{_name(table, row)} is not in the database to move to.")
            seen.add(row)
        _refuse_different(table, rows, there)
        work.report(table.name, seen.rows)
    _refuse_more(work, table, seen)
    return Brought(seen, 0)


def _expected(work: Work, table: Table) -> Iterator[Rows]:
    only = rows_of_study(table, work.study_id, work.asked_set)
    for rows in read_rows(work.origin, table, only=only, depths=in_order(table, work.study_id)):
        named = [called_there(table, row, work.called) for row in rows]
        yield [without_sign_in(table, row) for row in named] if table.name == "invite" else named


def _found(copy: Connection, table: Table, rows: Rows) -> dict[Key, Sequence[Any]]:
    if not rows:
        return {}
    columns = list(table.primary_key.columns)
    keys = [_key(table, row) for row in rows]
    only = columns[0].in_([key[0] for key in keys]) if len(columns) == 1 else tuple_(*columns).in_(keys)
    return {_key(table, row): row for some in read_rows(copy, table, only=only) for row in some}


def _add(copy: Connection, table: Table, rows: Rows) -> None:
    if not rows:
        return
    names = [column.name for column in table.columns]
    statement = insertion(table, sqlite=copy.dialect.name == "sqlite")
    try:
        with copy.begin_nested():
            copy.execute(statement, [dict(zip(names, row, strict=True)) for row in rows])
    except (DataError, IntegrityError) as error:
        raise ConfigurationError(
            _taken(copy, table, rows) or f"A row of {table.name} has no place in the database to move to: {error.orig}",
            remedy="Nothing was moved.",
        ) from error


def _taken(copy: Connection, table: Table, rows: Rows) -> str:
    """Say which row there has what no two rows may have alike; empty where that is not what was wrong."""
    for constraint in table.constraints:
        if not isinstance(constraint, UniqueConstraint):
            continue
        columns = list(constraint.columns)
        wanted = {tuple(row[place] for place in _places(table, constraint)): row for row in rows}
        query = select(*table.primary_key.columns, *columns).where(tuple_(*columns).in_(list(wanted)))
        for found in copy.execute(query):
            row = wanted.get(tuple(found[len(table.primary_key.columns) :]))
            if row is not None:
                names = ", ".join(one.name for one in columns)
                other = "/".join(map(str, found[: len(table.primary_key.columns)]))
                return f"{_name(table, row)}: {table.name} {other} of the database to move to has the same {names}."
    return ""


def _refuse_different(table: Table, rows: Rows, there: Mapping[Key, Sequence[Any]]) -> None:
    if PARTS[table.name] is Part.DERIVED:
        return
    for row in rows:
        other = there.get(_key(table, row))
        if other is not None and list(other) == list(row):
            continue
        for column, one, two in zip(table.columns, row, other or [None] * len(row), strict=True):
            if plain(one) != plain(two):
                raise ConfigurationError(
                    f"{_name(table, row)}: the column {column.name} is not the same in both databases.",
                    remedy="Nothing was moved.",
                )


def _refuse_more(work: Work, table: Table, seen: Digest) -> None:
    """Read the study's own rows once more as that database finds them: neither more nor others than came."""
    if PARTS[table.name] is not Part.OWN:
        return
    found = digest_of(work.copy, table, only=rows_of_study(table, work.study_id, work.asked_set))
    if found != seen:
        raise ConfigurationError(
            f"{table.name}: the database to move to has {found.rows} rows of this study, not these {seen.rows}.",
            remedy="Nothing was moved.",
        )


def _key(table: Table, row: Sequence[Any]) -> Key:
    return tuple(row[place] for place in _places(table, table.primary_key))


@cache
def _places(table: Table, constraint: PrimaryKeyConstraint | UniqueConstraint) -> tuple[int, ...]:
    names = list(table.columns.keys())
    return tuple(names.index(column.name) for column in constraint.columns)


def _name(table: Table, row: Sequence[Any]) -> str:
    return f"{table.name} {'/'.join(map(str, _key(table, row)))}"
