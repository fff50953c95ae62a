"""The database: one pool, read and write sessions, and the only commit in the code base."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlmodel import Session

from app.errors import ConfigurationError
from app.write_queue import WriteQueue

BUSY_TIMEOUT_MS = 10_000
# Longer than any queue of writers; only a transaction inside another one would ever wait it out.
_LONGEST_QUEUE_S = 60.0
# The requests of one process run in 40 threads, and each has one connection at a time.
_KEPT_CONNECTIONS, _MORE_CONNECTIONS = 10, 30
_ROWS_AHEAD = 200
# One number that every writer locks, whichever process it is in (decision 0017); the lock ends with its transaction,
# however that ends. A writer that vanished without closing its connection is given up after five minutes.
_WRITERS_LOCK = 7_588_673
_TAKE_TURN = (
    f"SET LOCAL lock_timeout = '{_LONGEST_QUEUE_S:.0f}s'; SET LOCAL idle_in_transaction_session_timeout = '5min'; "
    f"SELECT pg_advisory_xact_lock({_WRITERS_LOCK})"
)


_SERVER_URL = "postgresql+psycopg://USER:PASSWORD@HOST/DATABASE"


def connect(url: str) -> Engine:
    """Open the pool for a SQLAlchemy URL; a SQLite file is durable (WAL, synchronous FULL) and checks foreign keys.

    Raises ConfigurationError for what is no URL, for another kind of database than SQLite or PostgreSQL, when its
    driver is missing, and when the folder of a file can be neither found nor made.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        # It may hold a password, so it is not repeated.
        raise ConfigurationError(
            "What names the database is no URL.",
            remedy=f"Set TUNESHIFT_DATABASE_URL to sqlite:////FOLDER/FILE.db or {_SERVER_URL}.",
        ) from error
    if parsed.get_backend_name() != "sqlite":
        return _connect_to_server(parsed)
    if parsed.database and parsed.database != ":memory:":
        _make_folder(Path(parsed.database).parent)
    engine = create_engine(parsed, connect_args={"timeout": BUSY_TIMEOUT_MS / 1000}, pool_size=20)
    queue = WriteQueue(parsed.database or ":memory:")
    engine.update_execution_options(sqlite_queue=queue)
    event.listen(engine, "engine_disposed", lambda _engine: queue.close())
    event.listen(engine, "connect", _set_pragmas)
    event.listen(engine, "begin", _begin)
    return engine


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"The folder of the database, {folder}, can be neither found nor made ({error.strerror}).",
            remedy="Set TUNESHIFT_DATA_DIR, or TUNESHIFT_DATABASE_URL, to a place you may write.",
        ) from error


def _connect_to_server(url: URL) -> Engine:
    if url.drivername in ("postgres", "postgresql"):
        url = url.set(drivername="postgresql+psycopg")
    if url.drivername != "postgresql+psycopg":
        raise ConfigurationError(
            f"Tuneshift stores in SQLite or PostgreSQL, not by {url.drivername}.",
            remedy=f"Set TUNESHIFT_DATABASE_URL to {_SERVER_URL}.",
        )
    try:
        engine = create_engine(
            url,
            pool_pre_ping=True,
            pool_size=_KEPT_CONNECTIONS,
            max_overflow=_MORE_CONNECTIONS,
            connect_args={"application_name": "tuneshift"},
        )
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "PostgreSQL needs the package psycopg.", remedy="Run: pip install 'tuneshift[postgres]'"
        ) from error
    event.listen(engine, "begin", _begin_on_server)
    return engine


def _set_pragmas(connection: Any, _record: object) -> None:
    # The driver must not open transactions by itself: `_begin` decides which kind.
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={BUSY_TIMEOUT_MS}"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    # Deferred, a transaction that reads and then writes fails at once behind another writer; immediate, it waits.
    options = connection.get_execution_options()
    if turn := options.get("sqlite_turn"):
        turn.take()
    connection.exec_driver_sql(f"BEGIN {options.get('sqlite_begin', 'DEFERRED')}")


def _begin_on_server(connection: Connection) -> None:
    # Each statement of a READ COMMITTED transaction sees what was committed before it; behind this lock that is
    # everything, so a writer decides on the state it changes, as it does on SQLite.
    if connection.get_execution_options().get("one_writer"):
        connection.exec_driver_sql(_TAKE_TURN)


class _Turn:
    """A writer's place in the queue: SQLite lets its waiters try by luck, and some would never win."""

    def __init__(self, queue: WriteQueue) -> None:
        self.queue, self.taken = queue, False

    def take(self) -> None:
        self.taken = self.taken or self.queue.acquire(timeout=_LONGEST_QUEUE_S)

    def give_back(self) -> None:
        if self.taken:
            self.taken = False
            self.queue.release()


@contextmanager
def reading(engine: Engine) -> Iterator[Session]:
    """A session for queries only; whatever it changed is rolled back.

    What it reads is one state of the database, that of its first query, whoever writes meanwhile.
    """
    with Session(_one_state(engine)) as session:
        yield session


@contextmanager
def snapshot(engine: Engine) -> Iterator[Session]:
    """A session for queries alone whose answers may be long, such as an export's: rows come as they are asked for."""
    engine = _one_state(engine)
    if engine.dialect.name != "sqlite":
        engine = engine.execution_options(stream_results=True, max_row_buffer=_ROWS_AHEAD)
    with Session(engine) as session:
        yield session


def _one_state(engine: Engine) -> Engine:
    # A transaction of SQLite in WAL mode is a snapshot by itself; elsewhere it has to be asked for.
    return engine if engine.dialect.name == "sqlite" else engine.execution_options(isolation_level="REPEATABLE READ")


@contextmanager
def writing(engine: Engine) -> Iterator[Session]:
    """A session whose work is committed when the block ends, and rolled back when it raises.

    One writer at a time, in whichever process: what it reads stays true until its commit. Readers wait for nobody.
    """
    queue = engine.get_execution_options().get("sqlite_queue")
    turn = _Turn(queue) if queue is not None else None
    writer = engine.execution_options(sqlite_begin="IMMEDIATE", sqlite_turn=turn, one_writer=True)
    try:
        with Session(writer, expire_on_commit=False) as session:
            yield session
            session.commit()
    finally:
        if turn is not None:
            turn.give_back()
