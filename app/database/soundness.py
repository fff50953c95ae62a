"""Look for what must not be in a database, whoever wrote it: broken pages, rows that point at nothing, guards gone."""

from collections.abc import Iterator

from sqlalchemy import Connection, Engine, ForeignKeyConstraint, Table, and_, exists, func, literal, not_, select, text
from sqlmodel import SQLModel, col

from models import Presentation, PresentationState, Revision, RevisionKind

_GUARDED = ("revision", "span", "evidenceanswer", "evidenceopening", "studyevent", "auditevent")
_SERVER = (
    ("SELECT 'the database is not in UTF-8 but in ' || current_setting('server_encoding') "
     "WHERE current_setting('server_encoding') <> 'UTF8'"),
    ("SELECT 'index ' || indexrelid::regclass || ' is not valid; run: REINDEX' FROM pg_index "
     "WHERE NOT indisvalid AND indrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)"),
    ("SELECT 'constraint ' || conname || ' was never checked' FROM pg_constraint "
     "WHERE NOT convalidated AND connamespace = 'public'::regnamespace"),
)  # fmt: skip


def problems_of(engine: Engine) -> list[str]:
    """List what is wrong with a database of the current schema, in words; empty when it is sound."""
    with engine.connect() as connection:
        own = _of_sqlite if connection.dialect.name == "sqlite" else _of_server
        return [*own(connection), *_guards_gone(connection), *_answers_out_of_order(connection)]


def counts_of(engine: Engine) -> dict[str, int]:
    """Count the rows of every table."""
    with engine.connect() as connection:
        return {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar_one() for table in _tables()
        }


def _tables() -> list[Table]:
    return list(SQLModel.metadata.sorted_tables)


def _of_sqlite(connection: Connection) -> Iterator[str]:
    for line in connection.exec_driver_sql("PRAGMA integrity_check").scalars():
        if line != "ok":
            yield f"integrity: {line}"
    for table, row, parent, _ in connection.exec_driver_sql("PRAGMA foreign_key_check"):
        yield f"row {row} of {table} points at a missing row of {parent}"


def _of_server(connection: Connection) -> Iterator[str]:
    for statement in _SERVER:
        yield from connection.execute(text(statement)).scalars()
    # Every row of every table is read: a broken page is an error here, and no answer.
    for table in _tables():
        for key in table.foreign_key_constraints:
            if lost := _orphans(connection, table, key):
                yield f"{lost} rows of {table.name} point at missing rows of {key.referred_table.name}"


def _orphans(connection: Connection, table: Table, key: ForeignKeyConstraint) -> int:
    parent = key.referred_table.alias("parent")
    same = [one.parent == parent.c[one.column.name] for one in key.elements]
    there = exists(select(literal(1)).select_from(parent).where(*same))
    given = and_(*(one.parent.is_not(None) for one in key.elements))
    return connection.execute(select(func.count()).select_from(table).where(given, not_(there))).scalar_one()


def _guards_gone(connection: Connection) -> Iterator[str]:
    if connection.dialect.name == "sqlite":
        query = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        wanted = {"span_quotes", *(f"{table}_no_{what}" for table in _GUARDED for what in ("update", "delete"))}
    else:
        query = "SELECT tgname FROM pg_trigger WHERE tgenabled = 'O' AND NOT tgisinternal"
        wanted = {"span_quotes", *(f"{table}_append_only" for table in _GUARDED)}
    for name in sorted(wanted - set(connection.exec_driver_sql(query).scalars())):
        yield f"the guard {name} is gone: rows it protects may have been changed"


def _answers_out_of_order(connection: Connection) -> Iterator[str]:
    numbers = (
        select(col(Revision.presentation_id))
        .group_by(col(Revision.presentation_id))
        .having(func.max(col(Revision.number)) != func.count())
    )
    if gaps := connection.execute(select(func.count()).select_from(numbers.subquery())).scalar_one():
        yield f"{gaps} presentations lack a revision between their first and their last"
    answer = exists(
        select(literal(1)).where(
            col(Revision.presentation_id) == col(Presentation.id), col(Revision.kind) == RevisionKind.SUBMITTED
        )
    )
    judged = select(func.count()).where(col(Presentation.state) == PresentationState.SUBMITTED, not_(answer))
    if without := connection.execute(judged).scalar_one():
        yield f"{without} presentations are said to be judged and hold no judgment"
