"""A study with results for tests: judgments of planted truth, put straight into the tables."""

from app.db import writing
from app.studies.questions import Questions
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
