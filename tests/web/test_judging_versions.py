"""A form made from an older revision: both versions are shown, and either can be kept."""

import pytest
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st
from sqlmodel import func, select

from app.db import reading, writing
from app.judging.forms import SentAnswer, form_fields, read_form
from app.studies.questions import Questions, write_questions
from models import Revision, Study
from tests.factories import fill_study
from tests.web.judging_help import a_form, an_answer, page_data, post, take


@pytest.fixture
def token(annotator, database, study):
    with writing(database) as session:
        fill_study(session, study)
        session.get_one(Study, study.id).questions = write_questions(Questions(strength=True, acceptability=True))
    return take(annotator, study)


def sent_form(**over):
    return a_form(left_acceptable="yes", right_acceptable="no", strength="2", **over)


def shown(page):
    """What the page says of both versions: {question: (mine, the other)}."""
    rows = BeautifulSoup(page.text, "html.parser").select("tbody tr")
    return {
        row.th.find(string=True, recursive=False).strip(): tuple(cell.get_text() for cell in row.select("td"))
        for row in rows
    }


def keep_mine(annotator, page):
    form = BeautifulSoup(page.text, "html.parser").select_one("main form")
    fields = {field["name"]: field["value"] for field in form.select("input")}
    return annotator.post(form["action"], data=fields)


def test_a_stale_form_shows_both_versions_and_stores_nothing(annotator, database, token):
    text = page_data(annotator, token)["texts"]["left"]
    mark = {"side": "left", "start": 0, "end": 6, "quote": text[:6], "type": "wrong_fact", "severity": "minor"}
    answer = an_answer(spans=[mark | {"note": "why?"}], comment="<b>first</b> tab", strength=1)
    post(annotator, token, "draft", answer | {"acceptability": {"left": False}})
    page = annotator.post(f"/judge/{token}/submit", data=sent_form(preference="right", comment="second tab"))
    assert page.status_code == 409
    assert "Revision 1 of this answer was saved elsewhere" in page.text
    said = shown(page)
    assert said["Helpfulness of A"] == ("3", "4")
    assert said["A acceptable"] == ("yes", "no")
    assert said["B acceptable"] == ("no", "–")
    assert said["Preference"] == ("B is better", "A is better")
    assert said["By how much"] == ("clearly", "slightly")
    assert said["Comment"] == ("second tab", "<b>first</b> tab")
    # A form brings no marks, so those that are saved stay whichever is kept.
    assert said["Marked in A"] == (f"“{text[:6]}” (minor, wrong fact: why?)",) * 2
    assert "Flagged" not in said
    with reading(database) as session:
        assert session.exec(select(func.count(Revision.id))).one() == 1


def test_keeping_mine_stores_it_as_the_newer_revision_with_the_marks(annotator, database, token):
    text = page_data(annotator, token)["texts"]["left"]
    mark = {"side": "left", "start": 0, "end": 6, "quote": text[:6], "type": "wrong_fact", "severity": "minor"}
    post(annotator, token, "draft", an_answer(spans=[mark], comment="first tab"))
    page = annotator.post(f"/judge/{token}/submit", data=sent_form(comment='"second" & <tab>', flagged="on"))
    done = keep_mine(annotator, page)
    assert done.status_code == 303
    answer = page_data(annotator, token)["answer"]
    assert (answer["revision"], answer["comment"], answer["flagged"]) == (2, '"second" & <tab>', True)
    assert (answer["preference"], answer["strength"]) == ("left", 2)
    assert answer["acceptability"] == {"left": True, "right": False}
    assert [span["quote"] for span in answer["spans"]] == [text[:6]]
    # Sending it once more is the same attempt.
    assert keep_mine(annotator, page).status_code == 303
    assert page_data(annotator, token)["answer"]["revision"] == 2


def test_going_on_from_the_other_leads_to_the_item_with_what_is_saved(annotator, token):
    post(annotator, token, "draft", an_answer(comment="first tab"))
    page = annotator.post(f"/judge/{token}/submit", data=sent_form())
    link = BeautifulSoup(page.text, "html.parser").find("a", string="Go on from the other")
    assert 'value="first tab"' in annotator.get(link["href"]).text


def test_a_third_version_that_comes_between_is_shown_again(annotator, token):
    post(annotator, token, "draft", an_answer(comment="one"))
    page = annotator.post(f"/judge/{token}/submit", data=sent_form(comment="mine"))
    post(annotator, token, "draft", an_answer(comment="two", base_revision=1))
    again = keep_mine(annotator, page)
    assert again.status_code == 409
    assert shown(again)["Comment"] == ("mine", "two")


words = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
ratings = st.dictionaries(
    st.sampled_from(["left", "right"]), st.dictionaries(st.sampled_from(["depth", "use_of"]), st.integers(1, 5))
)


@given(
    answer=st.builds(
        SentAnswer,
        idempotency_key=st.just("attempt-000001"),
        base_revision=st.just(7),
        preference=st.sampled_from([None, "left", "right", "tie_good", "cannot_judge"]),
        strength=st.sampled_from([None, 1, 2, 3]),
        ratings=ratings,
        acceptability=st.dictionaries(st.sampled_from(["left", "right"]), st.booleans()),
        comment=words,
        flagged=st.booleans(),
        skip_reason=words,
        recognised_model=st.booleans(),
        recognised_guess=words,
        edit_reason=words,
    )
)
def test_an_answer_written_as_a_form_reads_back_as_it_was(answer):
    fields = form_fields(answer, base_revision=7, idempotency_key="attempt-000001")
    again = read_form(fields)
    full = {side: answer.by_side().get(side, {}) for side in ("left", "right")}
    assert again == answer.model_copy(update={"ratings": full})
