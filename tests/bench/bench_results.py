"""How fast results come of a million judgments: `python -m tests.bench.bench_results [judgments]`.

Each figure stands against reading the same rows by plain SQL, which is the physical limit: reading the columns,
computing the findings, the results within an export from kept findings, and the page from the request to the last
byte, when findings are kept and right after a new judgment. What uses kept findings runs in a process of its own, so
that its memory is its own. Prints JSON lines; fails when a page takes 3 s or more, or one of an export 200 MB.
"""

import base64
import hashlib
import json
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

from app import migrate
from app.db import connect, reading, snapshot, writing
from app.results import standing
from app.results.reading import read_tables
from app.results.report.found import found
from models import Membership, Role, Study
from models.base import now
from tests.bench.report import Spent, Stopwatch, emit
from tests.factories import fill_study, make_study, make_user

PER_ITEM = 500
PAGE_BAR_S = 3.0
EXPORT_BAR_MB = 200
ORIGIN = "http://testserver"
DIMENSIONS = ("helpfulness", "clarity", "factuality", "depth", "engagement")
PLAIN = """
SELECT p.id, p.item_id, p.annotator_id, p.left_arm_id, p.right_arm_id, f.preference, f.strength, o.preference,
  f.active_ms, f.recognised_model, f.guideline_version, f.ratings, f.acceptability
FROM presentation p
  JOIN (SELECT presentation_id, max(number) AS last, min(number) AS first FROM revision WHERE kind = 'submitted'
    GROUP BY presentation_id) n ON n.presentation_id = p.id
  JOIN revision f ON f.presentation_id = p.id AND f.number = n.last
  JOIN revision o ON o.presentation_id = p.id AND o.number = n.first
"""


def opaque(*parts):
    return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()[:16]


def fill(path, judgments):
    """Make a study of so many judgments with ratings, 500 of each item."""
    database = connect(f"sqlite:///{path}")
    migrate.upgrade(database)
    with writing(database) as session:
        study = make_study(session, owner=make_user(session, email="bench@example.org", role=Role.OWNER))
        prompts = tuple(f"Why does kettle {at} whistle?" for at in range(max(2, judgments // PER_ITEM)))
        items = [item.id for item in fill_study(session, study, prompts=prompts)]
        people = [make_user(session, email=f"{at}@example.org").id for at in range(PER_ITEM)]
        for at, one in enumerate(people):
            session.add(Membership(study_id=study.id, user_id=one, pid=f"a{at:011d}"))
        study_id = study.id
    database.dispose()
    raw = sqlite3.connect(path)
    raw.execute("PRAGMA synchronous=OFF")
    arms = dict(raw.execute("SELECT name, id FROM arm"))
    (pair,) = raw.execute("SELECT id FROM pair").fetchone()
    texts = {
        (item, arm): key for item, arm, key in raw.execute("SELECT item_id, arm_id, response_id FROM itemresponse")
    }
    moment = "2026-03-01 09:00:00.123456"
    for number, item in enumerate(items):
        _judge(raw, study_id, pair, item, number, people, arms, texts, moment)
    raw.commit()
    raw.close()


def _judge(raw, study_id, pair, item, number, people, arms, texts, moment):
    shown, revisions = [], []
    for at, one in enumerate(people):
        draw = hashlib.sha256(f"{number}/{at}".encode()).digest()
        names = ("lft", "sft") if draw[0] % 2 else ("sft", "lft")
        sides = [arms[name] for name in names] + [texts[item, arms[name]] for name in names]
        token = opaque("shown", number, at)
        shown.append((token, study_id, item, pair, one, *sides, "0" * 64, "submitted", moment, moment, moment))
        said = ("left", "right", "tie_good", "tie_bad", "left")[draw[1] % 5]
        rated = {
            side: {name: 1 + (draw[2 + place] >> shift) % 5 for place, name in enumerate(DIMENSIONS)}
            for shift, side in enumerate(("left", "right"))
        }
        ratings = str(rated).replace("'", '"')
        revisions.append((opaque("revision", number, at), token, said, 20_000 + 100 * draw[9], ratings, moment))
    raw.executemany(
        "INSERT INTO presentation (id, study_id, item_id, pair_id, annotator_id, left_arm_id, right_arm_id, "
        "left_response_id, right_response_id, side_order_key, state, leased_until, created_at, submitted_at) "
        f"VALUES ({','.join('?' * 14)})",
        shown,
    )
    raw.executemany(
        "INSERT INTO revision (id, number, idempotency_key, presentation_id, preference, comment, active_ms, ratings, "
        "created_at, kind, wall_ms, acceptability, flagged, skip_reason, recognised_model, recognised_guess, reading, "
        "edit_reason, guideline_version, app_version) "
        "VALUES (?,1,'k1',?,?,'',?,?,?,'submitted',60000,'{}',0,'',0,'','{}','',1,'0.1.0')",
        revisions,
    )


def _memory_mb():
    # Not getrusage(): what a process started with counts there too, which is its parent's.
    status = Path("/proc/self/status").read_text()
    return round(int(status.split("VmHWM:")[1].split()[0]) / 1024)


def main(judgments):
    """Measure and print; returns the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.db"
        fill(path, judgments)
        with sqlite3.connect(path) as raw:
            watch = Stopwatch()
            rows = sum(1 for _ in raw.execute(PLAIN))
            plain = watch.spent
        emit(bench="results", what="plain SQL", rows=rows, wall_s=round(plain.wall, 2), cpu_s=round(plain.cpu, 2))
        database = connect(f"sqlite:///{path}")
        with reading(database) as session:
            study = session.exec(_study()).one()
            watch = Stopwatch()
            tables = read_tables(session, study)
            _say("columns", watch.spent, plain)
            watch = Stopwatch()
            found(tables)
            _say("findings", watch.spent, plain)
            del tables
            study_id = study.id
        standing.refresh(database, study_id, now())
        database.dispose()
        ran = [_child("parts", path, plain), _child("page", path, plain)]
        with sqlite3.connect(path) as raw:
            raw.execute("UPDATE presentation SET submitted_at = '2026-03-02' WHERE rowid = 1")
            names = [row[1] for row in raw.execute("PRAGMA table_info(revision)")]
            changed = {"id": "'new'", "number": "2", "idempotency_key": "'k2'"}
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


def parts(path, plain):
    """Make what an export says of results, from kept findings."""
    from app.results.recomputable import bundle_parts  # noqa: PLC0415

    database = connect(f"sqlite:///{path}")
    watch = Stopwatch()
    with snapshot(database) as session:
        size = sum(len(content) for _, content in bundle_parts(session, session.exec(_study()).one()))
    _say("results in an export, kept", watch.spent, plain, bytes=size)
    return 0 if _memory_mb() < EXPORT_BAR_MB else 1


def page(path, plain):
    """Get the page twice as a signed-in owner does; the first time its process has compiled no template."""
    from fastapi.testclient import TestClient  # noqa: PLC0415
    from itsdangerous import TimestampSigner  # noqa: PLC0415

    from app.main import create_app  # noqa: PLC0415
    from app.settings import Settings  # noqa: PLC0415
    from models import User  # noqa: PLC0415

    address = f"sqlite:///{path}"
    database = connect(address)
    with reading(database) as session:
        study = session.exec(_study()).one()
        kept = standing.standing(session, study)
        owner = session.get_one(User, study.created_by)
        said = {"uid": owner.id, "version": owner.session_version}
    app = create_app(Settings(_env_file=None, data_dir=path.parent / "data", database_url=address, public_url=ORIGIN))
    worst = 0.0
    with TestClient(app, headers={"Origin": ORIGIN}) as client:
        value = TimestampSigner(app.state.secret).sign(base64.b64encode(json.dumps(said).encode()))
        client.cookies.set("tuneshift_session", value.decode())
        for time in ("first", "second"):
            watch = Stopwatch()
            answer = client.get(f"/studies/{study.id}/results").raise_for_status()
            spent = watch.spent
            worst = max(worst, spent.wall)
            of = "kept" if kept.fresh else "out of date"
            _say(f"page over HTTP, {of}, {time}", spent, plain, bytes=len(answer.content))
            if not kept.fresh:
                # From now on the new state is computed beside it.
                break
    return 0 if worst < PAGE_BAR_S else 1


CHILDREN = {"parts": parts, "page": page}


def _say(what, spent, plain, **more):
    emit(
        bench="results", what=what, wall_s=round(spent.wall, 2), cpu_s=round(spent.cpu, 2),
        ratio_to_plain_sql=round(spent.cpu / plain.cpu, 2), memory_mb=_memory_mb(), **more,
    )  # fmt: skip


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in CHILDREN:
        sys.exit(CHILDREN[sys.argv[1]](Path(sys.argv[2]), Spent(0.0, float(sys.argv[3]))))
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000))
