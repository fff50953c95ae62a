"""A server killed while it generates, started again: it says so, resumes, and ends with every response once.

Run as a script, this file is the nursery of its servers, whose engine is the scripted one, slowed down.
"""

import base64
import http.client
import json
import os
import random
import signal
import socket
import sys
import tempfile
import time
from pathlib import Path

import pytest
from itsdangerous import TimestampSigner
from sqlmodel import func, select

from app import migrate
from app.db import connect, reading, writing
from app.settings import Settings, load_secret
from app.studies.design import NewArm
from app.studies.queries import create_study
from models import GenerationRun, GenerationState, ItemResponse, Response, Role, Trace
from tests.factories import make_user
from tests.kill9 import Nursery, nursery
from tests.scripted_engine import Script, scripted_engines

ITEMS = 80
KILLS = 4
PATIENCE_S = 120
# A response has some twenty tokens, and ten items decode together: a turn takes about a second.
PAUSE_S = 0.04


@pytest.fixture
def place(tmp_path, database_url):
    settings = Settings(_env_file=None, data_dir=tmp_path / "data")
    database = connect(settings.resolved_database_url)
    migrate.upgrade(database)
    with writing(database) as session:
        owner = make_user(session, email="owner@example.org", role=Role.OWNER)
        decoding = {"max_tokens": 200, "temperature": 0.0, "seed": 0}
        study = create_study(
            session, name="Kettles", slug="kettles", prompts=[f"Item {n}?" for n in range(ITEMS)],
            arms=[NewArm(name, name, decoding) for name in ("lft", "sft")], pairs=[("lft", "sft")],
            guidelines="", overlap=1, created_by=owner.id,
        )  # fmt: skip
    yield settings, database, owner, study
    database.dispose()


class Browser:
    """The owner's browser, without scripts."""

    def __init__(self, settings, owner, study, port):
        value = base64.b64encode(json.dumps({"uid": owner.id, "version": 1}).encode())
        self.cookie = TimestampSigner(load_secret(settings)).sign(value).decode()
        self.path, self.port = f"/studies/{study.id}/generation", port

    def send(self, method, what=""):
        """Send, and send again while a server that was just started does not answer."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
            try:
                headers = {"Origin": f"http://127.0.0.1:{self.port}", "Cookie": f"tuneshift_session={self.cookie}"}
                connection.request(method, self.path + what, headers=headers)
                answer = connection.getresponse()
                return answer.status, answer.read().decode()
            except (OSError, http.client.HTTPException):
                assert time.monotonic() < deadline
                time.sleep(0.05)
            finally:
                connection.close()


def until(true):
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, f"it did not come in {PATIENCE_S} s"
        time.sleep(0.01)


@pytest.mark.timeout(600)
def test_a_server_killed_while_generating_resumes_and_stores_every_response_once(place):
    settings, database, owner, study = place

    def count(table, *where):
        with reading(database) as session:
            return session.exec(select(func.count()).select_from(table).where(*where)).one()

    chance = random.Random(20_260_301)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        browser = Browser(settings, owner, study, listener.getsockname()[1])
        servers = Nursery(settings, listener, script=Path(__file__))
        try:
            for kill in range(KILLS):
                server = servers.start()
                status, shown = browser.send("GET")
                assert status == 200
                assert ("Interrupted" in shown) == (kill > 0)
                before = count(ItemResponse)
                assert browser.send("POST", "/start")[0] == 303
                until(lambda before=before: count(ItemResponse) > before)
                time.sleep(chance.uniform(0, 0.3))
                os.kill(server, signal.SIGKILL)
            assert 0 < count(ItemResponse) < 2 * ITEMS
            server = servers.start()
            assert "Resume" in browser.send("GET")[1]
            assert count(GenerationRun, GenerationRun.state == GenerationState.RUNNING) == 0
            assert browser.send("POST", "/start")[0] == 303
            until(lambda: count(GenerationRun, GenerationRun.state == GenerationState.DONE) == 1)
            assert "Everything is generated" in browser.send("GET")[1]
            os.kill(server, signal.SIGKILL)
        finally:
            servers.close()
    assert migrate.check(database) == []
    # The primary key holds each to one; no response is left over beside those that are shown, and none lacks its trace.
    assert count(ItemResponse) == count(Response) == count(Trace) == 2 * ITEMS
    assert count(GenerationRun, GenerationRun.state == GenerationState.INTERRUPTED) == KILLS
    with reading(database) as session:
        assert session.exec(select(func.sum(GenerationRun.done))).one() == 2 * ITEMS


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        slow = {"base": Script(), "lft": Script(pause_s=PAUSE_S), "sft": Script(pause_s=PAUSE_S)}
        nursery(int(sys.argv[1]), engines=scripted_engines(Path(folder), **slow))
