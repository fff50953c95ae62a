"""A hundred thousand judgments through every migration but the first, down and up, on both kinds of database.

Run: python -m tests.bench.bench_migrations [JUDGMENTS]. Fails when a row that has a place in the older schema comes
back different, or the database is not sound afterwards.
"""

import sys
import tempfile
from pathlib import Path

from app import migrate
from app.db import connect, writing
from tests.bench.report import Stopwatch, emit
from tests.databases import databases
from tests.factories import make_user
from tests.simulation.database import simulate_into
from tests.simulation.robot import Truth
from tests.simulation.study import build_study
from tests.there_and_back import columns_of, downgrade, held

JUDGMENTS, PAIRS, OVERLAP, OLDEST = 100_000, 3, 20, "0002"
PLANTED = Truth(quality={"base": -1.0, "lft": 0.6, "sft": 0.0}, hallucinated={"sft": 0.8})


def measure(kind: str, folder: Path, judgments: int) -> bool:
    """Fill a database, take it down and up, print how long that took; returns whether every row was kept."""
    with databases(kind, folder) as made:
        database = connect(made.create(folder / "bench"))
        with writing(database) as session:
            items = judgments // (PAIRS * OVERLAP)
            study = build_study(session, owner=make_user(session), items=items, overlap=OVERLAP)
            counts = simulate_into(session, study, PLANTED, annotators=PAIRS * OVERLAP)
        before = held(database, columns_of(database))
        down = Stopwatch()
        downgrade(database, OLDEST)
        down_s = down.spent.wall
        columns = columns_of(database)
        then = held(database, columns)
        up = Stopwatch()
        migrate.upgrade(database)
        up_s = up.spent.wall
        kept = held(database, columns) == then and all(before[name].rows == then[name].rows for name in columns)
        problems = migrate.check(database)
        database.dispose()
    emit(
        bench="migrations",
        database=kind,
        judgments=counts.presentations,
        revisions=counts.revisions,
        spans=counts.spans,
        rows=sum(digest.rows for digest in before.values()),
        down_s=round(down_s, 2),
        up_s=round(up_s, 2),
        kept=kept,
        problems=problems,
    )
    return kept and not problems


def main(judgments: int) -> int:
    """Measure both kinds; returns the exit code."""
    fine = []
    for kind in ("sqlite", "postgres"):
        with tempfile.TemporaryDirectory() as folder:
            fine.append(measure(kind, Path(folder), judgments))
    return int(not all(fine))


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else JUDGMENTS))
