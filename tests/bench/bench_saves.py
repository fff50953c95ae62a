"""Fifty annotators who each save once a second, on SQLite or PostgreSQL: latencies as a browser would see them.

Run: python -m tests.bench.bench_saves [PEOPLE] [SECONDS] [--database sqlite|postgres]. The server is started for it and
writes to disk as it does by default. Fails when p99 is 1 s or more, or anything is refused.
"""

import argparse
import http.client
import os
import random
import signal
import socket
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path

from app import migrate
from app.db import connect
from app.settings import Settings
from tests.bench.report import emit
from tests.kill9 import Nursery, Writer, make_writers
from tests.postgres_server import running

# What tests leave out for speed, a server in use has.
_DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}

PEOPLE, SECONDS, PERIOD_S = 50, 30, 1.0


def save_steadily(writer: Writer, latencies: list[float], until: float) -> None:
    """Save once a second until the time is over; a server that cannot keep up leaves saves undone."""
    connection = http.client.HTTPConnection("127.0.0.1", writer.port, timeout=60)
    due = time.monotonic() + random.Random(writer.cookie).uniform(0, PERIOD_S)
    while due < until and time.monotonic() < until + PERIOD_S:
        time.sleep(max(0.0, due - time.monotonic()))
        started = time.monotonic()
        writer.step(connection)
        latencies.append(time.monotonic() - started)
        due += PERIOD_S
    connection.close()


def main(people: int, seconds: int, kind: str) -> int:
    """Run the load and print what came of it; returns the exit code."""
    latencies: list[float] = []
    with ExitStack() as stack:
        if kind == "postgres":
            os.environ["TUNESHIFT_DATABASE_URL"] = stack.enter_context(running(**_DURABLE))
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=256))
        settings = Settings(_env_file=None, data_dir=Path(folder) / "data")
        database = connect(settings.resolved_database_url)
        migrate.upgrade(database)
        writers = make_writers(database, settings, listener.getsockname()[1], people=people)
        nursery = Nursery(settings, listener)
        server = nursery.start()
        until = time.monotonic() + seconds
        threads = [threading.Thread(target=save_steadily, args=(writer, latencies, until)) for writer in writers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        os.kill(server, signal.SIGKILL)
        nursery.close()
        database.dispose()
    latencies.sort()
    refused = [words for writer in writers for words in writer.refused]
    expected = people * (seconds - 1)
    p50, p99 = (latencies[int(len(latencies) * share)] for share in (0.5, 0.99))
    milliseconds = {"p50_ms": p50, "p99_ms": p99, "longest_ms": latencies[-1]}
    rounded = {name: round(value * 1000, 1) for name, value in milliseconds.items()}
    saves = {"people": people, "saves": len(latencies), "expected": expected, "refused": len(refused)}
    emit(bench="saves", database=kind, **saves, **rounded)
    return int(p99 >= 1 or bool(refused) or len(latencies) < expected)


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("people", type=int, nargs="?", default=PEOPLE)
    options.add_argument("seconds", type=int, nargs="?", default=SECONDS)
    options.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite")
    given = options.parse_args()
    sys.exit(main(given.people, given.seconds, given.database))
