"""Fresh databases for tests, on SQLite or on PostgreSQL: migrated once, then copied for each test."""

import itertools
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from sqlalchemy import make_url

from app import migrate
from app.db import connect
from tests.postgres_server import execute, libpq, running


@dataclass(frozen=True)
class SqliteFiles:
    """`template` is a file with every migration applied."""

    template: Path

    def create(self, folder: Path, *, migrated: bool = True) -> str:
        """Make a database in a folder and return its URL; one that is not migrated is not even a file yet."""
        path = folder / "tuneshift.db"
        if migrated:
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(self.template, path)
        return f"sqlite:///{path}"

    def drop(self, url: str) -> None:
        """Remove a database that nobody uses any more."""
        for name in ("", "-wal", "-shm"):
            Path(f"{make_url(url).database}{name}").unlink(missing_ok=True)


# All rows of all tables but the migrations', past triggers and foreign keys, and whoever was connected still.
_EMPTY = """
SET session_replication_role = replica;
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
  WHERE datname = current_database() AND pid <> pg_backend_pid();
DO $$ DECLARE one name; BEGIN
  FOR one IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version' LOOP
    EXECUTE format('DELETE FROM %I', one);
  END LOOP;
END $$
"""
# A test may have changed more than rows; such a database is not used again.
_SHAPE = """
SELECT (SELECT count(*) FROM pg_trigger), (SELECT count(*) FROM pg_class), (SELECT count(*) FROM pg_attribute),
  (SELECT count(*) FROM pg_constraint), (SELECT count(*) FROM pg_namespace),
  (SELECT max(version_num) FROM alembic_version)
"""
# Deleted rows stay in the files of a database; after so many tests it is made anew.
_USES = 50


@dataclass(frozen=True)
class PostgresDatabases:
    """`server` is the URL of its database `postgres`; the one called `migrated` has every migration applied.

    A database is emptied and used again, under another name: whatever a test left running finds it no more.
    """

    server: str
    numbers: Iterator[int] = field(default_factory=itertools.count)
    emptied: list[tuple[str, int]] = field(default_factory=list)
    uses: dict[str, int] = field(default_factory=dict)
    shapes: dict[str, tuple] = field(default_factory=dict)

    def create(self, _folder: Path, *, migrated: bool = True) -> str:
        """Make a database and return its URL; one that is not migrated is empty."""
        name = f"test{next(self.numbers)}"
        if migrated and self.emptied:
            before, self.uses[name] = self.emptied.pop()
            execute(self.server, f"ALTER DATABASE {before} RENAME TO {name}")
        else:
            execute(self.server, f"CREATE DATABASE {name} TEMPLATE {'migrated' if migrated else 'template0'}")
            self.uses[name] = 0 if migrated else _USES
            if migrated:
                self.shapes.setdefault("migrated", _ask(_beside(self.server, name), _SHAPE))
        return _beside(self.server, name)

    def drop(self, url: str) -> None:
        """Remove a database, whoever is connected still."""
        name = make_url(url).database
        uses = self.uses.pop(name) + 1
        if uses >= _USES or _ask(url, _SHAPE) != self.shapes["migrated"]:
            execute(self.server, f"DROP DATABASE {name} WITH (FORCE)")
            return
        execute(url, _EMPTY)
        try:
            execute(self.server, f"ALTER DATABASE {name} RENAME TO emptied{name}")
        except psycopg.errors.ObjectInUse:
            # Something of the test is at work still, and has connected again.
            execute(self.server, f"DROP DATABASE {name} WITH (FORCE)")
            return
        self.emptied.append((f"emptied{name}", uses))


class PlainReader:
    """Asks a database past the app, through the driver alone; `?` stands for a value."""

    def __init__(self, url: str) -> None:
        parsed = make_url(url)
        self._sqlite = parsed.get_backend_name() == "sqlite"
        if self._sqlite:
            self._connection = sqlite3.connect(parsed.database)
        else:
            self._connection = psycopg.connect(libpq(parsed), autocommit=True, options="-c timezone=UTC")

    def ask(self, query: str, values: Sequence[object] = ()) -> list[tuple]:
        """Return the rows a query finds now."""
        return self._connection.execute(query if self._sqlite else query.replace("?", "%s"), values).fetchall()

    def close(self) -> None:
        """Let go of the database."""
        self._connection.close()


Databases = SqliteFiles | PostgresDatabases


@contextmanager
def databases(kind: str, folder: Path) -> Iterator[Databases]:
    """Prepare what databases of a kind, `sqlite` or `postgres`, are copied from; a server ends with the block."""
    if kind == "sqlite":
        url = f"sqlite:///{folder / 'tuneshift.db'}"
        _migrate(url)
        yield SqliteFiles(folder / "tuneshift.db")
        return
    with running() as server:
        execute(server, "CREATE DATABASE migrated TEMPLATE template0")
        _migrate(_beside(server, "migrated"))
        yield PostgresDatabases(server)


def _ask(url: str, query: str) -> tuple:
    with psycopg.connect(libpq(make_url(url))) as connection:
        return connection.execute(query).fetchone()


def _migrate(url: str) -> None:
    engine = connect(url)
    migrate.upgrade(engine)
    if engine.dialect.name == "sqlite":
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    engine.dispose()


def _beside(server: str, name: str) -> str:
    return make_url(server).set(database=name).render_as_string(hide_password=False)
