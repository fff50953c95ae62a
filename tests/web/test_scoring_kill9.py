"""Two server processes score one study, and are killed and started again: it ends with every response read once.

Run as a script, this file is the nursery of its servers, whose engine is the scripted one, slowed down.
"""

import os
import random
import signal
import socket
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import pytest
from sqlmodel import func, select

from app import migrate
from app.db import connect, reading, writing
from app.settings import Settings
from app.studies import scoring, scoring_work
from models import BasePrompt, Role, ScoringRun, ScoringState, ScoringTask, TaskState, Trace
from models.base import now
from tests.factories import fill_study, make_study, make_user
from tests.kill9 import Nursery, nursery
from tests.scripted_engine import Script, scripted_engines

ITEMS = 40
KILLS = 4
PATIENCE_S = 120
PAUSE_S = 0.1


def until(true):
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, f"it did not come in {PATIENCE_S} s"
        time.sleep(0.02)


@pytest.mark.timeout(600)
def test_two_processes_killed_while_scoring_end_with_every_response_read_once(tmp_path):
    settings = Settings(_env_file=None, data_dir=tmp_path / "data")
    database = connect(settings.resolved_database_url)
    migrate.upgrade(database)
    with writing(database) as session:
        owner = make_user(session, email="owner@example.org", role=Role.OWNER)
        study = make_study(session, owner=owner)
        fill_study(session, study, prompts=tuple(f"Item {n}?" for n in range(ITEMS)))
        run = scoring.order(session, study, reader="sft", base_prompt=BasePrompt.PLAIN, user=owner, now=now())
    wanted = run.total
    assert wanted == 2 * ITEMS

    def done():
        query = select(func.count()).select_from(ScoringTask).where(ScoringTask.state == TaskState.DONE)
        with reading(database) as session:
            return session.exec(query).one()

    chance = random.Random(20_260_707)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        servers = Nursery(settings, listener, script=Path(__file__))
        try:
            running = [servers.start(), servers.start()]
            for kill in range(KILLS):
                before = done()
                until(lambda before=before: done() > before)
                time.sleep(chance.uniform(0, 0.3))
                os.kill(running[kill % 2], signal.SIGKILL)
                running[kill % 2] = servers.start()
            assert done() < wanted
            until(lambda: done() == wanted)
            for server in running:
                os.kill(server, signal.SIGKILL)
        finally:
            servers.close()
    with reading(database) as session:
        assert session.get_one(ScoringRun, run.id).state is ScoringState.DONE
        rows = session.exec(select(Trace.response_id).where(Trace.base_prompt == BasePrompt.PLAIN)).all()
    database.dispose()
    assert len(rows) == len(set(rows)) == wanted


if __name__ == "__main__":
    # A minute until a dead worker's claims are free again is longer than a test should take.
    scoring.LEASE, scoring_work.RENEW_S = timedelta(seconds=3), 0.5
    with tempfile.TemporaryDirectory() as folder:
        slow = {"base": Script(), "lft": Script(), "sft": Script(score_pause_s=PAUSE_S)}
        nursery(int(sys.argv[1]), engines=scripted_engines(Path(folder), **slow))
