"""Put a backup back: into an empty place, or, where asked, into one in use before, which is then set aside."""

import os
import shutil
import sqlite3
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path

from sqlalchemy import URL, Engine, create_engine, make_url, text

from app.database.backup import SET_ASIDE, examine_file, server_version
from app.database.tools import address_of, find_tool, run_tool
from app.errors import ConfigurationError

_ARCHIVE = b"PGDMP"
_IN_USE = text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
    "AND application_name = 'tuneshift'"
)
_TABLES = text("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")


def restore(url: str, *, source: Path, now: datetime, overwrite: bool = False) -> str:
    """Make a database what a backup says it was; returns where what stood there before is now, empty for nothing.

    The backup is read whole before anything is changed. Raises ConfigurationError, with the database as it was, where
    the backup is damaged or of the other kind, the database holds something and `overwrite` is not asked for, or
    somebody has it open.
    """
    target = make_url(url)
    if not source.is_file():
        raise ConfigurationError(f"There is no file {source}.")
    with source.open("rb") as file:
        is_archive = file.read(len(_ARCHIVE)) == _ARCHIVE
    if is_archive == (target.get_backend_name() == "sqlite"):
        kind = "an archive of pg_dump" if is_archive else "no archive of pg_dump"
        raise ConfigurationError(
            f"{source} is {kind}, and the database is {target.get_backend_name()}.",
            remedy="Restore it into a database of its own kind, and move the rows with: tuneshift db move",
        )
    aside = f"{SET_ASIDE}{now:%Y%m%d_%H%M%S}"
    if is_archive:
        return _restore_archive(target, source, aside, overwrite=overwrite)
    return _restore_file(target, source, aside, overwrite=overwrite)


def _restore_file(target: URL, source: Path, aside: str, *, overwrite: bool) -> str:
    examine_file(source)
    path = Path(str(target.database)).resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and not overwrite:
        raise ConfigurationError(f"{path} exists already.", remedy="Add --overwrite to set it aside.")
    partial = path.with_name(f"{path.name}.partial")
    try:
        shutil.copyfile(source, partial)
        examine_file(partial)
        before = ""
        if path.exists():
            _close_log(path)
            before = str(path.with_name(f"{path.name}.{aside}"))
            path.rename(before)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return before


def _close_log(path: Path) -> None:
    """Make a file that is set aside whole by itself; raises ConfigurationError where somebody has it open."""
    with closing(sqlite3.connect(path, timeout=0)) as file, suppress(sqlite3.DatabaseError):
        # Only the last one to have it open may leave the mode with a log beside the file.
        mode = file.execute("PRAGMA journal_mode=DELETE").fetchone()[0]
        if mode == "delete":
            return
    if path.with_name(f"{path.name}-wal").exists():
        raise ConfigurationError(f"{path} is in use.", remedy="Stop the app first.")


def _restore_archive(target: URL, source: Path, aside: str, *, overwrite: bool) -> str:
    engine = create_engine(target)
    try:
        tool = find_tool("pg_restore", server=server_version(engine))
        run_tool([tool, f"--file={os.devnull}", source], doing=f"Reading {source}")
        before = _set_aside(engine, target, aside, overwrite=overwrite)
        try:
            with address_of(target) as address:
                whole = ("--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges")
                run_tool([tool, *whole, f"--dbname={address}", source], doing="pg_restore")
        except ConfigurationError:
            if before:
                _take_back(engine, aside)
            raise
    finally:
        engine.dispose()
    return before


def _set_aside(engine: Engine, target: URL, aside: str, *, overwrite: bool) -> str:
    with engine.begin() as connection:
        if not connection.execute(_TABLES).scalar_one():
            return ""
        if not overwrite:
            raise ConfigurationError(
                f"{target.database} has tables already.", remedy="Add --overwrite to set them aside."
            )
        if users := connection.execute(_IN_USE).scalar_one():
            raise ConfigurationError(
                f"{users} connections of Tuneshift have {target.database} open.", remedy="Stop the app first."
            )
        connection.exec_driver_sql(f"ALTER SCHEMA public RENAME TO {aside}")
        connection.exec_driver_sql("CREATE SCHEMA public")
    return f"schema {aside}"


def _take_back(engine: Engine, aside: str) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        connection.exec_driver_sql(f"ALTER SCHEMA {aside} RENAME TO public")
