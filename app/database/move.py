"""Move every row of a database into an empty one of another kind: all of them, or none."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import JSON, Connection, Engine, Insert, Table, Text, bindparam, cast, func, insert, select
from sqlalchemy.exc import DataError, IntegrityError
from sqlmodel import SQLModel

import models  # noqa: F401  importing registers the tables
from app import migrate
from app.database.digest import Digest, digest_of, read_rows
from app.db import snapshot, writing
from app.errors import ConfigurationError

Report = Callable[[str, int], None]


def move(source: Engine, target: Engine, *, report: Report = lambda _table, _rows: None) -> dict[str, Digest]:
    """Copy all rows of `source`, at one moment of it, into `target`, and read them back; `source` is not changed.

    Returns what each table holds. Raises ConfigurationError, with nothing copied, where the target holds rows, the
    source has not the current schema, a value has no place in the target, or what is read back differs.
    """
    if not migrate.is_current(source):
        raise ConfigurationError(
            "The database to move from has not the current schema.", remedy="Run `tuneshift db upgrade` on it first."
        )
    migrate.upgrade(target)
    with snapshot(source) as old, writing(target) as new:
        origin, copy = old.connection(), new.connection()
        _refuse_rows(copy)
        _wait_with_own_parents(copy)
        moved = {table.name: _copy(origin, copy, table, report) for table in _tables()}
        _check_own_parents(copy)
        for table in _tables():
            if digest_of(copy, table) != moved[table.name]:
                raise ConfigurationError(f"The rows of {table.name} came out different; nothing was moved.")
    return moved


def _tables() -> list[Table]:
    return list(SQLModel.metadata.sorted_tables)


def _refuse_rows(copy: Connection) -> None:
    for table in _tables():
        if rows := copy.execute(select(func.count()).select_from(table)).scalar_one():
            raise ConfigurationError(
                f"The database to move to holds {rows} rows of {table.name}.", remedy="Name one that is empty."
            )


def _copy(origin: Connection, copy: Connection, table: Table, report: Report) -> Digest:
    seen, statement = Digest(), insertion(table, sqlite=copy.dialect.name == "sqlite")
    names = [column.name for column in table.columns]
    for rows in read_rows(origin, table):
        for row in rows:
            seen.add(row)
        try:
            copy.execute(statement, [dict(zip(names, row, strict=True)) for row in rows])
        except (DataError, IntegrityError) as error:
            raise ConfigurationError(
                f"A row of {table.name} has no place in the database to move to: {error.orig}"
            ) from error
        report(table.name, seen.rows)
    return seen


def insertion(table: Table, *, sqlite: bool) -> Insert:
    """Build an INSERT that takes JSON as the text it is stored as, as `read_rows` gives it."""
    values: dict[str, Any] = {}
    for column in table.columns:
        if isinstance(column.type, JSON):
            text = bindparam(column.name, type_=Text)
            values[column.name] = text if sqlite else cast(text, JSON)
    return insert(table).values(values) if values else insert(table)


def _own_parents() -> list[tuple[str, str]]:
    """Name the tables whose rows point at rows of the same table, with their constraint."""
    return [
        (table.name, str(key.constraint.name))
        for table in _tables()
        for key in table.foreign_keys
        if key.column.table is table and key.constraint is not None
    ]


def _wait_with_own_parents(copy: Connection) -> None:
    """Let a row come before its parent until all are there."""
    if copy.dialect.name == "sqlite":
        copy.exec_driver_sql("PRAGMA defer_foreign_keys=ON")
        return
    for table, constraint in _own_parents():
        copy.exec_driver_sql(f"ALTER TABLE {table} ALTER CONSTRAINT {constraint} DEFERRABLE INITIALLY DEFERRED")


def _check_own_parents(copy: Connection) -> None:
    if copy.dialect.name == "sqlite":
        return
    copy.exec_driver_sql("SET CONSTRAINTS ALL IMMEDIATE")
    for table, constraint in _own_parents():
        copy.exec_driver_sql(f"ALTER TABLE {table} ALTER CONSTRAINT {constraint} NOT DEFERRABLE")
