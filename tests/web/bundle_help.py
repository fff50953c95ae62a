"""A study with everything an export can hold, and readers of the zip it makes."""

import json
import zipfile

from sqlmodel import select

from app.db import snapshot, writing
from app.results.bundle import write_bundle
from app.shift.packing import pack
from app.studies.questions import Questions, write_questions
from models import (
    Exclusion,
    LeakDecision,
    LeakFlag,
    LeakKind,
    Preference,
    Response,
    Revision,
    Severity,
    Side,
    Span,
    Study,
    Trace,
)
from tests.factories import add, fill_study
from tests.scripted_engine import Script, ScriptedEngine
from tests.web.monitor_help import START, gold, items_of, judge, person, shown

L, R, GOOD, BAD, SKIP = (
    Preference.LEFT,
    Preference.RIGHT,
    Preference.TIE_GOOD,
    Preference.TIE_BAD,
    Preference.CANNOT_JUDGE,
)
HOSTILE = (
    "=1+1",
    "\ufeff=A1",
    "'=x",
    ' "a, b"\r\nc\rd\te',
    "＝SUM(A1)",
    "🫖 e\u0301 \u202eabc",
    "-5",
    "NULL",
    "\u2028 x",
)


def fill(database, study, *, prompts=("Why?", "Name two rivers.", "=1+1"), arms=("lft", "sft")):
    """Three annotators, every kind of answer, a mark, a gold item, an exclusion, a leak flag and a trace."""
    with writing(database) as session:
        one = session.get(Study, study.id)
        one.questions = write_questions(Questions(strength=True, acceptability=True))
        fill_study(session, one, prompts=prompts, arms=arms)
        people = [person(session, one, number) for number in (2, 3, 4)]
        items = items_of(session, one)
        first = judge(
            session, one, people[0], items[0], L, left="lft", strength=3, comment=HOSTILE[3],
            ratings={"left": {"clarity": 5}, "right": {"clarity": 2}}, acceptability={"left": True, "right": False},
        )  # fmt: skip
        judge(session, one, people[1], items[0], R, left="lft", strength=1)
        judge(session, one, people[2], items[0], L, left="sft", active_ms=10)
        judge(session, one, people[0], items[1], GOOD)
        judge(session, one, people[1], items[1], BAD)
        judge(session, one, people[0], items[2], SKIP)
        shown(session, one, people[1], items[2])
        judge(session, one, people[0], gold(session, one), L, left="better")
        _mark(session, first)
        add(session, Exclusion(study_id=one.id, rule="min_active", settings={"seconds": 1.0}, created_at=START))
        _trace(session, first)
        text = session.get_one(Response, first.left_response_id)
        add(
            session,
            LeakFlag(
                study_id=one.id, response_id=text.id, kind=LeakKind.HOUSE_STYLE, start=0, end=6, quote=text.text[:6],
                decision=LeakDecision.KEEP, created_at=START, decided_at=START,
            ),
        )  # fmt: skip


def _mark(session, presentation):
    revision = session.exec(select(Revision).where(Revision.presentation_id == presentation.id)).one()
    add(
        session,
        Span(
            revision_id=revision.id, position=0, side=Side.RIGHT, start=0, end=6, quote="Answer", prefix="", suffix="",
            type="invented", severity=Severity.MAJOR, note="=n",
        ),
    )  # fmt: skip


def _trace(session, presentation):
    response = session.get_one(Response, presentation.left_response_id)
    engine = ScriptedEngine(None, {"x": Script(base_ranks=(1, 2, 9))})
    tokens = [engine._shift("x", at, ord(letter), top_k=3) for at, letter in enumerate(response.text)]
    response.run = {"engine": "scripted", "text_lengths": [1] * len(tokens)}
    add(
        session,
        Trace(
            response_id=response.id, checkpoint=response.checkpoint, reference="base", engine="scripted",
            engine_version="1", kl_kind="exact", dtype="float32", border_width=0.0, n=len(tokens), unshifted=3,
            marginal=3, shifted=2, tokens=pack(tokens, {}),
        ),
    )  # fmt: skip


def bundle(database, study, path, **over):
    """Write the zip of a study and open it."""
    with snapshot(database) as session:
        write_bundle(session, session.get_one(Study, study.id), path, **over)
    return zipfile.ZipFile(path)


def manifest_of(archive):
    return json.loads(archive.read("manifest.json"))


def lines_of(archive, name):
    return [json.loads(line) for line in archive.read(name).decode().split("\n")[:-1]]
