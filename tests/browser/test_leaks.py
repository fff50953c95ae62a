"""Leak flags decided by keyboard in a real browser, and the pages in every look."""

import pytest
from playwright.sync_api import expect
from sqlmodel import select

from app.db import reading, writing
from models import LeakFlag, Response, Study, StudyState
from tests.factories import fill_study

PROMPTS = ("Why is the sky blue?", "Name two rivers.", "What is a kettle?")


@pytest.fixture
def draft(database, study):
    with writing(database) as session:
        row = session.get_one(Study, study.id)
        row.state = StudyState.DRAFT
        fill_study(session, row, prompts=PROMPTS, text="{prompt} {arm}.")
        for response in session.exec(select(Response)).all()[:3]:
            response.text = f"As an AI language model, I say: {response.prompt}"
    return study


def test_flags_are_decided_by_keyboard_and_then_the_study_opens(page_for, alice, database, draft, server):
    server.expected.append("409 (Conflict)")
    page = page_for(alice, width=1400, height=900)
    page.goto(f"/studies/{draft.id}")
    page.get_by_role("button", name="Open", exact=True).click()
    expect(page.locator("main")).to_contain_text("undecided in 3 places")
    page.goto(f"/studies/{draft.id}/leaks")
    expect(page.locator("[data-leaks-said]")).to_contain_text("3 flags to decide.")
    page.locator("[data-leak]").first.focus()
    for key, left in (("k", "2 flags to decide."), ("r", "1 flag to decide."), ("e", "No flag waits for a decision.")):
        expect(page.locator("[data-leak]").first).to_be_focused()
        page.keyboard.press(key)
        expect(page.locator("[data-leaks-said]")).to_contain_text(left)
    with reading(database) as session:
        decisions = sorted(flag.decision.value for flag in session.exec(select(LeakFlag)))
    assert decisions == ["exclude", "keep", "redact"]
    page.goto(f"/studies/{draft.id}")
    page.get_by_role("button", name="Open", exact=True).click()
    expect(page.locator("h1 .badge")).to_have_text("open")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
def test_the_page_is_readable_everywhere(page_for, alice, draft, server, axe, picture, width, scheme):
    page = page_for(alice, width=width, height=900, color_scheme=scheme)
    page.goto(f"/studies/{draft.id}/leaks")
    page.get_by_role("button", name="Scan now").click()
    expect(page.locator("[data-leak]")).to_have_count(3)
    axe(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    picture(page, f"leaks-{width}-{scheme}")
