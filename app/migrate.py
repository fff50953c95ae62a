"""Bring a database to the newest schema, say where it stands, and copy it while it is in use."""

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DatabaseError

from app.database.backup import backup as backup_to
from app.database.soundness import problems_of
from app.errors import ConfigurationError
from app.settings import ROOT

_BY_LANGUAGE = text(
    "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute a "
    "JOIN pg_class c ON c.oid = a.attrelid JOIN pg_collation o ON o.oid = a.attcollation "
    "WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') "
    "AND NOT a.attisdropped AND o.collname <> 'C' ORDER BY c.relname, a.attnum"
)


def upgrade(engine: Engine) -> None:
    """Apply every migration that is missing, all or none; safe to call at each start."""
    if engine.dialect.name != "sqlite":
        # Of two that start together, the second waits, and then finds nothing to do.
        with engine.execution_options(one_writer=True).begin() as connection:
            command.upgrade(config(connection), "head")
            _order_by_bytes(connection)
        return
    with engine.connect() as connection:
        # SQLite alters a table by making it anew, which rows that point at it must not notice. The driver opens no
        # transaction by itself, so this still counts; what it would have refused is looked for before the commit.
        pragmas = connection.connection.cursor()
        pragmas.execute("PRAGMA foreign_keys=OFF")
        try:
            with connection.begin():
                command.upgrade(config(connection), "head")
                if orphans := connection.exec_driver_sql("PRAGMA foreign_key_check").all():
                    raise ConfigurationError(f"The migration would orphan {len(orphans)} rows; nothing was changed.")
        finally:
            pragmas.execute("PRAGMA foreign_keys=ON")


def _order_by_bytes(connection: Connection) -> None:
    """Let PostgreSQL compare texts as SQLite does, by their bytes, whatever the language of its cluster is.

    Sorted rows, and with them whole exports, are then the same from both. New columns of later migrations get it too.
    """
    for table, columns in _ordered_by_language(connection).items():
        changes = ", ".join(f'ALTER COLUMN "{name}" TYPE {kind} COLLATE "C"' for name, kind in columns)
        connection.exec_driver_sql(f'ALTER TABLE "{table}" {changes}')


def _ordered_by_language(connection: Connection) -> dict[str, list[tuple[str, str]]]:
    found: dict[str, list[tuple[str, str]]] = {}
    for table, column, kind in connection.execute(_BY_LANGUAGE):
        found.setdefault(table, []).append((column, kind))
    return found


def is_current(engine: Engine) -> bool:
    """Tell whether the database has every migration."""
    with engine.connect() as connection:
        return set(MigrationContext.configure(connection).get_current_heads()) == _newest()


@cache
def _newest() -> frozenset[str]:
    """Read which migrations are the last; they do not change under a running program."""
    return frozenset(ScriptDirectory.from_config(_files()).get_heads())


def config(connection: Connection) -> Config:
    """Build Alembic's configuration around an open connection."""
    result = _files()
    result.attributes["connection"] = connection
    return result


def _files() -> Config:
    result = Config()
    result.set_main_option("script_location", str(ROOT / "migrations"))
    return result


def check(engine: Engine) -> list[str]:
    """List what is wrong with the database, in words; empty when it is sound and current."""
    try:
        return _unsound(engine)
    except DatabaseError as error:
        # Too damaged to be asked: no more can be said, and a copy is the way back.
        return [f"it cannot be read: {error.orig}; restore a backup"]


def _unsound(engine: Engine) -> list[str]:
    if not is_current(engine):
        return ["the schema is not current; run: tuneshift db upgrade"]
    with engine.connect() as connection:
        unsorted = _ordered_by_language(connection) if connection.dialect.name == "postgresql" else {}
    found = [f"{table} is sorted by a language; run: tuneshift db upgrade" for table in unsorted]
    return [*found, *problems_of(engine)]


def backup(url: str, *, target: Path) -> None:
    """Copy a database to a new file while others use it; the copy is consistent and checked.

    Raises ConfigurationError, with no file left, where the target exists or the copy cannot be made.
    """
    backup_to(url, target=target)
