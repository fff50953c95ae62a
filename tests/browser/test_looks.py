"""What makes pages legible, where nothing else would notice that it is gone: on a phone, with long texts."""

from playwright.sync_api import expect
from sqlmodel import select

from app.db import writing
from models import Item, Study
from tests.browser.rest import comes_to
from tests.factories import fill_study
from tests.web.results_help import simulated

PROMPT = "Consider the following paragraph and answer each question in order. " * 60
RTL = "اشرح لماذا السماء زرقاء لطفل عمره عشر سنوات."
GUIDELINES = """
| | 1 | 3 | 5 |
|---|---|---|---|
| **Helpfulness** | of no use for the question | answers part of it | does all that was asked |
| **Engagement** | mechanical or repeating | understandable with effort | lively and natural |
"""
EDGES = "one => ['start', 'end'].map((side) => parseFloat(getComputedStyle(one).getPropertyValue(`--edge-${side}`)))"
UNDER = """() => document.querySelector('#items-title').getBoundingClientRect().top
  - document.querySelector('.topbar').getBoundingClientRect().bottom"""


def test_a_phone_shows_every_link_and_the_edge_of_what_scrolls(page_for, alice, bob, database, study):
    with writing(database) as session:
        fill_study(session, study, prompts=(RTL, PROMPT))
    page = page_for(alice, width=400, height=800)
    page.goto(f"/studies/{study.id}#items-title")
    # What was jumped to stands below the top bar, not under it.
    assert page.evaluate(UNDER) >= 0
    nav = page.get_by_role("navigation", name="Main")
    assert nav.evaluate("one => one.scrollWidth <= one.clientWidth")
    cells = page.locator(".prompt-cell > div")
    assert cells.first.evaluate("one => getComputedStyle(one).direction") == "rtl"
    assert cells.nth(1).evaluate("one => one.clientHeight") < 150
    page.goto(f"/studies/{study.id}/people")
    members = page.get_by_role("region", name="Members of this study")
    assert members.evaluate("one => one.scrollWidth > one.clientWidth")
    assert members.evaluate(EDGES) == [0, 12]
    members.evaluate("one => { one.scrollLeft = one.scrollWidth }")
    comes_to(page, lambda: members.evaluate(EDGES), [12, 0])
    # Whoever only judges has one link, which needs no line of its own.
    judging = page_for(bob, width=400, height=800)
    judging.goto("/judge")
    assert judging.locator(".topbar").evaluate("one => one.clientHeight") < 60


def test_the_rows_behind_a_number_stay_short_and_the_sections_stay_in_reach(page_for, alice, database):
    study = simulated(database, alice, items=4, annotators=3, overlap=2)
    with writing(database) as session:
        for item in session.exec(select(Item).where(Item.study_id == study.id)):
            item.prompt = PROMPT
    page = page_for(alice, width=400, height=800)
    page.goto(f"/studies/{study.id}/results/judgments")
    heights = page.locator("tbody tr").evaluate_all("all => all.map((one) => one.clientHeight)")
    assert len(heights) == 8
    assert max(heights) < 150
    page.set_viewport_size({"width": 1280, "height": 800})
    page.goto(f"/studies/{study.id}/results")
    contents = page.get_by_role("navigation", name="Sections of the results")
    contents.get_by_role("link", name="Agreement").click()
    expect(contents).to_be_in_viewport()
    heading = page.get_by_role("heading", name="Agreement", exact=True)
    assert heading.bounding_box()["y"] >= contents.bounding_box()["y"] + contents.bounding_box()["height"]


def test_a_link_that_is_shown_once_is_copied_whole(page_for, alice, study):
    page = page_for(alice, permissions=["clipboard-read", "clipboard-write"])
    page.goto(f"/studies/{study.id}/people")
    page.get_by_role("button", name="Make an open link").click()
    page.get_by_role("button", name="Copy the link for Prolific").click()
    expect(page.get_by_role("button", name="Copied the link for Prolific")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == page.locator("#prolific-link").inner_text()
    assert "{{%PROLIFIC_PID%}}" in page.locator("#prolific-link").inner_text()


def test_words_of_the_guidelines_stay_whole_on_a_phone(page_for, bob, database, study):
    with writing(database) as session:
        session.get_one(Study, study.id).guidelines = GUIDELINES
    page = page_for(bob, width=400, height=800)
    page.goto("/judge")
    heads = page.locator(".prose-text tbody strong")
    expect(heads).to_have_text(["Helpfulness", "Engagement"])
    assert heads.evaluate_all("all => all.map((one) => one.getClientRects().length)") == [1, 1]
    assert page.evaluate("document.documentElement.scrollWidth") == 400
