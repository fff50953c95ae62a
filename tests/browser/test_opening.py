"""The way to an open study in a real browser: what is to do is read, mended where the link leads, and gone."""

import pytest
from playwright.sync_api import expect
from sqlmodel import select

from app.db import writing
from models import Item, ItemKind, ItemResponse, Response, Study, StudyState
from tests.browser.test_monitor import every_look
from tests.factories import fill_study
from tests.web.monitor_help import gold, items_of, person


@pytest.fixture
def draft(database, study):
    """A draft with much to do: a hole, a response that names itself, a gold item without answer, no guidelines."""
    with writing(database) as session:
        row = session.get_one(Study, study.id)
        row.state, row.overlap, row.guidelines = StudyState.DRAFT, 5, ""
        row.comprehension = [
            {"question": "What do you judge?", "choices": ["Length", "Content"], "right": 1, "why": ""}
        ]
        fill_study(
            session, row, arms=("base", "lft", "sft"), text="{prompt} {arm}.",
            prompts=tuple(f"Why does kettle number {n} whistle before it boils over the stove?" for n in range(12)),
        )  # fmt: skip
        session.exec(select(Response)).first().text = "As an AI language model, I say that it boils."
        last = items_of(session, row)[-1]
        session.delete(session.exec(select(ItemResponse).where(ItemResponse.item_id == last.id)).first())
        gold(session, row, expected="").prompt = "Is the water of a kettle that has boiled for an hour still water?"
        person(session, row, 2)
    return study


def test_what_is_to_do_is_read_mended_and_gone(page_for, server, axe, picture, alice, draft, database):
    server.expected.append("409 (Conflict)")
    page = page_for(alice)
    page.goto(f"/studies/{draft.id}")
    opening = page.get_by_role("region", name="Before it opens")
    expect(opening.get_by_role("heading", level=2)).to_contain_text("4 things to do")
    every_look(page, axe, picture, "opening")
    # By keyboard from the heading's first link: it leads to where the thing is mended.
    opening.get_by_role("link", name="Leak flags").focus()
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_contain_text("Leak flags")
    page.get_by_role("button", name="Scan now").click()
    expect(page.locator("[data-leaks-said]")).to_contain_text("to decide")
    while page.get_by_role("button", name="Keep all").count():
        waiting = page.locator("[data-leaks-said]").inner_text()
        page.get_by_role("button", name="Keep all").first.click()
        expect(page.locator("[data-leaks-said]")).not_to_have_text(waiting)
    expect(page.locator("[data-leaks-said]")).to_contain_text("No flag waits")
    with writing(database) as session:
        row = session.get_one(Study, draft.id)
        row.guidelines, row.allow_holes = "Judge what is written.", True
        session.exec(select(Item).where(Item.study_id == row.id, Item.kind == ItemKind.GOLD)).one().expected = "better"
    page.goto(f"/studies/{draft.id}")
    expect(opening.get_by_role("heading", level=2)).to_contain_text("nothing is in the way")
    expect(opening).to_contain_text("it may open all the same")
    every_look(page, axe, picture, "opening-done")
    page.get_by_role("button", name="Open", exact=True).click()
    expect(page.locator("h1 .badge")).to_have_text("open")
    expect(page.locator("#opening-title")).to_have_count(0)
    page.get_by_role("button", name="Pause").click()
    page.get_by_text("Before it opens again").click()
    expect(page.get_by_text("1 response is missing")).to_be_visible()
    every_look(page, axe, picture, "opening-again")


def test_an_empty_draft_can_be_read_everywhere(page_for, axe, picture, alice, database, study):
    with writing(database) as session:
        row = session.get_one(Study, study.id)
        row.state, row.guidelines = StudyState.DRAFT, ""
    page = page_for(alice)
    page.goto(f"/studies/{study.id}")
    expect(page.get_by_text("It has no prompts.")).to_be_visible()
    every_look(page, axe, picture, "opening-empty")
