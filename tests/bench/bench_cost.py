"""What a draft, a submission and the page of the next item cost the server's process, in a study as large as asked.

Run: python -m tests.bench.bench_cost [ITEMS] [JUDGMENTS] [ROUNDS] [--database sqlite|postgres] [--profile KIND].
The app answers in this process, without a network, so the figures are processor time of all that lies behind uvicorn;
statements are those sent to the database for one request. `--profile draft` prints where that time goes.
"""

import argparse
import asyncio
import base64
import cProfile
import json
import pstats
import random
import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import anyio.to_thread
from itsdangerous import TimestampSigner
from sqlalchemy import event, insert
from sqlmodel import select

from app import migrate
from app.db import connect, writing
from app.main import create_app
from app.settings import Settings, load_secret
from models import Arm, ItemResponse, Membership, Pair, Presentation, Revision, Role
from models.base import new_id
from tests.bench.report import emit
from tests.factories import fill_study, make_member, make_study, make_user
from tests.postgres_server import running
from tests.web.judging_help import an_answer

ITEMS, JUDGMENTS, ROUNDS, OTHERS, PEOPLE = 1_000, 10_000, 100, 500, 3
WARM_UP = 10
KINDS = ("draft", "submit", "page")
TEXT = "{arm} says **this** of {prompt}:\n\n" + "- one more point, at some length\n" * 30


def fill(database, items, judgments):
    """Make an open study that `OTHERS` people judged so often; returns it and those who go on, with nothing yet."""
    with writing(database) as session:
        owner = make_user(session, email="bench@example.org", role=Role.OWNER)
        study = make_study(session, owner=owner, overlap=OTHERS + PEOPLE)
        rows = fill_study(session, study, prompts=tuple(f"Question {at}?" for at in range(items)), text=TEXT)
        others = [make_user(session, email=f"{at}@example.org", name=f"Person {at}").id for at in range(OTHERS)]
        for at, one in enumerate(others):
            session.add(Membership(study_id=study.id, user_id=one, pid=f"a{at:011d}"))
        users = [make_user(session, email=f"w{at}@example.org") for at in range(PEOPLE)]
        for at, user in enumerate(users):
            make_member(session, study=study, user=user, pid=f"b{at:011d}")
        arms = {arm.name: arm.id for arm in session.exec(select(Arm))}
        pair = session.exec(select(Pair)).one()
        texts = {(one.item_id, one.arm_id): one.response_id for one in session.exec(select(ItemResponse))}
        chance, shown, said = random.Random(1), [], []
        moment = datetime(2026, 3, 1, 9, tzinfo=UTC)
        for at in range(judgments):
            item, person = rows[at // OTHERS % items] if items * OTHERS <= judgments else rows[at % items], at // items
            sides = chance.sample(sorted(arms), 2)
            token = new_id()
            shown.append(
                {
                    "id": token, "study_id": study.id, "item_id": item.id, "pair_id": pair.id,
                    "annotator_id": others[person % OTHERS], "side_order_key": "0" * 64, "state": "submitted",
                    "leased_until": moment, "created_at": moment, "submitted_at": moment,
                    "left_arm_id": arms[sides[0]], "right_arm_id": arms[sides[1]],
                    "left_response_id": texts[item.id, arms[sides[0]]],
                    "right_response_id": texts[item.id, arms[sides[1]]],
                }
            )  # fmt: skip
            said.append(
                {"id": new_id(), "presentation_id": token, "number": 1, "idempotency_key": "k" * 16,
                 "kind": "submitted", "preference": "left", "app_version": "0", "created_at": moment}
            )  # fmt: skip
        for start in range(0, judgments, 10_000):
            session.execute(insert(Presentation), shown[start : start + 10_000])
            session.execute(insert(Revision), said[start : start + 10_000])
        return study.id, [(user.id, user.session_version) for user in users]


class Person:
    """One annotator who saves a draft, submits it and opens the next page, straight at the app."""

    def __init__(self, app, secret, user):
        value = base64.b64encode(json.dumps({"uid": user[0], "version": user[1]}).encode())
        cookie = TimestampSigner(secret).sign(value).decode()
        self.app, self.token = app, ""
        self.headers = [
            (b"host", b"127.0.0.1"), (b"origin", b"http://127.0.0.1"), (b"accept-encoding", b"gzip"),
            (b"cookie", f"tuneshift_session={cookie}".encode()),
        ]  # fmt: skip

    async def ask(self, method, path, body=b"", kind=b"application/json"):
        """Send a request; returns the status, the headers and the bytes of the answer."""
        headers = [*self.headers, (b"content-type", kind), (b"content-length", str(len(body)).encode())]
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
            "path": path, "raw_path": path.encode(), "query_string": b"", "headers": headers, "root_path": "",
            "client": ("127.0.0.1", 5), "server": ("127.0.0.1", 80), "state": {},
        }  # fmt: skip
        coming = [{"type": "http.request", "body": body, "more_body": False}]
        answers = []

        async def receive():
            return coming.pop()

        async def send(message):
            answers.append(message)

        await self.app(scope, receive, send)
        data = b"".join(one.get("body", b"") for one in answers)
        return answers[0]["status"], dict(answers[0]["headers"]), data

    async def begin(self, study_id):
        """Take a first item."""
        form = b"application/x-www-form-urlencoded"
        status, headers, _ = await self.ask("POST", "/judge/next", f"study_id={study_id}".encode(), form)
        assert status == 303
        self.token = headers[b"location"].decode().removeprefix("/judge/")

    async def do(self, what):
        """Do one of `KINDS`."""
        if what == "page":
            status, _, data = await self.ask("GET", f"/judge/{self.token}")
            assert status == 200, data
            return
        answer = an_answer(base_revision=KINDS.index(what), comment="A comment of a few words.")
        status, _, data = await self.ask("POST", f"/judge/{self.token}/{what}", json.dumps(answer).encode())
        assert status == 200, data
        if what == "submit":
            self.token = json.loads(data)["next"].removeprefix("/judge/")


async def measure(app, settings, study_id, users, rounds, profiled):
    """Go round; returns for each kind of request its seconds of processor time and its statements."""
    spent = {kind: [] for kind in KINDS}
    statements = {kind: [] for kind in KINDS}
    profile = cProfile.Profile(time.process_time)
    if profiled:
        _in_one_thread()
    async with app.router.lifespan_context(app):
        await app.state.probing
        counted = [0]
        event.listen(app.state.database, "before_cursor_execute", lambda *_: counted.__setitem__(0, counted[0] + 1))
        people = [Person(app, load_secret(settings), user) for user in users]
        for person in people:
            await person.begin(study_id)
        for number in range(rounds + WARM_UP):
            for kind in KINDS:
                before, counted[0] = time.process_time(), 0
                if kind == profiled and number >= WARM_UP:
                    profile.enable()
                await people[number % len(people)].do(kind)
                if kind == profiled and number >= WARM_UP:
                    profile.disable()
                if number >= WARM_UP:
                    spent[kind].append(time.process_time() - before)
                    statements[kind].append(counted[0])
    if profiled:
        pstats.Stats(profile).sort_stats("cumulative").print_stats(90)
    return spent, statements


def main(items, judgments, rounds, kind, profiled):
    """Run the requests and print what they cost."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = stack.enter_context(running()) if kind == "postgres" else None
        settings = Settings(_env_file=None, data_dir=folder / "data", **({"database_url": url} if url else {}))
        database = connect(settings.resolved_database_url)
        migrate.upgrade(database)
        study_id, users = fill(database, items, judgments)
        with database.connect() as connection:
            connection.exec_driver_sql("ANALYZE") if kind == "postgres" else None
        database.dispose()
        app = create_app(settings, engines=_NoEngines())
        spent, statements = asyncio.run(measure(app, settings, study_id, users, rounds, profiled))
    for what in KINDS:
        mean, middle = sum(spent[what]) / len(spent[what]), median(spent[what])
        emit(
            bench="cost", what=what, database=kind, items=items, judgments=judgments, requests=len(spent[what]),
            mean_ms=round(1000 * mean, 2), median_ms=round(1000 * middle, 2), statements=median(statements[what]),
        )  # fmt: skip


def _in_one_thread():
    """Let what would run in other threads run in this one, which is the one that is profiled."""

    async def inline(function, *args, **_options):
        return function(*args)

    anyio.to_thread.run_sync = inline


class _NoEngines:
    """A registry without checkpoints."""

    def shared_adapters(self):
        """Name none."""
        return []


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("items", type=int, nargs="?", default=ITEMS)
    options.add_argument("judgments", type=int, nargs="?", default=JUDGMENTS)
    options.add_argument("rounds", type=int, nargs="?", default=ROUNDS)
    options.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite")
    options.add_argument("--profile", choices=KINDS, default="")
    given = options.parse_args()
    sys.exit(main(given.items, given.judgments, given.rounds, given.database, given.profile))
