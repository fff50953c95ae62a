"""What tests of generation do over and over: a draft to fill, its page, and the end of its run."""

import time
from dataclasses import replace

from bs4 import BeautifulSoup
from sqlmodel import func, select

from app.db import reading, writing
from app.studies.design import NewArm
from app.studies.queries import create_study
from models import (
    GenerationRun,
    GenerationState,
)
from tests.patience import PATIENCE_S

PROMPTS = ("One?", "Two?", "Three?")


def make_draft(database, alice, *, prompts=PROMPTS, arms=("base", "lft", "sft"), slug="draft"):
    with writing(database) as session:
        decoding = {"max_tokens": 200, "temperature": 0.0, "seed": 0}
        return create_study(
            session, name="Draft", slug=slug, prompts=list(prompts), pairs=[(arms[0], arms[1])], guidelines="",
            arms=[NewArm(name, name, decoding) for name in arms], overlap=1, created_by=alice.id,
        )  # fmt: skip


def post(client, study, what="start", headers=None, **form):
    return client.post(f"/studies/{study.id}/generation/{what}", data=form, headers=headers)


def page(client, study, headers=None, said=""):
    answer = client.get(f"/studies/{study.id}/generation", params={"said": said}, headers=headers)
    assert answer.status_code == 200, answer.text[-400:]
    return BeautifulSoup(answer.text, "html.parser")


def words(element):
    return " ".join(element.get_text(" ").split())


def runs(database):
    with reading(database) as session:
        return session.exec(select(GenerationRun).order_by(GenerationRun.created_at)).all()


def count(database, table):
    with reading(database) as session:
        return session.exec(select(func.count()).select_from(table)).one()


def until(true, what):
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, f"{what} did not come in {PATIENCE_S} s"
        time.sleep(0.02)


def ended(database):
    until(lambda: all(run.state is not GenerationState.RUNNING for run in runs(database)), "the end of the run")
    return runs(database)[-1]


def script(engines, name, **over):
    engines.engine.scripts[name] = replace(engines.engine.scripts[name], **over)


def distinct(engines):
    """Let every checkpoint say something of its own, so that nothing looks the same everywhere."""
    for name in engines.engine.scripts:
        script(engines, name, text=f"A kettle that {name[::-1]} filled boils faster.")
