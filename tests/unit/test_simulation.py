"""The robots other tests rely on: the same seed gives the same study, and what was planted is what is found."""

from collections import Counter

import pytest
from sqlmodel import func, select

from app.db import connect, reading, writing
from app.judging.forms import SentAnswer, read_json
from app.judging.rules import missing_answers, unasked_answer
from app.results.export import TABLES
from app.results.queries import iter_table
from app.studies.questions import EvidenceQuestion, Questions
from models import Arm, Evidence, EvidenceAnswer, Presentation, Role, Study
from tests.factories import make_tuning_set, make_user
from tests.simulation.database import simulate_into
from tests.simulation.robot import Shown, Truth, answer_of, planted
from tests.simulation.study import build_study

PLANTED = Truth(
    quality={"base": -1.0, "lft": 0.5, "sft": 0.0},
    position=0.4,
    tie=0.3,
    skips=0.03,
    hallucinated={"sft": 1.5},
    attributed={"sft": 0.7},
    recognised=0.1,
)


def simulated(database, alice, *, items=40, truth=PLANTED, evidence=True, **over):
    with writing(database) as session:
        asked = None
        if evidence:
            tuning_set = make_tuning_set(session, answers=tuple(f"Answer {n}." for n in range(50)))
            asked = EvidenceQuestion(tuning_set.id)
        questions = Questions(strength=True, acceptability=True, evidence=asked)
        study = build_study(session, owner=alice, items=items, questions=questions, overlap=3, **over)
        return study.id, simulate_into(session, study, truth)


def test_a_simulated_study_is_complete_and_balanced(database, alice):
    study_id, counts = simulated(database, alice)
    with reading(database) as session:
        shown = session.exec(select(Presentation).where(Presentation.study_id == study_id)).all()
        names = dict(session.exec(select(Arm.id, Arm.name).where(Arm.study_id == study_id)).all())
    assert len(shown) == counts.presentations == 40 * 3 * 3
    assert set(Counter((one.item_id, one.pair_id) for one in shown).values()) == {3}
    assert max(Counter((one.item_id, one.annotator_id) for one in shown).values()) == 1
    own, pairs = Counter(), Counter()
    for one in shown:
        step = 1 if names[one.left_arm_id] < names[one.right_arm_id] else -1
        own[one.annotator_id] += step
        pairs[one.pair_id] += step
    assert max(map(abs, own.values())) <= 1
    assert max(map(abs, pairs.values())) <= 4


def exported(database, **over):
    with writing(database) as session:
        owner = make_user(session, email=f"{over}@example.org", role=Role.RESEARCHER)
        study = build_study(session, owner=owner, items=6, overlap=3, **over)
        simulate_into(session, study, PLANTED)
    with reading(database) as session:
        return {table: list(iter_table(session, session.get_one(Study, study.id), table)) for table in TABLES}


def test_the_same_seed_gives_the_same_rows(database, tmp_path, all_databases):
    first = exported(database)
    assert len(first["preferences.csv"]) == 6 * 3 * 3 + 1
    assert len(first["hallucinations.jsonl"]) > 10
    elsewhere = connect(all_databases.create(tmp_path / "elsewhere"))
    assert exported(elsewhere) == first
    elsewhere.dispose()
    assert exported(database, slug="other", seed="seed-2")["preferences.csv"] != first["preferences.csv"]


def test_evidence_is_judged_as_planted(database, alice):
    _, counts = simulated(database, alice)
    with reading(database) as session:
        rows = session.exec(
            select(Evidence.is_decoy, EvidenceAnswer.verdict, func.count())
            .join(EvidenceAnswer, EvidenceAnswer.evidence_id == Evidence.id)
            .group_by(Evidence.is_decoy, EvidenceAnswer.verdict)
        ).all()
    found = {(decoy, verdict.value): number for decoy, verdict, number in rows}
    assert sum(found.values()) == counts.verdicts
    for decoy, expected in ((False, 0.7), (True, 0.1)):
        total = sum(number for (is_decoy, _), number in found.items() if is_decoy == decoy)
        assert found[decoy, "borrowed"] / total == pytest.approx(expected, abs=0.08)


def test_the_planted_preference_is_the_one_that_is_found():
    truth = Truth(quality={"lft": 1.0, "sft": 0.0}, tie=0.0)
    wins = Counter(
        answer_of(truth, f"p{n % 20}", Shown(f"i{n}", "lft", "sft", "One two.", "Three four."), Questions())[
            "preference"
        ]
        for n in range(4_000)
    )
    # 4,000 draws: the standard deviation of the share is 0.007.
    assert wins["left"] / 4_000 == pytest.approx(truth.wins("lft", "sft"), abs=0.03)
    assert truth.wins("lft", "sft") == pytest.approx(1 - truth.wins("sft", "lft"))


def test_position_and_length_move_the_answer_as_planted():
    quality = {"a": 0.0, "b": 0.0}
    same, longer = Shown("i", "a", "b", "One two.", "One two."), Shown("i", "a", "b", "One two. " * 9, "One.")
    for truth, shown, least in (
        (Truth(quality, position=1.0, tie=0.0), same, 0.68),
        (Truth(quality, length=2.0, tie=0.0), longer, 0.78),
    ):
        answers = [answer_of(truth, f"p{n}", shown, Questions())["preference"] for n in range(2_000)]
        assert answers.count("left") / 2_000 > least


def test_what_a_robot_sends_is_what_the_page_may_send():
    questions = Questions(strength=True, acceptability=True)
    truth = Truth({"a": 0.5, "b": -0.5}, hallucinated={"a": 2.0}, skips=0.2, recognised=0.5)
    text = "The kettle was invented in 1891, in a kitchen 🫖 of Chicago."
    for n in range(50):
        shown = Shown(f"i{n}", "a", "b", text, "No kettle here.")
        answer = answer_of(truth, "p1", shown, questions, edit=n % 2)
        sent = SentAnswer.model_validate(answer | {"idempotency_key": "attempt-0001", "base_revision": 0})
        assert read_json(sent.model_dump_json(exclude_none=False).encode()).given() == sent.given()
        assert missing_answers(questions, sent.given()) == []
        assert unasked_answer(questions, sent.given()) == ""
        for span in answer["spans"]:
            assert (text if span["side"] == "left" else shown.right)[span["start"] : span["end"]] == span["quote"]
        assert answer == answer_of(truth, "p1", shown, questions, edit=n % 2)
    assert planted(truth, "i0", "b", text) == []
