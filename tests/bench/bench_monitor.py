"""One poll of the monitor over 50,000 judgments: `python -m tests.bench.bench_monitor [items] [people]`.

Prints JSON lines. The reference is the plain count of a study's revisions, in the same process. Fails when a poll
takes more than the bar of processor time.
"""

import secrets
import statistics
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import numpy as np
from fastapi.testclient import TestClient
from sqlalchemy import insert
from sqlmodel import func, select

from app import migrate
from app.db import connect, reading, writing
from app.main import create_app
from app.settings import Settings
from models import (
    Arm,
    Item,
    ItemResponse,
    Membership,
    Pair,
    Preference,
    Presentation,
    PresentationState,
    Response,
    Revision,
    RevisionKind,
    Role,
    Study,
    StudyState,
    User,
)
from models.base import now
from tests.bench.bench_find import cookie_for
from tests.bench.report import Spent, Stopwatch, emit
from tests.scripted_engine import scripted_engines

BAR_MS = 300
REPEATS = 9
DIMENSIONS = ("helpfulness", "clarity", "factuality", "depth", "engagement")


def fill(session, items, people):
    """Add a study in which everybody judged every item; half of the judgments have a draft before them."""
    owner = User(email="bench@example.org", name="Bench", role=Role.OWNER)
    session.add(owner)
    session.flush()
    study = Study(
        slug="bench", name="Bench", seed="s", created_by=owner.id, overlap=people, state=StudyState.OPEN, guidelines="x"
    )
    session.add(study)
    session.flush()
    arms = [Arm(study_id=study.id, name=name, checkpoint=name, decoding={}) for name in ("lft", "sft")]
    session.add_all(arms)
    session.flush()
    pair = Pair(study_id=study.id, first_arm_id=arms[0].id, second_arm_id=arms[1].id)
    prompts = [Item(study_id=study.id, position=at, prompt=f"Prompt {at}. " * 10) for at in range(1, items + 1)]
    users = [User(email=f"p{at}@example.org", name=f"P{at}", role=Role.ANNOTATOR) for at in range(people)]
    session.add_all([pair, *prompts, *users])
    session.flush()
    session.add_all(Membership(study_id=study.id, user_id=u.id, pid=f"a{at:011d}") for at, u in enumerate(users))
    generator = np.random.default_rng(3)
    texts = answer(session, prompts, arms, generator)
    start = now() - timedelta(days=3)
    for at, item in enumerate(prompts):
        shown, given = [], []
        for user in users:
            when = start + timedelta(seconds=250 * at + 240 * float(generator.random()))
            judge((shown, given), study, pair, item, user, arms, texts, when, generator)
        session.execute(insert(Presentation), shown)
        session.execute(insert(Revision), given)
    return owner, study


def answer(session, items, arms, generator):
    """Add a response of some hundred words for every item and arm; their ids by item and arm."""
    texts = {(item.id, arm.id): secrets.token_hex(8) for item in items for arm in arms}
    rows = [
        Response(
            id=key, checkpoint="bench", prompt="", prompt_ids=[1] * 30, text="word " * int(generator.integers(99, 260)),
            text_sha256="", token_ids=[5] * 150, finish="stop", run={"engine": "bench"},
        ).model_dump()
        for key in texts.values()
    ]  # fmt: skip
    session.execute(insert(Response), rows)
    session.execute(
        insert(ItemResponse),
        [ItemResponse(item_id=i, arm_id=a, response_id=key).model_dump() for (i, a), key in texts.items()],
    )
    return texts


def judge(rows, study, pair, item, user, arms, texts, when, generator):
    """Add a presentation and its revisions to the two lists of rows."""
    shown, given = rows
    left, right = arms if generator.random() < 0.5 else arms[::-1]
    one = Presentation(
        study_id=study.id, item_id=item.id, pair_id=pair.id, annotator_id=user.id, left_arm_id=left.id,
        right_arm_id=right.id, left_response_id=texts[item.id, left.id], right_response_id=texts[item.id, right.id],
        side_order_key="0" * 64, state=PresentationState.SUBMITTED, leased_until=when + timedelta(hours=1),
        created_at=when - timedelta(minutes=2), submitted_at=when,
    )  # fmt: skip
    shown.append(one.model_dump())
    drafts = int(generator.random() < 0.5)
    for number in range(1, drafts + 2):
        done = number > drafts
        revision = Revision(
            presentation_id=one.id, number=number, idempotency_key=str(number), app_version="0", created_at=when,
            kind=RevisionKind.SUBMITTED if done else RevisionKind.DRAFT,
            preference=list(Preference)[int(generator.integers(4))] if done else None,
            ratings={side: dict.fromkeys(DIMENSIONS, 3) for side in ("left", "right")},
            reading={"left": float(generator.random()), "right": 1.0, "first_view_ms": 1200},
            active_ms=int(generator.integers(10_000, 90_000)), wall_ms=100_000,
            comment="hm" if generator.random() < 0.02 else "", recognised_model=bool(generator.random() < 0.05),
        )  # fmt: skip
        given.append(revision.model_dump())


def add_work(database, study, number):
    """Somebody saves drafts: what a poll has to look at again."""
    with writing(database) as session:
        for shown in session.exec(select(Presentation.id).where(Presentation.study_id == study.id).limit(number)):
            last = session.exec(select(func.max(Revision.number)).where(Revision.presentation_id == shown)).one()
            values = {"number": last + 1, "idempotency_key": secrets.token_hex(4), "preference": Preference.LEFT}
            session.add(Revision(presentation_id=shown, kind=RevisionKind.SUBMITTED, app_version="0", **values))


def spent(work, *, before=lambda: None, repeats=REPEATS):
    """Do something some times; the median by the clock and of the processor."""
    found = []
    for _ in range(repeats):
        before()
        watch = Stopwatch()
        work()
        found.append(watch.spent)
    return Spent(statistics.median(one.wall for one in found), statistics.median(one.cpu for one in found))


def main(items, people):
    """Fill, poll, print; returns the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(_env_file=None, data_dir=Path(folder), public_url="http://testserver")
        database = connect(settings.resolved_database_url)
        migrate.upgrade(database)
        started = time.monotonic()
        with writing(database) as session:
            owner, study = fill(session, items, people)
        emit(bench="monitor: filled", judgments=items * people, seconds=round(time.monotonic() - started, 1))
        plain = (
            select(func.count())
            .select_from(Revision)
            .join(Presentation, Presentation.id == Revision.presentation_id)
            .where(Presentation.study_id == study.id)
        )

        def count():
            with reading(database) as session:
                session.exec(plain).one()

        app = create_app(settings, engines=scripted_engines(Path(folder) / "tokenizer"))
        with TestClient(app, cookies={"tuneshift_session": cookie_for(app, owner)}) as client:

            def poll():
                page = client.get(f"/studies/{study.id}/monitor", headers={"HX-Request": "true"})
                assert page.status_code == 200, page.text[:500]

            polls = {
                "first, all read": spent(poll, repeats=1),
                "nothing new": spent(poll),
                "25 new revisions": spent(poll, before=lambda: add_work(database, study, 25)),
            }
        reference = spent(count)
        database.dispose()
    for name, took in polls.items():
        emit(
            bench=f"monitor: {name}",
            judgments=items * people,
            wall_ms=round(took.wall * 1e3, 1),
            processor_ms=round(took.cpu * 1e3, 1),
            count_ms=round(reference.cpu * 1e3, 1),
            counts=round(took.cpu / reference.cpu, 1),
            bar_ms=BAR_MS,
        )
    later = [took.cpu * 1e3 for name, took in polls.items() if not name.startswith("first")]
    return int(max(later) > BAR_MS)


if __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[1:]]
    sys.exit(main(*(given + [1000, 50][len(given) :])))
