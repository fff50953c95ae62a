"""How fast and in how much memory a million judgments leave: `python -m tests.bench.bench_export 1000000 whole kept`.

The CSV of preferences three ways, each in a process of its own that writes the file: ours, `sqlite3 -csv` with one
query that joins the same columns (the physical limit; it protects no cell and spells nothing), and pandas (what people
use). With `whole` the zip too, part by part with its peak memory, whose findings it computes unless they are `kept`.
Prints JSON lines.
"""

import json
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from app.db import connect, snapshot
from app.results.queries import iter_table
from models import Study
from tests.bench.report import Stopwatch, emit, peak_mb

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


def ours(path, out):
    """Write the CSV as the page and the command line do."""
    database = connect(f"sqlite:///{path}")
    with snapshot(database) as session, out.open("w", encoding="utf-8", newline="") as file:
        file.writelines(iter_table(session, _study(session), "preferences.csv"))


class WithoutPandas:
    """Hides pandas, a tool of development: pyarrow loads it where it is installed, which takes 44 MB."""

    @staticmethod
    def find_spec(name, _path=None, _target=None):
        if name == "pandas":
            raise ModuleNotFoundError(name)


def whole(path, out):
    """Write the zip with everything, and say of each part what it took and its peak memory."""
    from app.results.bundle import write_bundle  # noqa: PLC0415  a table alone needs none of it

    sys.meta_path.insert(0, WithoutPandas)
    part, watch = "counting", Stopwatch()

    def turn(_done, _total, what):
        nonlocal part, watch
        if what != part:
            spent = watch.spent
            emit(bench="export", part=part, cpu_s=round(spent.cpu, 1), peak_mb=peak_mb(anew=True))
            part, watch = what, Stopwatch()

    with snapshot(connect(f"sqlite:///{path}")) as session:
        write_bundle(session, _study(session), out, on_progress=turn)
    turn(0, 0, "end")


def keep(path, _out):
    """Compute and keep the findings."""
    from app.results.standing import refresh  # noqa: PLC0415  only this way computes
    from models.base import now  # noqa: PLC0415

    database = connect(f"sqlite:///{path}")
    with snapshot(database) as session:
        study_id = _study(session).id
    refresh(database, study_id, now())


def pandas_csv(path, out):
    """Write the CSV with pandas."""
    import pandas as pd  # noqa: PLC0415  only this way of the three pays for it

    with sqlite3.connect(path) as raw:
        pd.read_sql_query(QUERY, raw).to_csv(out, index=False)


def _study(session):
    from sqlmodel import select  # noqa: PLC0415

    return session.exec(select(Study)).one()


WAYS = {"ours": ours, "whole": whole, "keep": keep, "pandas": pandas_csv}


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
    sys.stdout.write(done.stdout)
    # A process that tells its peaks part by part has forgotten all but the last of them.
    told = [json.loads(line)["peak_mb"] for line in done.stdout.splitlines()]
    peak = max([round(int(done.stderr.split()[-1]) / 1024), *told])
    return {"wall_s": round(wall, 1), "cpu_s": round(cpu, 1), "peak_mb": peak}


def _way(name, path, out):
    return [sys.executable, "-m", "tests.bench.bench_export", "--way", name, str(path), str(out)]


def main():
    from tests.bench.big_study import fill  # noqa: PLC0415  what it loads is no way's own

    judgments = int(next((one for one in sys.argv[1:] if one.isdecimal()), "1000000"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "bench.db"
        fill(path, judgments)
        emit(bench="export", judgments=judgments, database_mb=path.stat().st_size >> 20)
        ways = {
            "sqlite3 -csv": ["sqlite3", "-csv", str(path), f".output {folder / 'sqlite.csv'}", QUERY],
            "pandas": _way("pandas", path, folder / "p.csv"),
            "ours": _way("ours", path, folder / "o.csv"),
        }
        if "kept" in sys.argv:
            ways["findings"] = _way("keep", path, folder / "none")
        if "whole" in sys.argv:
            ways["whole zip"] = _way("whole", path, folder / "w.zip")
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
