"""A study with results for tests: judgments of planted truth, put straight into the tables."""

from dataclasses import replace

from sqlmodel import select

from app.db import writing
from app.shift.packing import pack
from app.studies.questions import EvidenceQuestion, Questions
from models import ItemResponse, Response, Trace
from tests.factories import make_tuning_set
from tests.scripted_engine import Script, ScriptedEngine
from tests.simulation.database import simulate_into
from tests.simulation.robot import Truth
from tests.simulation.study import build_study

TRUTH = Truth(
    quality={"base": -0.3, "lft": 0.6, "sft": 0.0},
    position=0.3,
    skips=0.03,
    hallucinated={"lft": 0.4, "sft": 1.2},
    recognised=0.1,
)


def simulated(database, owner, *, items=12, annotators=6, overlap=4, arms=("lft", "sft"), truth=TRUTH, **over):
    """Add a study judged by robots and return it."""
    with writing(database) as session:
        asked = over.pop("questions", Questions(strength=True, acceptability=True))
        study = build_study(session, owner=owner, arms=arms, items=items, overlap=overlap, questions=asked, **over)
        simulate_into(session, study, truth, annotators=annotators)
        return study


def traced(database, study):
    """Score every response of a study: a token per character, whose base ranks go 1, 2, 9, 1, 2, 9..."""
    engine = ScriptedEngine(None, {"x": Script(base_ranks=(1, 2, 9))})
    with writing(database) as session:
        rows = session.exec(
            select(Response).join(ItemResponse, ItemResponse.response_id == Response.id).order_by(Response.id)
        ).all()
        for response in rows:
            tokens = [engine._shift("x", at, ord(letter), top_k=2) for at, letter in enumerate(response.text)]
            n = len(tokens)
            response.token_ids = [ord(letter) for letter in response.text]
            response.run = {"engine": "scripted", "text_lengths": [1] * n}
            session.add(
                Trace(
                    response_id=response.id, checkpoint=response.checkpoint, reference="base", kl_kind="exact",
                    dtype="float32", border_width=0.0, n=n, unshifted=0, marginal=0, shifted=0, tokens=pack(tokens, {}),
                )
            )  # fmt: skip


def everything(database, owner, **over):
    """Add a small study that asks for all there is, evidence beside spans too, with every text scored."""
    with writing(database) as session:
        tuning_set = make_tuning_set(session, answers=tuple(f"Steam rises from coil {n}." for n in range(12)))
    asked = Questions(strength=True, acceptability=True, evidence=EvidenceQuestion(set_id=tuning_set.id))
    truth = replace(TRUTH, attributed={"lft": 0.3, "sft": 0.8}, decoyed=0.1, hallucinated={"lft": 1.0, "sft": 2.0})
    values = {"items": 10, "annotators": 5, "overlap": 3, "questions": asked, "truth": truth, "slug": "everything"}
    study = simulated(database, owner, **values | over)
    traced(database, study)
    return study
