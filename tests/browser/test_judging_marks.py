"""Marking passages in a real browser: with a finger, exactly or by words, one over the other, out of view Markdown."""

import re

import pytest
from playwright.sync_api import expect
from sqlmodel import select

from app.db import reading, writing
from app.studies.questions import Questions, write_questions
from models import Revision, Span, Study
from tests.browser.judging_help import SAVED, drag, press, select_text, start
from tests.browser.rest import comes_to
from tests.factories import fill_study

TEXT = "{arm}. Bread **rises** because yeast eats sugar 🍞 and gives off gas.\n\nPasteur showed this in 1857."


@pytest.fixture
def judging(page_for, bob, database, study):
    with writing(database) as session:
        fill_study(session, study, text=TEXT)
    return lambda **options: start(page_for(bob, **options))


def spans(database):
    with reading(database) as session:
        newest = session.exec(select(Revision).order_by(Revision.number.desc())).first()
        return session.exec(select(Span).where(Span.revision_id == newest.id).order_by(Span.position)).all()


def test_a_finger_selects_and_a_button_marks(judging, database, axe, picture):
    page = judging(width=400, height=850, has_touch=True, is_mobile=True)
    page.locator(".answer[data-side=left]").tap()
    expect(page.locator("#mark-here")).to_be_hidden()
    select_text(page, "left", "east", "suga")
    button = page.get_by_role("button", name="Mark this")
    expect(button).to_be_in_viewport()
    box = button.bounding_box()
    assert box["height"] >= 44
    assert 0 <= box["x"] <= 400 - box["width"]
    picture(page, "judging-mark-400")
    button.tap()
    expect(page.locator("#span-quote")).to_have_text("yeast eats sugar")
    axe(page)
    page.get_by_label("major: misleads").tap()
    page.get_by_role("button", name="Mark it").tap()
    expect(page.locator("#save-state")).to_have_text(SAVED)
    assert [(span.quote, span.severity.value) for span in spans(database)] == [("yeast eats sugar", "major")]
    expect(button).to_be_hidden()


def test_exact_marks_are_a_visible_mode_that_lasts(judging, database):
    page = judging()
    drag(page, "right", "east", "eat")
    expect(page.locator("#span-quote")).to_have_text("yeast eats")
    press(page, "Escape")
    page.get_by_role("button", name="Exact marks").click()
    expect(page.get_by_role("button", name="Exact marks")).to_have_attribute("aria-pressed", "true")
    drag(page, "right", "east", "eat")
    expect(page.locator("#span-quote")).to_have_text("east eat")
    press(page, "Escape")
    page.reload()
    expect(page.get_by_role("button", name="Exact marks")).to_have_attribute("aria-pressed", "true")
    # The keyboard follows the same mode, one character at a time; which answer stands left is drawn.
    press(page, "m", "ArrowRight", "Shift+ArrowRight", "Enter")
    expect(page.locator("#span-dialog")).to_be_visible()
    assert page.locator("#span-quote").evaluate("(quote) => quote.textContent") in {" 1", " 2"}


def test_marks_may_overlap_and_cross_what_markdown_hides(judging, database, picture):
    page = judging()
    drag(page, "left", "Bread", "because")
    page.get_by_role("button", name="Mark it").click()
    expect(page.locator(".spans[data-spans=left] li")).to_have_count(1)
    drag(page, "left", "rises", "sugar 🍞 and")
    page.get_by_label("invented name, number or source").check()
    page.get_by_label("major: misleads").check()
    page.get_by_label("Note").fill("says who?")
    page.get_by_role("button", name="Mark it").click()
    expect(page.locator(".spans[data-spans=left] li")).to_have_count(2)
    expect(page.locator(".span-overlap").first).to_be_visible()
    expect(page.locator("#save-state")).to_have_text(SAVED)
    wanted = [
        ("Bread **rises** because", "wrong_fact", "minor", ""),
        ("rises** because yeast eats sugar 🍞 and", "invented", "major", "says who?"),
    ]
    comes_to(page, lambda: [(one.quote, one.type, one.severity.value, one.note) for one in spans(database)], wanted)
    picture(page, "judging-overlap")


def test_severity_is_told_by_more_than_colour(judging):
    page = judging()
    drag(page, "left", "Bread", "Bread")
    page.get_by_role("button", name="Mark it").click()
    expect(page.locator(".spans[data-spans=left] li")).to_have_count(1)
    drag(page, "left", "Pasteur", "Pasteur")
    page.get_by_label("major: misleads").check()
    page.get_by_role("button", name="Mark it").click()
    expect(page.locator(".spans[data-spans=left] li")).to_have_count(2)
    expect(page.locator(".answer mark")).to_have_count(2)
    style = "(mark) => getComputedStyle(mark).textDecorationStyle"
    assert page.locator(".answer mark").evaluate_all(f"(marks) => marks.map({style})") == ["dashed", "double"]
    expect(page.locator(".spans[data-spans=left]")).to_contain_text("minor")
    expect(page.locator(".spans[data-spans=left]")).to_contain_text("major")


def test_a_study_without_spans_offers_none(page_for, bob, database, study):
    with writing(database) as session:
        session.get_one(Study, study.id).questions = write_questions(Questions(spans=False, recognised=""))
        fill_study(session, study, text=TEXT)
    page = start(page_for(bob))
    expect(page.get_by_role("button", name=re.compile("Mark errors|Exact marks"))).to_have_count(0)
    expect(page.get_by_label("I recognised a model")).to_have_count(0)
    drag(page, "left", "Bread", "because")
    press(page, "m")
    page.wait_for_timeout(200)
    expect(page.locator("#span-dialog")).to_be_hidden()
