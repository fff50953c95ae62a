"""Fifty annotators who each save once a second, with one process and with several, and what a hop adds to a stream.

Run: python -m tests.bench.bench_workers [WORKERS] [PEOPLE] [SECONDS]. Prints a JSON line; fails when a save is refused.
"""

import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

from app import migrate
from app.accounts.queries import add_user
from app.db import connect, writing
from app.settings import Settings
from models import Role
from tests.bench.bench_saves import save_steadily
from tests.factories import PASSWORD
from tests.kill9 import make_writers
from tests.several import asking, events, several, start

WORKERS, PEOPLE, SECONDS = 3, 50, 20


def first_token_s(server, settings, owner) -> float:
    """Measure from asking for a comparison until its first token is on the stream, the best of a few."""
    found = []
    for _ in range(5):
        with asking(server, settings, owner) as client:
            began = time.monotonic()
            with client.stream("GET", f"/compare/{start(client)}/stream") as answer:
                next(one for one in events(answer.iter_lines()) if one[1].startswith("tokens-"))
            found.append(time.monotonic() - began)
    return min(found)


def main(workers: int, people: int, seconds: int) -> int:
    """Run the load and print what came of it; returns the exit code."""
    latencies: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(_env_file=None, data_dir=Path(folder) / "data")
        database = connect(settings.resolved_database_url)
        migrate.upgrade(database)
        with writing(database) as session:
            owner = add_user(session, email="olga@example.org", name="Olga", role=Role.OWNER, password=PASSWORD)
        with several(settings.data_dir, workers=workers) as server:
            hop = first_token_s(server, settings, owner)
            writers = make_writers(database, settings, int(server.url.rpartition(":")[2]), people=people)
            until = time.monotonic() + seconds
            threads = [threading.Thread(target=save_steadily, args=(writer, latencies, until)) for writer in writers]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        database.dispose()
    latencies.sort()
    refused = [words for writer in writers for words in writer.refused]
    p50, p99 = (latencies[int(len(latencies) * share)] for share in (0.5, 0.99))
    figures = {"p50_ms": p50, "p99_ms": p99, "longest_ms": latencies[-1], "first_token_ms": hop}
    rounded = {name: round(value * 1000, 1) for name, value in figures.items()}
    saves = {"workers": workers, "people": people, "saves": len(latencies), "refused": len(refused)}
    print(json.dumps({"bench": "workers", **saves, **rounded, "load": round(os.getloadavg()[0], 1)}))
    return int(bool(refused))


if __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[1:]]
    sys.exit(main(*(given + [WORKERS, PEOPLE, SECONDS][len(given) :])))
