"""Fifty annotators who save once a second for five minutes, beside exports of 200 MB and backups, on one SQLite file.

Run: python -m tests.bench.bench_load [PEOPLE] [SECONDS] [JUDGMENTS]. Every minute somebody downloads the preferences of
a study of 500,000 judgments (200 MB) and somebody runs `tuneshift db backup`. Fails when p99 is 1 s or more, when
anything is refused, or when an export or a backup fails.
"""

import base64
import http.client
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from itsdangerous import TimestampSigner
from sqlmodel import select

from app import migrate
from app.db import connect, reading, writing
from app.settings import Settings, load_secret
from models import Study, User
from tests.bench.bench_export import fill
from tests.bench.bench_saves import save_steadily
from tests.bench.report import emit
from tests.bench.servers import environment_of, free_port, kill, processor_seconds, start, tuneshift
from tests.kill9 import make_writers

PEOPLE, SECONDS, JUDGMENTS, EVERY_S = 50, 300, 500_000, 60


def prepare(settings, judgments):
    """Make a large study, and say who may export it: its id and a cookie."""
    fill(settings.data_dir / "tuneshift.db", judgments)
    database = connect(settings.resolved_database_url)
    with writing(database) as session:
        study = session.exec(select(Study)).one()
        study.slug = "large"
        owner = session.exec(select(User).where(User.email == "bench@example.org")).one()
        value = base64.b64encode(json.dumps({"uid": owner.id, "version": owner.session_version}).encode())
        cookie = TimestampSigner(load_secret(settings)).sign(value).decode()
        return study.id, cookie


def export_again_and_again(port, study_id, cookie, until, done, failed):
    """Download the preferences once a minute; `done` gets (bytes, seconds)."""
    while time.monotonic() < until:
        started = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
        headers = {"Cookie": f"tuneshift_session={cookie}", "Accept-Encoding": "identity"}
        connection.request("GET", f"/studies/{study_id}/export/preferences.csv", headers=headers)
        answer = connection.getresponse()
        size = 0
        while piece := answer.read(1 << 20):
            size += len(piece)
        if answer.status != 200:
            failed.append(f"export: {answer.status}")
        done.append((size, time.monotonic() - started))
        connection.close()
        time.sleep(max(0.0, min(EVERY_S - (time.monotonic() - started), until - time.monotonic())))


def back_up_again_and_again(settings, folder, until, done, failed):
    """Back up the database once a minute; `done` gets (bytes, seconds)."""
    while time.monotonic() < until:
        started = time.monotonic()
        target = folder / f"backup-{len(done)}.db"
        command = tuneshift("db", "backup", str(target))
        ran = subprocess.run(
            command, env=os.environ | environment_of(settings), capture_output=True, text=True, check=False
        )
        if ran.returncode:
            failed.append(f"backup: {ran.stdout} {ran.stderr}")
        else:
            done.append((target.stat().st_size, time.monotonic() - started))
            target.unlink()
        time.sleep(max(0.0, min(EVERY_S - (time.monotonic() - started), until - time.monotonic())))


def main(people, seconds, judgments):
    """Run the load and print what came of it; returns the exit code."""
    with tempfile.TemporaryDirectory() as place:
        folder, port = Path(place), free_port()
        settings = Settings(_env_file=None, data_dir=folder / "data")
        settings.data_dir.mkdir()
        study_id, cookie = prepare(settings, judgments)
        database = connect(settings.resolved_database_url)
        writers = make_writers(database, settings, port, people=people)
        server = start(tuneshift("serve", "--port", str(port)), environment_of(settings), folder, port=port)
        latencies, exports, backups, failed = [], [], [], []
        until = time.monotonic() + seconds
        threads = [threading.Thread(target=save_steadily, args=(writer, latencies, until)) for writer in writers]
        beside = (
            (export_again_and_again, (port, study_id, cookie, until, exports, failed)),
            (back_up_again_and_again, (settings, folder, until, backups, failed)),
        )
        threads += [threading.Thread(target=target, args=args) for target, args in beside]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        spent = processor_seconds(server)
        kill(server)
        problems = migrate.check(database)
        with reading(database) as session:
            size = session.connection().exec_driver_sql("SELECT count(*) FROM revision").scalar_one()
        database.dispose()
    latencies.sort()
    refused = [words for writer in writers for words in writer.refused]
    p50, p99, longest = (latencies[min(int(len(latencies) * share), len(latencies) - 1)] for share in (0.5, 0.99, 1))
    emit(
        bench="load", people=people, seconds=seconds, saves=len(latencies), refused=len(refused),
        p50_ms=round(p50 * 1000, 1), p99_ms=round(p99 * 1000, 1), longest_ms=round(longest * 1000, 1),
        exports=len(exports), export_mb=round(exports[0][0] / 1e6), export_s=[round(one) for _, one in exports],
        backups=len(backups), backup_mb=round(backups[0][0] / 1e6) if backups else 0,
        backup_s=[round(one) for _, one in backups], failed=failed, revisions=size, check=problems,
        server_cpu_s=round(spent, 1),
    )  # fmt: skip
    return int(p99 >= 1 or bool(refused or failed or problems) or len(latencies) < people * (seconds - 1))


if __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[1:]]
    sys.exit(main(*(given + [PEOPLE, SECONDS, JUDGMENTS][len(given) :])))
