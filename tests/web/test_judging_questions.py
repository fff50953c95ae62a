"""What a study asks is what its page asks, takes and keeps; what it does not ask is refused."""

from datetime import timedelta

import pytest
from bs4 import BeautifulSoup
from sqlmodel import select

from app.db import reading, writing
from app.judging.page import blind_item
from app.studies.questions import Dimension, EvidenceQuestion, Questions, write_questions
from models import (
    Evidence,
    EvidenceAnswer,
    LeakDecision,
    LeakFlag,
    LeakKind,
    Membership,
    Presentation,
    Response,
    Revision,
    Side,
    Span,
    Study,
    StudyState,
)
from models.base import now
from tests.factories import add, fill_study, make_tuning_set, make_user
from tests.web.judging_help import a_form, an_answer, page_data, post, take

TONE = Dimension("tone", "Tone", ("rude", "cold", "neutral", "kind", "warm"))
OWN = Questions(dimensions=(TONE,), strength=True, acceptability=True, recognised="item")
RATED = {"left": {"tone": 4}, "right": {"tone": 2}}
GOOD = {"ratings": RATED, "acceptability": {"left": True, "right": False}}


@pytest.fixture
def ask(database, study, annotator):
    """Ask what a test wants to ask, and take an item."""

    def asking(questions, **over):
        with writing(database) as session:
            row = session.get_one(Study, study.id)
            row.questions = write_questions(questions)
            fill_study(session, row, **over)
        return take(annotator, study)

    return asking


def newest(database):
    with reading(database) as session:
        return session.exec(select(Revision).order_by(Revision.number.desc())).first()


def message(reply):
    return reply.json()["error"]["message"]


def a_span(text, start, end, side="left", **over):
    quoted = {"side": side, "start": start, "end": end, "quote": text[start:end]}
    return quoted | {"type": "other", "severity": "minor"} | over


def test_the_page_asks_the_studys_own_questions(annotator, ask):
    token = ask(OWN)
    page = BeautifulSoup(annotator.get(f"/judge/{token}").text, "html.parser")
    names = {field["name"] for field in page.select("#judging input[type=radio]")} - {"view"}
    assert names == {
        "left_tone", "right_tone", "left_acceptable", "right_acceptable", "preference", "strength",
    }  # fmt: skip
    assert page_data(annotator, token)["questions"] == {
        "dimensions": [{"name": "tone", "title": "Tone", "anchors": ["rude", "cold", "neutral", "kind", "warm"]}],
        "strength": True,
        "acceptability": True,
        "spans": True,
        "evidence": False,
        "recognised": "item",
    }


def test_every_answer_is_kept_as_given_and_shown_again(annotator, database, ask):
    token = ask(OWN)
    extra = {
        "strength": 3,
        "recognised_model": True,
        "recognised_guess": "its bullet lists",
        "reading": {"left": 1, "right": 0.5, "first_view_ms": 1200},
        "edit_reason": "",
    }
    answer = an_answer(**GOOD, **extra)
    assert post(annotator, token, "submit", answer).status_code == 200
    kept = newest(database)
    assert (kept.strength, kept.acceptability, kept.ratings) == (3, {"left": True, "right": False}, RATED)
    assert kept.reading == {"left": 1.0, "right": 0.5, "first_view_ms": 1200}
    assert (kept.recognised_model, kept.recognised_guess) == (True, "its bullet lists")
    shown = page_data(annotator, token)["answer"]
    assert {name: shown[name] for name in extra} == extra
    assert {name: shown[name] for name in GOOD} == GOOD


def test_a_form_without_scripts_answers_the_same(annotator, database, ask):
    token = ask(OWN)
    form = {"idempotency_key": "attempt-form", "base_revision": "0", "preference": "right", "strength": "2"}
    form |= {"left_tone": "1", "right_tone": "5", "left_acceptable": "no", "right_acceptable": "yes"}
    assert annotator.post(f"/judge/{token}/submit", data=form).status_code == 303
    kept = newest(database)
    assert (kept.strength, kept.acceptability) == (2, {"left": False, "right": True})
    assert kept.ratings == {"left": {"tone": 1}, "right": {"tone": 5}}


def test_all_that_is_missing_is_listed_in_page_order(annotator, database, ask):
    token = ask(OWN)
    reply = post(annotator, token, "submit", an_answer(preference=None, ratings={}, acceptability={"right": True}))
    assert reply.status_code == 422
    assert message(reply) == ("Still missing: tone of A, whether A is acceptable, tone of B, which response is better.")
    # A draft may lack anything.
    assert post(annotator, token, "draft", an_answer(preference=None, ratings={})).status_code == 200


@pytest.mark.parametrize(
    ("over", "named"),
    [
        ({"ratings": {"left": {"depth": 3}}}, "ratings.left.depth"),
        ({"acceptability": {"left": True}, "ratings": {}}, "acceptability"),
        ({"strength": 1, "ratings": {}}, "strength"),
        ({"recognised_model": True, "ratings": {}}, "recognised_model"),
        ({"recognised_guess": "llama", "ratings": {}}, "recognised_model"),
    ],
)
@pytest.mark.parametrize("what", ["draft", "submit"])
def test_an_answer_to_what_is_not_asked_is_refused_by_name(annotator, database, ask, over, named, what):
    token = ask(Questions(dimensions=(TONE,), recognised="end"))
    reply = post(annotator, token, what, an_answer(**over))
    assert reply.status_code == 422
    assert message(reply).startswith(f"{named}: ")
    assert newest(database) is None


def test_no_marks_are_taken_where_none_are_asked(annotator, ask):
    token = ask(Questions(spans=False))
    text = page_data(annotator, token)["texts"]["left"]
    reply = post(annotator, token, "draft", an_answer(spans=[a_span(text, 0, 4)]))
    assert (reply.status_code, message(reply)) == (422, "spans: this study does not ask for it here.")
    assert post(annotator, token, "draft", an_answer(spans=[])).status_code == 200


def test_strength_without_a_preferred_side_is_refused(annotator, ask):
    token = ask(OWN)
    reply = post(annotator, token, "draft", an_answer(**GOOD, preference="tie_good", strength=1))
    assert (reply.status_code, message(reply)[:9]) == (422, "strength:")


# instances beside spans


@pytest.fixture
def shown(database, ask, annotator):
    """An item with two instances beside characters 0 to 6 of A, and the first's id among others'."""
    token = ask(Questions(evidence=EvidenceQuestion("unused")))
    with writing(database) as session:
        tuning = make_tuning_set(session, answers=("One.", "Two."))
        rows = [
            add(
                session,
                Evidence(
                    presentation_id=token, side=Side.LEFT, start=0, end=6, place=place, set_id=tuning.id,
                    position=place, is_decoy=place == 1,
                ),
            )
            for place in range(2)
        ]  # fmt: skip
        return token, [row.id for row in rows]


def verdicts(database):
    with reading(database) as session:
        found = session.exec(select(Span, EvidenceAnswer).join(EvidenceAnswer).order_by(Span.position)).all()
    return [(answer.evidence_id, answer.verdict.value) for _, answer in found]


def test_verdicts_are_kept_with_their_span_and_shown_again(annotator, database, shown):
    token, ids = shown
    text = page_data(annotator, token)["texts"]["left"]
    said = [{"id": ids[1], "verdict": "unrelated"}, {"id": ids[0], "verdict": "borrowed"}]
    mark = a_span(text, 0, 6, evidence=said)
    other = a_span(text, 2, 5)
    assert post(annotator, token, "draft", an_answer(spans=[mark, other])).status_code == 200
    spans = page_data(annotator, token)["answer"]["spans"]
    assert spans[0]["evidence"] == said[::-1]
    assert (spans[0]["no_evidence"], spans[1]["evidence"]) == (False, [])
    # A form without scripts takes over what was marked and said.
    assert annotator.post(f"/judge/{token}/submit", data=a_form(base_revision="1")).status_code == 303
    assert sorted(verdicts(database)) == sorted([(ids[0], "borrowed"), (ids[1], "unrelated")] * 2)


def test_none_of_these_is_an_answer_of_its_own(annotator, database, shown):
    token, ids = shown
    text = page_data(annotator, token)["texts"]["left"]
    similar = [{"id": ids[0], "verdict": "similar"}]
    assert post(
        annotator, token, "draft", an_answer(spans=[a_span(text, 0, 6, no_evidence=True, evidence=similar)])
    ).json()
    assert page_data(annotator, token)["answer"]["spans"][0]["no_evidence"] is True


@pytest.mark.parametrize(
    ("place", "over"),
    [
        ((0, 5), {}),
        ((1, 6), {}),
        ((0, 6), {"side": "right"}),
        ((0, 6), {"id": "0123456789abcdef"}),
        ((0, 6), {"twice": True}),
        ((0, 6), {"no_evidence": True}),
    ],
)
def test_a_verdict_on_what_was_not_shown_there_is_refused(annotator, database, shown, place, over):
    token, ids = shown
    side = over.get("side", "left")
    text = page_data(annotator, token)["texts"][side]
    said = [{"id": over.get("id", ids[0]), "verdict": "borrowed"}] * (2 if "twice" in over else 1)
    mark = a_span(text, *place, side=side, evidence=said, no_evidence=over.get("no_evidence", False))
    reply = post(annotator, token, "draft", an_answer(spans=[a_span(text, 0, 2, side=side), mark]))
    assert reply.status_code == 422
    assert message(reply).startswith("Span 2: ")
    assert newest(database) is None


def test_instances_shown_to_somebody_else_are_not_mine_to_judge(annotator, database, shown, study):
    token, _ = shown
    with writing(database) as session:
        theirs = session.get_one(Presentation, token).model_dump(exclude={"id", "annotator_id", "item_id"})
        other_item = session.exec(select(Presentation.item_id)).one()
        dora = make_user(session, email="dora@example.org")
        row = add(session, Presentation(**theirs, annotator_id=dora.id, item_id=other_item))
        tuning = session.exec(select(Evidence.set_id)).first()
        place = {"side": Side.LEFT, "start": 0, "end": 6, "place": 0, "set_id": tuning, "position": 0}
        foreign = add(session, Evidence(presentation_id=row.id, is_decoy=False, **place)).id
    text = page_data(annotator, token)["texts"]["left"]
    mark = a_span(text, 0, 6, evidence=[{"id": foreign, "verdict": "similar"}])
    assert post(annotator, token, "draft", an_answer(spans=[mark])).status_code == 422


# what is hidden


def hide(database, study, word, decision=LeakDecision.REDACT):
    with writing(database) as session:
        for response in session.exec(select(Response)):
            at = response.text.find(word)
            place = {"start": at, "end": at + len(word), "quote": word}
            flag = LeakFlag(study_id=study.id, response_id=response.id, kind=LeakKind.SELF_IDENTIFICATION, **place)
            flag.decision = decision
            session.add(flag)


def test_what_a_researcher_hides_reaches_no_annotator_and_marks_quote_the_stored_text(annotator, database, study, ask):
    stored = "Hello, I am **Zebra** 🦓 and I know."
    token = ask(Questions(), prompts=("Who?",), text=stored)
    before = stored.index("Zebra")
    mark = a_span(stored, before - 3, before + 2)
    assert post(annotator, token, "draft", an_answer(spans=[mark])).status_code == 200
    hide(database, study, "Zebra")
    page = annotator.get(f"/judge/{token}")
    shown = "Hello, I am **█████** 🦓 and I know."
    assert "zebra" not in page.text.casefold()
    data = page_data(annotator, token)
    assert data["texts"] == {"left": shown, "right": shown}
    assert data["answer"]["spans"][0]["quote"] == " **██"
    assert [kind for _, _, kind in data["styles"]["left"] if kind != "mark"] == ["strong"]
    # Quotes are checked against what was shown, and stored from what is there.
    unseen = post(annotator, token, "draft", an_answer(base_revision=1, spans=[mark]))
    assert unseen.status_code == 422
    assert "zebra" not in unseen.text.casefold()
    seen = a_span(shown, before - 3, before + 2)
    stale = post(annotator, token, "draft", an_answer(spans=[seen]))
    assert stale.status_code == 409
    assert "zebra" not in stale.text.casefold()
    assert post(annotator, token, "draft", an_answer(base_revision=1, spans=[seen])).status_code == 200
    with reading(database) as session:
        quotes = session.exec(select(Span.quote, Span.prefix, Span.start, Span.end)).all()
    assert {stored[start:end] for _, _, start, end in quotes} == {" **Ze"} == {quote for quote, *_ in quotes}


def test_a_flag_that_is_kept_hides_nothing_and_one_taken_out_hides_all(annotator, database, study, ask):
    token = ask(Questions(), prompts=("Who?",), text="I am Zebra.")
    hide(database, study, "Zebra", LeakDecision.KEEP)
    assert page_data(annotator, token)["texts"]["left"] == "I am Zebra."
    hide(database, study, "am", LeakDecision.EXCLUDE)
    assert page_data(annotator, token)["texts"] == {"left": "█" * 11, "right": "█" * 11}


# the page's own knowledge


def test_markdown_reaches_the_page_as_ranges_over_the_exact_text(annotator, ask):
    text = "# Kettles\r\n\r\n**Hot** `water` 🫖"
    data = page_data(annotator, ask(Questions(), text=text))
    assert data["texts"]["left"] == text
    assert data["styles"]["left"] == data["styles"]["right"] == [
        [0, 9, "heading"], [0, 2, "mark"],
        [13, 20, "strong"], [13, 15, "mark"], [18, 20, "mark"],
        [21, 28, "code"], [21, 22, "mark"], [27, 28, "mark"],
    ]  # fmt: skip


def test_an_older_tab_gets_the_answer_that_came_between(annotator, ask):
    token = ask(Questions())
    text = page_data(annotator, token)["texts"]["left"]
    mark = a_span(text, 0, 6, note="n")
    post(annotator, token, "draft", an_answer(comment="first tab", spans=[mark]))
    stale = post(annotator, token, "draft", an_answer(comment="second tab"))
    assert stale.status_code == 409
    assert set(stale.json()) == {"error", "current"}
    current = stale.json()["current"]
    assert set(current) == {"revision", "saved_at", "answer"}
    assert current["answer"] == page_data(annotator, token)["answer"]
    assert (current["revision"], current["answer"]["comment"]) == (1, "first tab")


def blind(app, database, token, bob):
    with reading(database) as session:
        return blind_item(session, token, bob, now(), secret="s")


def test_pace_is_the_median_of_ones_own_final_active_times(annotator, app, database, study, bob, ask):
    token = ask(Questions(), prompts=("1?", "2?", "3?", "4?", "5?"))
    assert blind(app, database, token, bob).pace_ms == 0
    # The second is a plain form's, which tells no time; the last stays a draft.
    for at, active in enumerate((90_000, 0, 30_000, 50_000)):
        post(annotator, token, "draft", an_answer(active_ms=1))
        post(annotator, token, "submit", an_answer(active_ms=active, base_revision=1))
        last, token = token, take(annotator, study)
        assert token, at
    post(annotator, token, "draft", an_answer(active_ms=1_000_000))
    assert blind(app, database, token, bob).pace_ms == 50_000
    post(annotator, last, "submit", an_answer(active_ms=20_000, base_revision=2))
    assert blind(app, database, token, bob).pace_ms == 30_000


def test_newer_guidelines_are_told_to_those_who_knew_the_older(annotator, app, database, study, bob, ask):
    token = ask(Questions())

    def rewritten(version):
        with writing(database) as session:
            session.get_one(Study, study.id).guideline_version = version
        return blind(app, database, token, bob).guideline_changed

    assert rewritten(2) is False  # never read any
    with writing(database) as session:
        session.get_one(Membership, (study.id, bob.id)).guideline_seen = 2
    assert (rewritten(2), rewritten(3)) == (False, True)
    post(annotator, token, "submit", an_answer())
    assert (rewritten(3), rewritten(4)) == (False, True)


def test_the_page_knows_how_long_the_item_is_reserved(annotator, database, ask):
    token = ask(Questions())
    assert 3_500 < page_data(annotator, token)["lease_s"] <= 3_600
    with writing(database) as session:
        session.get_one(Presentation, token).leased_until = now() - timedelta(minutes=1)
    assert page_data(annotator, token)["lease_s"] == 0
    post(annotator, token, "submit", an_answer())
    assert page_data(annotator, token)["lease_s"] == 0


def test_an_edit_after_submitting_says_why_and_both_answers_stay(annotator, database, study, ask):
    token = ask(Questions())
    post(annotator, token, "submit", an_answer(preference="left"))
    why = "I had mixed up the sides."
    assert post(
        annotator, token, "submit", an_answer(preference="right", base_revision=1, edit_reason=f" {why} ")
    ).json()
    with reading(database) as session:
        kept = session.exec(select(Revision).order_by(Revision.number)).all()
    assert [(one.preference.value, one.edit_reason) for one in kept] == [("left", ""), ("right", why)]
    with writing(database) as session:
        session.get_one(Study, study.id).state = StudyState.CLOSED
    late = post(annotator, token, "submit", an_answer(base_revision=2))
    assert late.status_code == 409
