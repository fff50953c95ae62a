"""A real PostgreSQL for tests: started in a folder of its own, stopped and removed with whoever asked for it."""

import os
import pwd
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from sqlalchemy import URL, make_url

from app.database.tools import as_libpq

START_S = 60
_INITDB = (
    "--username=tuneshift",
    "--auth=trust",
    "--encoding=UTF8",
    "--no-sync",
    "--no-instructions",
    "--locale=C.UTF-8",
)
# Letters are ordered as in a dictionary and not by their numbers: what relied on SQLite's order would show.
_DICTIONARY = ("--locale-provider=icu", "--icu-locale=en-US")
_ICU_SINCE = 15
# What it stores is gone with the test run, so nothing waits for a disk.
_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "listen_addresses": "",
    "max_connections": "300",
    "shared_buffers": "64MB",
    "autovacuum_naptime": "1h",
}
# The shell outlives whoever started it by one moment: its input ends with them, however they end.
_GUARD = """
exec 3<&0
folder=$1; shift
"$@" & server=$!
(read -r _ <&3; kill -INT $server) & watcher=$!
wait $server
kill $watcher 2>/dev/null
rm -rf "$folder"
"""


def find_binaries() -> Path:
    """Return the folder of `initdb` and `postgres`; raises FileNotFoundError where there is none, naming the remedy."""
    places = [Path(found).parent for found in (shutil.which("postgres"),) if found]
    if shutil.which("pg_config"):
        told = subprocess.run(["pg_config", "--bindir"], capture_output=True, text=True, check=True)
        places.append(Path(told.stdout.strip()))
    newest_first = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: -float(path.parent.name))
    for folder in (*places, *newest_first):
        if all((folder / name).exists() for name in ("initdb", "postgres", "pg_dump", "pg_restore")):
            return folder
    raise FileNotFoundError("These tests need a PostgreSQL server: run `make postgres`, or put its programs on PATH.")


@contextmanager
def running(**settings: str) -> Iterator[str]:
    """Start a server on a socket of its own and yield the SQLAlchemy URL of its database `postgres`.

    `settings` are added to those of postgresql.conf. The server ends and its folder goes when the block ends, or when
    the process that entered it does.
    """
    binaries = find_binaries()
    folder = Path(tempfile.mkdtemp(prefix="tuneshift-pg-"))
    person = _unprivileged(folder)
    data = folder / "data"
    try:
        made = [
            binaries / "initdb",
            f"--pgdata={data}",
            *_INITDB,
            *(_DICTIONARY if _version(binaries) >= _ICU_SINCE else ()),
        ]
        subprocess.run(made, capture_output=True, text=True, check=True, cwd=folder, **person)
    except subprocess.CalledProcessError as error:
        shutil.rmtree(folder)
        raise RuntimeError(f"initdb failed: {error.stderr}") from error
    options = (_SETTINGS | {"unix_socket_directories": str(folder)} | settings).items()
    command = [str(binaries / "postgres"), "-D", str(data), *(f"--{name}={value}" for name, value in options)]
    with (folder / "log").open("w") as log:
        guard = subprocess.Popen(
            ["/bin/sh", "-c", _GUARD, "guard", str(folder), *command],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            cwd="/",
            **person,
        )
    try:
        url = make_url("postgresql+psycopg://tuneshift@/postgres").update_query_dict({"host": str(folder)})
        _wait_until_ready(url, guard, folder / "log")
        yield url.render_as_string(hide_password=False)
    finally:
        guard.stdin.close()
        guard.wait(timeout=START_S)


def execute(url: str, statements: str) -> None:
    """Run statements; a single one is outside a transaction, as CREATE DATABASE asks for."""
    with psycopg.connect(libpq(make_url(url)), autocommit=True) as connection:
        connection.execute(statements)


def libpq(url: URL) -> str:
    """Write a SQLAlchemy URL as the server's own client library reads it."""
    return as_libpq(url)


def _version(binaries: Path) -> int:
    told = subprocess.run([binaries / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    return int(re.search(r"(\d+)", told)[1])


def _unprivileged(folder: Path) -> dict[str, object]:
    """Give the folder to somebody else where we are root, whom PostgreSQL refuses; return how to run as them."""
    if os.getuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _wait_until_ready(url: URL, guard: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while True:
        try:
            psycopg.connect(libpq(url), connect_timeout=5).close()
        except psycopg.OperationalError as error:
            said = log.read_text() if log.exists() else str(error)
            assert guard.poll() is None, f"PostgreSQL ended at once: {said}"
            assert time.monotonic() < deadline, f"PostgreSQL did not start in {START_S} s: {said}"
            time.sleep(0.05)
        else:
            return
