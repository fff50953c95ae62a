"""Disks that fill up or fail: real file systems where the machine lets a test mount, SQLite's own limits elsewhere.

A test that asks for a mount is skipped, in words, where nobody may mount; one that uses `no_room` or `no_changes` runs
everywhere, and meets the very errors of SQLite that a full or a read-only disk gives.
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from sqlalchemy import Engine, event

from app import migrate
from app.db import connect
from app.settings import Settings

ORIGIN = "http://testserver"
_FILLING = "filling"
_BLOCK = 4096


@cache
def _migrated() -> bytes:
    """A SQLite file with every migration applied, made once."""
    with TemporaryDirectory() as folder:
        database = connect(f"sqlite:///{folder}/tuneshift.db")
        migrate.upgrade(database)
        with database.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        database.dispose()
        return (Path(folder) / "tuneshift.db").read_bytes()


def sqlite_settings(folder: Path) -> Settings:
    """Settings with a SQLite file in `folder`, whatever database the run is about: these faults are of files."""
    folder.mkdir(parents=True)
    file = folder / "tuneshift.db"
    file.write_bytes(_migrated())
    return Settings(_env_file=None, data_dir=folder, database_url=f"sqlite:///{file}", public_url=ORIGIN)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        pytest.skip(f"{command[0]} is not possible here: {done.stderr.strip()[:200]}")


@contextmanager
def small_disk(place: Path, *, mebibytes: int) -> Iterator[Path]:
    """A disk of its own, in memory, of that size."""
    place.mkdir(parents=True)
    _run("mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(place))
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True, timeout=60)


def fill(place: Path) -> None:
    """Write until there is no room for another block."""
    with (place / _FILLING).open("ab", buffering=0) as file:
        for size in (1024 * _BLOCK, _BLOCK, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue


def make_room(place: Path) -> None:
    """Undo `fill`."""
    (place / _FILLING).unlink()


@contextmanager
def failing_disk(place: Path, *, mebibytes: int) -> Iterator[Path]:
    """A disk with a file system that `fail` turns read-only, as the kernel does when it meets an error."""
    image = place.with_name(f"{place.name}.img")
    place.mkdir(parents=True)
    with image.open("wb") as file:
        file.truncate(mebibytes * 2**20)
    _run("mkfs.ext4", "-q", str(image))
    _run("mount", "-o", "loop", str(image), str(place))
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True, timeout=60)


def fail(place: Path) -> None:
    """Let the file system give up, with files open for writing."""
    _run("mount", "-o", "remount,abort", str(place))


@contextmanager
def no_room(database: Engine) -> Iterator[None]:
    """Let SQLite find its disk full: its file may not grow by a page, and has none to spare."""
    spare = database.raw_connection()
    spare.execute("VACUUM")
    spare.close()
    with _told(database, "max_page_count=1"):
        yield


@contextmanager
def no_changes(database: Engine) -> Iterator[None]:
    """Let SQLite find its file read-only."""
    with _told(database, "query_only=ON"):
        yield


@contextmanager
def _told(database: Engine, pragma: str) -> Iterator[None]:
    def tell(connection, _record, _proxy):
        connection.execute(f"PRAGMA {pragma}")

    event.listen(database, "checkout", tell)
    try:
        yield
    finally:
        event.remove(database, "checkout", tell)
        # Connections keep what they were told, so they are opened anew.
        database.dispose()


@contextmanager
def held_by_another(url: str) -> Iterator[None]:
    """Let another program hold the write lock of a SQLite file."""
    other = connect(url)
    with other.connect() as connection:
        connection.execution_options(sqlite_begin="IMMEDIATE")
        connection.exec_driver_sql("SELECT 1")
        yield
    other.dispose()


def damage_index(file: Path, index: str) -> None:
    """Overwrite the first bytes of an index of a SQLite file that nobody has open."""
    engine = connect(f"sqlite:///{file}")
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        page = connection.exec_driver_sql(f"SELECT rootpage FROM sqlite_master WHERE name = '{index}'").scalar_one()
        size = connection.exec_driver_sql("PRAGMA page_size").scalar_one()
    engine.dispose()
    with file.open("r+b") as opened:
        opened.seek((page - 1) * size)
        opened.write(b"\xff" * 64)
