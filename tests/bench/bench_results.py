"""How fast results come of a million judgments: `python -m tests.bench.bench_results [judgments or file]`.

Each figure stands against reading the same rows by plain SQL, which is the physical limit: reading the columns,
computing the findings, rules of exclusion, the other pages that grow with judgments, the results within an export from
kept findings, and the page from the request to the last byte, when findings are kept and right after a new judgment.
Each runs in a process of its own, so that its memory is its own. Prints JSON lines; fails when the page of results
takes 3 s or more, or one of an export, or the server while findings are computed, 200 MB.
"""

import base64
import json
import sqlite3
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path

from app.db import connect, reading, snapshot
from app.monitor.excluding import met_alone
from app.monitor.exclusions import Rule
from app.results import standing
from app.results.apart import do_apart
from app.results.finding_jobs import compute_apart
from app.results.reading import read_tables
from app.results.report.found import found
from models import Study
from tests.bench.big_study import fill
from tests.bench.report import Spent, Stopwatch, emit, peak_mb

PAGE_BAR_S = 3.0
EXPORT_BAR_MB = 200
ORIGIN = "http://testserver"
PLAIN = """
SELECT p.id, p.item_id, p.annotator_id, p.left_arm_id, p.right_arm_id, f.preference, f.strength, o.preference,
  f.active_ms, f.recognised_model, f.guideline_version, f.ratings, f.acceptability
FROM presentation p
  JOIN (SELECT presentation_id, max(number) AS last, min(number) AS first FROM revision WHERE kind = 'submitted'
    GROUP BY presentation_id) n ON n.presentation_id = p.id
  JOIN revision f ON f.presentation_id = p.id AND f.number = n.last
  JOIN revision o ON o.presentation_id = p.id AND o.number = n.first
"""


def main(given):
    """Measure and print; returns the exit code. A file that is there already gets one more judgment."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(given)
        if not path.exists():
            path = Path(folder) / "bench.db"
            fill(path, int(given))
        with sqlite3.connect(path) as raw:
            watch = Stopwatch()
            rows = sum(1 for _ in raw.execute(PLAIN))
            plain = watch.spent
        emit(bench="results", what="plain SQL", rows=rows, wall_s=round(plain.wall, 2), cpu_s=round(plain.cpu, 2))
        ran = [_child(what, path, plain) for what in ("columns", "rules", "pages", "keep", "parts", "page")]
        with sqlite3.connect(path) as raw:
            raw.execute("UPDATE presentation SET submitted_at = '2026-03-02' WHERE rowid = 1")
            names = [row[1] for row in raw.execute("PRAGMA table_info(revision)")]
            changed = {"id": "'new'", "number": "9", "idempotency_key": "'k9'"}
            columns = ", ".join(changed.get(name, name) for name in names)
            raw.execute(f"INSERT INTO revision ({', '.join(names)}) SELECT {columns} FROM revision LIMIT 1")
        ran.append(_child("page", path, plain))
    return max(ran)


def _child(what, path, plain):
    """Run one of `CHILDREN` apart; returns its exit code."""
    command = [sys.executable, "-m", "tests.bench.bench_results", what, str(path), str(plain.cpu)]
    return subprocess.run(command, check=False).returncode


def _study():
    from sqlmodel import select  # noqa: PLC0415

    return select(Study)


def columns(path, plain):
    """Read what findings rest on, and compute them, in this process."""
    database = connect(f"sqlite:///{path}")
    with snapshot(database) as session:
        study = session.exec(_study()).one()
        watch = Stopwatch()
        tables = read_tables(session, study)
        _say("columns", watch.spent, plain)
        watch = Stopwatch()
        found(tables)
        _say("findings", watch.spent, plain)
    return 0


def rules(path, plain):
    """Count what three rules of exclusion meet, and which judgments they take out."""
    database = connect(f"sqlite:///{path}")
    some = [Rule("min_active", {"seconds": 25}), Rule("straight_lining", {"share": 0.9, "min_n": 5})]
    with snapshot(database) as session:
        study = session.exec(_study()).one()
        watch = Stopwatch()
        met = met_alone(session, study, [*some, Rule("recognised", {})])
        _say("rules counted", watch.spent, plain, met=met)
    return 0


def keep(path, plain):
    """Compute and keep the findings as the server does: in a process of their own."""
    database = connect(f"sqlite:///{path}")
    with reading(database) as session:
        study_id = session.exec(_study()).one().id
    watch, said = Stopwatch(), []
    do_apart(compute_apart, database, {"study": study_id}, stopping=threading.Event(), on_said=said.append)
    _say("findings apart: the process that waits", watch.spent, plain, notes_of_progress=len(said))
    return 0 if peak_mb() < EXPORT_BAR_MB else 1


def pages(path, plain):
    """Get the other pages of the study that grow with its judgments."""
    with _client(path) as (client, study):
        for name in ("monitor", "exclusions", "results/judgments", "results/judgments?excluded=no", "people", "export"):
            watch = Stopwatch()
            answer = client.get(f"/studies/{study}/{name}").raise_for_status()
            _say(f"page {name}", watch.spent, plain, bytes=len(answer.content))
    return 0


def parts(path, plain):
    """Make what an export says of results, from kept findings."""
    from app.results.recomputable import bundle_parts  # noqa: PLC0415

    database = connect(f"sqlite:///{path}")
    watch = Stopwatch()
    with snapshot(database) as session:
        size = sum(len(content) for _, content in bundle_parts(session, session.exec(_study()).one()))
    _say("results in an export, kept", watch.spent, plain, bytes=size)
    return 0 if peak_mb() < EXPORT_BAR_MB else 1


@contextmanager
def _client(path):
    """The app over the database, and its owner's client; with the id of the study."""
    from fastapi.testclient import TestClient  # noqa: PLC0415
    from itsdangerous import TimestampSigner  # noqa: PLC0415

    from app.main import create_app  # noqa: PLC0415
    from app.settings import Settings  # noqa: PLC0415
    from models import User  # noqa: PLC0415

    address = f"sqlite:///{path}"
    database = connect(address)
    with reading(database) as session:
        study = session.exec(_study()).one()
        owner = session.get_one(User, study.created_by)
        said = {"uid": owner.id, "version": owner.session_version}
    app = create_app(Settings(_env_file=None, data_dir=path.parent / "data", database_url=address, public_url=ORIGIN))
    with TestClient(app, headers={"Origin": ORIGIN}) as client:
        value = TimestampSigner(app.state.secret).sign(base64.b64encode(json.dumps(said).encode()))
        client.cookies.set("tuneshift_session", value.decode())
        yield client, study.id


def page(path, plain):
    """Get the page twice as a signed-in owner does; the first time its process has compiled no template."""
    database = connect(f"sqlite:///{path}")
    with reading(database) as session:
        kept = standing.standing(session, session.exec(_study()).one())
    worst = 0.0
    with _client(path) as (client, study):
        for time in ("first", "second"):
            watch = Stopwatch()
            answer = client.get(f"/studies/{study}/results").raise_for_status()
            spent = watch.spent
            worst = max(worst, spent.wall)
            of = "kept" if kept.fresh else "out of date"
            _say(f"page over HTTP, {of}, {time}", spent, plain, bytes=len(answer.content))
            if not kept.fresh:
                # From now on the new state is computed beside it.
                break
    return 0 if worst < PAGE_BAR_S else 1


CHILDREN = {one.__name__: one for one in (columns, rules, pages, keep, parts, page)}


def _say(what, spent, plain, **more):
    emit(
        bench="results", what=what, wall_s=round(spent.wall, 2), cpu_s=round(spent.cpu, 2),
        ratio_to_plain_sql=round(spent.cpu / plain.cpu, 2), memory_mb=peak_mb(), **more,
    )  # fmt: skip


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in CHILDREN:
        sys.exit(CHILDREN[sys.argv[1]](Path(sys.argv[2]), Spent(0.0, float(sys.argv[3]))))
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "1000000"))
