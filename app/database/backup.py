"""Copy a database to one file while others write to it: a state it had, whole, and checked before it gets its name."""

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from sqlalchemy import URL, Engine, create_engine, make_url

from app.database.tools import address_of, find_tool, run_tool
from app.errors import ConfigurationError

# Restoring beside what was there sets it aside under such a name; it is no part of the database any more.
SET_ASIDE = "replaced_"


def backup(url: str, *, target: Path) -> None:
    """Write a consistent copy of a database to a new file, on disk when this returns.

    SQLite gives a database file, PostgreSQL an archive of pg_dump. Raises ConfigurationError, with no file left, when
    the target exists, the copy is damaged, or pg_dump is missing, older than the server, or fails.
    """
    source = make_url(url)
    if target.exists():
        raise ConfigurationError(f"{target} exists already.", remedy="Name a file that does not.")
    if not target.resolve().parent.is_dir():
        raise ConfigurationError(f"There is no folder {target.resolve().parent}.", remedy="Make it first.")
    partial = target.with_name(f"{target.name}.partial")
    try:
        if source.get_backend_name() == "sqlite":
            _copy_file(source, partial)
        else:
            _dump(source, partial)
        _to_disk(partial)
        partial.replace(target)
        _to_disk(target.resolve().parent)
    except BaseException:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


def examine_file(path: Path, called: object = None) -> None:
    """Raise ConfigurationError unless a file, `called` so in the message, is a whole SQLite database of this app."""
    name = called or path
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)) as copy:
        try:
            verdict = copy.execute("PRAGMA integrity_check").fetchone()[0]
            lost = len(copy.execute("PRAGMA foreign_key_check").fetchall())
            known = copy.execute("SELECT count(*) FROM sqlite_master WHERE name = 'alembic_version'").fetchone()[0]
        except sqlite3.DatabaseError as error:
            raise ConfigurationError(f"{name} is no whole SQLite database: {error}.") from error
    if verdict != "ok" or lost:
        raise ConfigurationError(
            f"{name} is damaged: {verdict if verdict != 'ok' else f'{lost} rows point at nothing'}."
        )
    if not known:
        raise ConfigurationError(f"{name} is a database, but not one of Tuneshift.")


def server_version(engine: Engine) -> int:
    """Ask a PostgreSQL server for its major version."""
    with engine.connect() as connection:
        return int(connection.exec_driver_sql("SHOW server_version_num").scalar_one()) // 10_000


def _copy_file(source: URL, partial: Path) -> None:
    if not source.database or not Path(source.database).exists():
        raise ConfigurationError(f"There is no database at {source.database}.")
    try:
        with closing(sqlite3.connect(source.database)) as origin, closing(sqlite3.connect(partial)) as copy:
            origin.backup(copy)
            # The copy is one file: whoever opens it again asks for a log of its own.
            copy.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.DatabaseError as error:
        raise ConfigurationError(
            f"{source.database} could not be copied to {partial.parent.resolve()}: {error}.",
            remedy="Name a folder that can be written and has room; `tuneshift db check` looks at the database.",
        ) from error
    examine_file(partial, called=source.database)


def _dump(source: URL, partial: Path) -> None:
    engine = create_engine(source)
    try:
        version = server_version(engine)
    finally:
        engine.dispose()
    dump, restore = find_tool("pg_dump", server=version), find_tool("pg_restore", server=version)
    with address_of(source) as address:
        whose = ("--no-owner", "--no-privileges", f"--exclude-schema={SET_ASIDE}*")
        run_tool([dump, "--format=custom", *whose, f"--file={partial}", f"--dbname={address}"], doing="pg_dump")
    run_tool([restore, f"--file={os.devnull}", partial], doing="Reading the copy back")


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
