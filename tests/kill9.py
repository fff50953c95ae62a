"""Kill a real server while people submit, start it again, and look for what it had acknowledged.

Run as a script, this file is the server's nursery: it imports the app once and forks a fresh uvicorn for every line it
reads, so that a cycle costs a fork and not an import. The server's process is killed with SIGKILL, never asked to stop.
"""

import base64
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from itsdangerous import TimestampSigner
from sqlalchemy import Engine
from sqlmodel import func, select

from app import migrate
from app.db import connect, reading, writing
from app.settings import ROOT, Settings, load_secret
from models import Revision, Role, Study, User
from tests.factories import fill_study, make_member, make_study, make_user
from tests.web.judging_help import an_answer

WRITERS = 3
ITEMS = 60
LONGEST_LIFE_S = 0.15
PATIENCE_S = 60


@dataclass
class Writer:
    """One annotator with a browser: sends, retries what was not acknowledged with the same key, and remembers."""

    study_id: str
    cookie: str
    port: int
    kinds: tuple[str, ...] = ("draft", "submit")
    token: str = ""
    revision: int = 0
    pending: tuple[str, dict] | None = None
    acknowledged: list[tuple[str, str, int]] = field(default_factory=list)
    retries: int = 0
    refused: list[str] = field(default_factory=list)

    def run(self, over: threading.Event) -> None:
        """Submit until the server dies or the time is over."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            while not over.is_set():
                self.step(connection)
        except (OSError, http.client.HTTPException):
            return
        finally:
            connection.close()

    def step(self, connection: http.client.HTTPConnection) -> None:
        """Save once: the attempt that was not acknowledged, or a new one."""
        if not self.token:
            self.token = self._take(connection)
        if self.pending is None:
            answer = an_answer(base_revision=self.revision, comment=f"revision {self.revision + 1}")
            self.pending = (self.kinds[self.revision % len(self.kinds)], answer)
        else:
            self.retries += 1
        what, answer = self.pending
        status, data = self._send(connection, f"/judge/{self.token}/{what}", json.dumps(answer), "application/json")
        if status != 200:
            self.refused.append(f"{what} {self.token}: {status} {data}")
            raise http.client.HTTPException
        reply = json.loads(data)
        self.acknowledged.append((self.token, answer["idempotency_key"], reply["revision"]))
        self.pending, self.revision = None, reply["revision"]
        upcoming = reply.get("next", "")
        if upcoming.startswith("/judge/") and not upcoming.endswith(self.token):
            self.token, self.revision = upcoming.removeprefix("/judge/"), 0

    def _take(self, connection: http.client.HTTPConnection) -> str:
        form = f"study_id={self.study_id}"
        status, _ = self._send(connection, "/judge/next", form, "application/x-www-form-urlencoded")
        assert status == 303
        return self.place.removeprefix("/judge/")

    def _send(self, connection: http.client.HTTPConnection, path: str, body: str, kind: str) -> tuple[int, str]:
        headers = {
            "Content-Type": kind,
            "Accept": "application/json",
            "Origin": f"http://127.0.0.1:{self.port}",
            "Cookie": f"tuneshift_session={self.cookie}",
        }
        connection.request("POST", path, body=body, headers=headers)
        answer = connection.getresponse()
        self.place = answer.headers.get("location", "")
        return answer.status, answer.read().decode()


class Nursery:
    """Starts servers on one port by forking a process that has imported everything."""

    def __init__(self, settings: Settings, listener: socket.socket, *, script: Path = Path(__file__)) -> None:
        environment = os.environ | {"PYTHONPATH": str(ROOT), "TUNESHIFT_DATA_DIR": str(settings.data_dir)}
        command = [sys.executable, str(script), str(listener.fileno())]
        self.process = subprocess.Popen(
            command,
            env=environment,
            pass_fds=[listener.fileno()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self) -> int:
        """Start a server and return the id of its process."""
        self.process.stdin.write("start\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def close(self) -> None:
        """Let the nursery end; its servers are dead by now."""
        with self.process:
            self.process.stdin.close()
            self.process.wait(timeout=PATIENCE_S)


@dataclass(frozen=True)
class Outcome:
    """What a run of cycles came to."""

    cycles: int
    acknowledged: int
    retries: int
    lost: int
    duplicated: int
    gaps: int
    refused: list[str]
    integrity: str
    seconds: float


def kill_again_and_again(data_dir: Path, *, cycles: int, seed: int) -> Outcome:
    """Kill the server `cycles` times at random moments while writers submit; count what was lost or stored twice."""
    settings = Settings(_env_file=None, data_dir=data_dir)
    database = connect(settings.resolved_database_url)
    migrate.upgrade(database)
    chance = random.Random(seed)
    started = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        writers = make_writers(database, settings, listener.getsockname()[1])
        nursery = Nursery(settings, listener)
        try:
            for _ in range(cycles):
                _cycle(nursery, writers, chance)
        finally:
            nursery.close()
    outcome = examine(database, writers, cycles=cycles, seconds=time.monotonic() - started)
    database.dispose()
    return outcome


def make_writers(database: Engine, settings: Settings, port: int, *, people: int = WRITERS) -> list[Writer]:
    """Make an open study and that many annotators in it, each with a browser's cookie."""
    secret = load_secret(settings)
    with writing(database) as session:
        owner = make_user(session, email="owner@example.org", role=Role.OWNER)
        study: Study = make_study(session, owner=owner, overlap=people)
        fill_study(session, study, prompts=tuple(f"Item {n}?" for n in range(ITEMS)))
        users: list[User] = [make_user(session, email=f"w{n}@example.org") for n in range(people)]
        for number, user in enumerate(users):
            make_member(session, study=study, user=user, pid=f"p{number}")
    cookies = [
        TimestampSigner(secret).sign(base64.b64encode(json.dumps({"uid": user.id, "version": 1}).encode())).decode()
        for user in users
    ]
    return [Writer(study.id, cookie, port) for cookie in cookies]


def _cycle(nursery: Nursery, writers: list[Writer], chance: random.Random) -> None:
    server = nursery.start()
    over = threading.Event()
    before = sum(len(writer.acknowledged) for writer in writers)
    threads = [threading.Thread(target=writer.run, args=(over,)) for writer in writers]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + PATIENCE_S
    while sum(len(writer.acknowledged) for writer in writers) == before and any(
        map(threading.Thread.is_alive, threads)
    ):
        assert time.monotonic() < deadline, f"nothing was acknowledged in {PATIENCE_S} s"
        time.sleep(0.001)
    time.sleep(chance.uniform(0, LONGEST_LIFE_S))
    os.kill(server, signal.SIGKILL)
    over.set()
    for thread in threads:
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


def examine(database: Engine, writers: list[Writer], *, cycles: int, seconds: float) -> Outcome:
    """Compare what is stored with what was acknowledged."""
    acknowledged = [one for writer in writers for one in writer.acknowledged]
    with reading(database) as session:
        rows = session.exec(select(Revision.presentation_id, Revision.idempotency_key, Revision.number)).all()
        highest = session.exec(
            select(func.max(Revision.number) - func.count()).group_by(Revision.presentation_id)
        ).all()
    stored = {(token, key): number for token, key, number in rows}
    return Outcome(
        cycles=cycles,
        acknowledged=len(acknowledged),
        retries=sum(writer.retries for writer in writers),
        lost=sum(stored.get((token, key)) != number for token, key, number in acknowledged),
        duplicated=len(rows) - len(stored) + len(acknowledged) - len({(token, key) for token, key, _ in acknowledged}),
        gaps=sum(gap != 0 for gap in highest),
        refused=[words for writer in writers for words in writer.refused],
        integrity="; ".join(migrate.check(database)) or "ok",
        seconds=seconds,
    )


def nursery(descriptor: int, *, engines: object) -> None:
    """Fork a server for every line on standard input, and print the id of its process."""
    import uvicorn  # noqa: PLC0415  only the nursery serves

    from app.main import create_app  # noqa: PLC0415

    listener = socket.socket(fileno=descriptor)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    app = create_app(Settings(_env_file=None), engines=engines)
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            # The nursery's own pipes must not be held open, or read, by a server.
            os.close(0)
            config = uvicorn.Config(app, log_level="critical", access_log=False, lifespan="on")
            uvicorn.Server(config).run(sockets=[listener])
            os._exit(0)
        print(child, flush=True)


if __name__ == "__main__":
    nursery(int(sys.argv[1]), engines=object())
