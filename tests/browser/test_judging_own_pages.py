"""The annotator's own pages in a real browser: accessible, within the window, and usable by keyboard alone."""

import pytest
from playwright.sync_api import expect
from sqlmodel import select

from app.db import reading, writing
from app.studies.questions import Questions, write_questions
from models import ExitAnswer, Membership, Preference, Presentation, PresentationState, Revision, RevisionKind, Study
from models.base import now
from tests.factories import add
from tests.web.judging_help import give_special

LONG = "A study whose name is long enough to need two lines on a phone"
GUIDELINES = (
    "# Rules\n\nJudge **what is written**, not how long it is.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n- one\n- two"
)


@pytest.fixture
def judged(database, study, bob):
    """A practice item judged twice by Bob; its token."""
    with writing(database) as session:
        row = session.get_one(Study, study.id)
        row.name, row.guidelines, row.guideline_version = LONG, GUIDELINES, 3
        row.questions = write_questions(Questions(recognised="end"))
        session.get_one(Membership, (study.id, bob.id)).guideline_seen = 2
        token = give_special(session, row, bob, why="It **answers**; the other one does not.")
        shown = session.get_one(Presentation, token)
        shown.state, shown.submitted_at = PresentationState.SUBMITTED, now()
        for number, preference in enumerate((Preference.LEFT, Preference.TIE_BAD), start=1):
            values = {"presentation_id": token, "number": number, "idempotency_key": f"attempt-{number}"}
            values |= {"kind": RevisionKind.SUBMITTED, "preference": preference, "app_version": "1"}
            add(session, Revision(**values, edit_reason="I had read them too fast." if number > 1 else ""))
    return token


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1280, 800), (400, 850)])
def test_the_own_pages_are_accessible_and_fit(page_for, bob, study, judged, axe, picture, scheme, width, height):
    page = page_for(bob, width=width, height=height, color_scheme=scheme)
    for name, path in {
        "history": "/judge/history",
        "feedback": f"/judge/{judged}/feedback",
        "guidelines": f"/judge/guidelines/{study.id}",
        "exit": f"/judge/exit/{study.id}",
    }.items():
        page.goto(path)
        expect(page.locator("h1").first).to_be_visible()
        for details in page.locator("main details").all():
            details.locator("summary").click()
        axe(page)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
        picture(page, f"judging-{name}-{width}-{scheme}")


def test_the_last_question_is_answered_by_keyboard(page_for, database, bob, study, judged):
    page = page_for(bob)
    page.goto(f"/judge/exit/{study.id}")
    page.get_by_role("radio", name="No").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    page.keyboard.type("the lists")
    page.keyboard.press("Enter")
    page.wait_for_url("**/judge?stay")
    with reading(database) as session:
        answer = session.exec(select(ExitAnswer)).one()
    assert (answer.recognised_model, answer.recognised_guess) == (True, "the lists")
