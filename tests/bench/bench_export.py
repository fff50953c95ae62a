"""How fast and in how much memory a million judgments leave: `python -m tests.bench.bench_export [judgments] [whole]`.

The CSV of preferences three ways, each in a process of its own that writes the file: ours, `sqlite3 -csv` with one
query that joins the same columns (the physical limit; it protects no cell and spells nothing), and pandas (what people
use). With `whole` the zip too. Prints JSON lines.
"""

import hashlib
import resource
import secrets
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from app import migrate
from app.db import connect, snapshot, writing
from app.results.bundle import write_bundle
from app.results.queries import iter_table
from models import Role, Study, User
from tests.bench.report import emit
from tests.factories import fill_study, make_member, make_study, make_user

PER_ITEM = 500
MEMORY_BAR_MB = 200
QUERY = """
SELECT s.id AS study_id, s.version AS study_version, i.id AS item_id, p.id AS presentation_id, m.pid AS annotator_pid,
  i.prompt, la.name AS model_left, ra.name AS model_right, lr.text_sha256 AS left_sha256,
  rr.text_sha256 AS right_sha256,
  p.side_order_key, f.preference, CASE f.preference WHEN 'left' THEN la.name WHEN 'right' THEN ra.name ELSE 'tie' END,
  f.strength, f.number, o.preference, p.created_at, f.created_at, f.active_ms, f.wall_ms,
  f.preference = 'cannot_judge', f.skip_reason, f.flagged, f.comment, f.recognised_model, f.guideline_version,
  f.app_version, 0, NULL, f.recognised_guess
FROM item i JOIN presentation p ON p.item_id = i.id JOIN study s ON s.id = p.study_id
  JOIN membership m ON m.study_id = s.id AND m.user_id = p.annotator_id
  JOIN arm la ON la.id = p.left_arm_id JOIN arm ra ON ra.id = p.right_arm_id
  JOIN response lr ON lr.id = p.left_response_id JOIN response rr ON rr.id = p.right_response_id
  JOIN revision f ON f.presentation_id = p.id AND f.number =
    (SELECT max(number) FROM revision WHERE presentation_id = p.id AND kind = 'submitted')
  JOIN revision o ON o.presentation_id = p.id AND o.number =
    (SELECT min(number) FROM revision WHERE presentation_id = p.id AND kind = 'submitted')
WHERE i.kind = 'regular' AND p.state IN ('submitted', 'skipped') ORDER BY i.position, p.id
"""


def fill(path, judgments):
    """Make a database with a study of so many judgments, 500 of each item, every tenth changed once."""
    database = connect(f"sqlite:///{path}")
    migrate.upgrade(database)
    with writing(database) as session:
        owner = make_user(session, email="bench@example.org", role=Role.OWNER)
        study = make_study(session, owner=owner)
        prompts = tuple(
            f"Why does kettle {n} whistle, and what would you do about it?" for n in range(judgments // PER_ITEM)
        )
        items = fill_study(session, study, prompts=prompts, text="{arm} says, " + "at length, " * 40)
        people = [make_user(session, email=f"{number}@example.org").id for number in range(PER_ITEM)]
        for number, one in enumerate(people):
            make_member(session, study=study, user=session.get_one(User, one), pid=f"a{number:011d}")
    database.dispose()
    raw = sqlite3.connect(path)
    raw.execute("PRAGMA synchronous=OFF")
    arms = dict(raw.execute("SELECT name, id FROM arm"))
    (pair,) = raw.execute("SELECT id FROM pair").fetchone()
    texts = {
        (item, arm): text for item, arm, text in raw.execute("SELECT item_id, arm_id, response_id FROM itemresponse")
    }
    now = "2026-03-01 09:00:00.123456"
    for item in items:
        shown, revisions = [], []
        for at, one in enumerate(people):
            left, right = ("lft", "sft") if at % 2 else ("sft", "lft")
            token = secrets.token_hex(8)
            key = hashlib.sha256(token.encode()).hexdigest()
            sides = (arms[left], arms[right], texts[item.id, arms[left]], texts[item.id, arms[right]])
            shown.append((token, study.id, item.id, pair, one, *sides, key, "submitted", now, now, now))
            answer = ("left", "right", "tie_good", "tie_bad")[at % 4]
            comment = "Both miss the point, I think." if at % 7 == 0 else ""
            given = (token, answer, comment, now)
            revisions += [(secrets.token_hex(8), n, f"k{n}", *given) for n in range(1, 3 if at % 10 == 0 else 2)]
        raw.executemany(f"INSERT INTO presentation VALUES ({','.join('?' * 14)}, NULL)", shown)
        raw.executemany(
            "INSERT INTO revision (id, number, idempotency_key, presentation_id, preference, comment, created_at, "
            "kind, active_ms, wall_ms, acceptability, ratings, flagged, skip_reason, recognised_model, "
            "recognised_guess, reading, edit_reason, guideline_version, app_version) "
            "VALUES (?,?,?,?,?,?,?,'submitted',40000,60000,'{}','{}',0,'',0,'','{}','',1,'0.1.0')",
            revisions,
        )
    raw.commit()
    raw.close()


def ours(path, out):
    """Write the CSV as the page and the command line do."""
    database = connect(f"sqlite:///{path}")
    with snapshot(database) as session, out.open("w", encoding="utf-8", newline="") as file:
        file.writelines(iter_table(session, _study(session), "preferences.csv"))


def whole(path, out):
    """Write the zip with everything."""
    with snapshot(connect(f"sqlite:///{path}")) as session:
        write_bundle(session, _study(session), out)


def pandas_csv(path, out):
    """Write the CSV with pandas."""
    import pandas as pd  # noqa: PLC0415  only this way of the three pays for it

    with sqlite3.connect(path) as raw:
        pd.read_sql_query(QUERY, raw).to_csv(out, index=False)


def _study(session):
    from sqlmodel import select  # noqa: PLC0415

    return session.exec(select(Study)).one()


WAYS = {"ours": ours, "whole": whole, "pandas": pandas_csv}


def measured(command):
    """Run a process; its seconds by the clock and of processor, and its peak memory in MB."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    done = subprocess.run(["/usr/bin/env", "time", "-f", "%M", *command], check=False, capture_output=True, text=True)
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(done.stderr)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall_s": round(wall, 1), "cpu_s": round(cpu, 1), "peak_mb": round(int(done.stderr.split()[-1]) / 1024)}


def main():
    judgments = int(next((one for one in sys.argv[1:] if one.isdecimal()), "1000000"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "bench.db"
        fill(path, judgments)
        emit(bench="export", judgments=judgments, database_mb=path.stat().st_size >> 20)
        ways = {
            "sqlite3 -csv": ["sqlite3", "-csv", str(path), f".output {folder / 'sqlite.csv'}", QUERY],
            "pandas": [
                sys.executable,
                "-m",
                "tests.bench.bench_export",
                "--way",
                "pandas",
                str(path),
                str(folder / "p.csv"),
            ],
            "ours": [
                sys.executable,
                "-m",
                "tests.bench.bench_export",
                "--way",
                "ours",
                str(path),
                str(folder / "o.csv"),
            ],
        }
        if "whole" in sys.argv:
            ways["whole zip"] = [*ways["ours"][:4], "whole", str(path), str(folder / "w.zip")]
        figures = {}
        for way, command in ways.items():
            figures[way] = measured(command)
            emit(bench="export", way=way, **figures[way])
        emit(
            bench="export",
            over_sqlite=round(figures["ours"]["cpu_s"] / max(0.1, figures["sqlite3 -csv"]["cpu_s"]), 2),
            over_pandas=round(figures["ours"]["cpu_s"] / figures["pandas"]["cpu_s"], 2),
            memory_met=all(
                one["peak_mb"] < MEMORY_BAR_MB for way, one in figures.items() if way in {"ours", "whole zip"}
            ),
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--way"]:
        way, path, out = sys.argv[2:5]
        WAYS[way](Path(path), Path(out))
    else:
        main()
