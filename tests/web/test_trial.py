"""The judging page tried out by whoever sets a study up: what annotators get, and nothing stored."""

import json

import pytest
from bs4 import BeautifulSoup
from sqlmodel import func, select

from app.db import reading, writing
from app.studies.questions import Questions, write_questions
from models import Item, ItemResponse, LeakDecision, LeakFlag, LeakKind, Presentation, Response, Study
from tests.factories import add, fill_study
from tests.web.judging_help import take


@pytest.fixture
def filled(database, study):
    with writing(database) as session:
        fill_study(session, study, text="{arm} says **this**: {prompt}")
        session.get_one(Study, study.id).questions = write_questions(Questions(strength=True, acceptability=True))
    return study


def tried(researcher, study):
    page = researcher.get(f"/studies/{study.id}/try")
    assert page.status_code == 200, page.text
    return BeautifulSoup(page.text, "html.parser")


def test_it_is_the_page_an_annotator_gets(researcher, annotator, filled):
    mine = tried(researcher, filled)
    theirs = BeautifulSoup(annotator.get(f"/judge/{take(annotator, filled)}").text, "html.parser")

    def asked(page):
        return sorted({field["name"] for field in page.select(".judging-columns input, .judging-bar input")})

    assert asked(mine) == asked(theirs)
    data, other = (json.loads(page.select_one("#judging")["data-item"]) for page in (mine, theirs))
    assert set(data) == set(other)
    for part in ("questions", "types", "open", "submitted"):
        assert data[part] == other[part]
    assert (data["trial"], other["trial"]) == (True, False)
    assert "Nothing you do here is stored" in mine.text
    assert "Nothing you do here is stored" not in theirs.text


def test_nothing_is_handed_out_and_nothing_is_sent_anywhere(researcher, database, filled):
    page = tried(researcher, filled)
    with reading(database) as session:
        assert session.exec(select(func.count(Presentation.id))).one() == 0
    form = page.select_one("#judging")
    assert (form["method"], form["action"]) == ("get", f"/studies/{filled.id}/try")
    assert "Why is the sky blue?" in page.select_one(".prompt-text").text


def test_what_is_redacted_is_masked_here_too(researcher, database, filled):
    with writing(database) as session:
        for response in session.exec(select(Response)).all():
            flag = {"kind": next(iter(LeakKind)), "start": 0, "end": 6, "quote": response.text[:6]}
            add(session, LeakFlag(study_id=filled.id, response_id=response.id, decision=LeakDecision.REDACT, **flag))
    assert {answer.text[:6] for answer in tried(researcher, filled).select(".answer")} == {"██████"}


def test_a_draft_without_responses_can_be_tried_and_one_without_prompts_says_what_is_missing(
    researcher, database, filled
):
    with writing(database) as session:
        for row in session.exec(select(ItemResponse)).all():
            session.delete(row)
    assert {"There is no response here yet." in a.text for a in tried(researcher, filled).select(".answer")} == {True}
    with writing(database) as session:
        for item in session.exec(select(Item)).all():
            session.delete(item)
    answer = researcher.get(f"/studies/{filled.id}/try")
    assert answer.status_code == 409
    assert "Save a prompt first" in answer.text
