"""Time and guidelines in a real browser: active time by a clock the test sets, breaks, pace, what is docked beside."""

import re
from datetime import timedelta

import pytest
from playwright.sync_api import expect

from app.db import reading, writing
from models import Membership, Study
from tests.browser.judging_help import SAVED, press, revisions, start
from tests.factories import fill_study

MINUTE = 60_000


@pytest.fixture
def filled(database, study):
    with writing(database) as session:
        fill_study(session, study)
    return study


@pytest.fixture
def clocked(page_for, bob, filled):
    """Bob on his first item, with a clock that goes on by itself and may be moved."""
    page = page_for(bob)
    page.clock.install()
    return start(page)


def work(page, minutes):
    """Use the page every 20 s."""
    for _ in range(round(minutes * 3)):
        press(page, "Shift")
        page.clock.run_for(20_000)


def saved_draft(page, database):
    press(page, "Enter", "3")
    page.clock.run_for(1_000)
    expect(page.locator("#save-state")).to_have_text(SAVED)
    return revisions(database, kind="draft")[-1]


def test_active_time_counts_work_up_to_thirty_seconds_after_a_sign_of_life(clocked, database):
    work(clocked, 3)
    clocked.clock.run_for(10 * MINUTE)
    draft = saved_draft(clocked, database)
    # Three minutes of work with a sign of life every 20 s, then 10 s until the last one is 30 s old.
    assert 3 * MINUTE <= draft.active_ms <= 3 * MINUTE + 20_000
    assert 13 * MINUTE <= draft.wall_ms <= 13 * MINUTE + 30_000


@pytest.mark.parametrize(
    "away",
    [
        "Object.defineProperty(document, 'visibilityState', {value: 'hidden', configurable: true})",
        "document.hasFocus = () => false",
    ],
    ids=["hidden", "unfocused"],
)
def test_a_tab_that_is_hidden_or_without_focus_is_not_work(clocked, database, away):
    work(clocked, 1)
    clocked.evaluate(f"{away}; document.dispatchEvent(new Event('visibilitychange'))")
    work(clocked, 5)
    clocked.evaluate("delete document.visibilityState; delete document.hasFocus")
    draft = saved_draft(clocked, database)
    assert 1 * MINUTE <= draft.active_ms <= 1 * MINUTE + 15_000
    assert draft.wall_ms >= 6 * MINUTE


def test_a_break_is_suggested_after_25_active_minutes_and_put_away(clocked, axe):
    hint = clocked.locator("#break-hint")
    work(clocked, 24)
    expect(hint).to_be_hidden()
    work(clocked, 2)
    expect(hint).to_be_visible()
    hint.get_by_role("button", name="Dismiss").click()
    expect(hint).to_be_hidden()
    work(clocked, 20)
    expect(hint).to_be_hidden()
    work(clocked, 6)
    expect(hint).to_be_visible()


def test_a_sitting_goes_on_over_items_and_ends_with_a_pause(clocked):
    work(clocked, 15)
    clocked.reload()
    expect(clocked.locator(".judging[data-js]")).to_be_visible()
    work(clocked, 11)
    expect(clocked.locator("#break-hint")).to_be_visible()
    clocked.locator("#break-hint button").click()
    work(clocked, 20)
    clocked.clock.run_for(10 * MINUTE)
    work(clocked, 20)
    expect(clocked.locator("#break-hint")).to_be_hidden()


def test_the_pace_is_told_from_ones_own_active_time(clocked):
    page = clocked
    expect(page.locator(".judging-count")).to_have_text("Item 1 of 3")
    work(page, 2.7)
    press(page, "Enter", *[key for _ in range(10) for key in ("3", "ArrowDown")], "1")
    press(page, "Control+Enter")
    expect(page).to_have_title("Item 2 of 3 · Tuneshift")
    # Two items are left, each of them two minutes and two thirds.
    expect(page.locator(".judging-count")).to_have_text("Item 2 of 3, about 6 min left")


def test_guidelines_are_docked_sized_by_hand_and_marked_as_read(page_for, bob, filled, database, axe):
    page = start(page_for(bob, width=1400))
    with writing(database) as session:
        study = session.get_one(Study, filled.id)
        study.guidelines, study.guideline_version = "# Rules\n\n**Read** both.", study.guideline_version + 1
        seen = session.get_one(Membership, (filled.id, bob.id)).guideline_seen
    assert seen < study.guideline_version
    page.reload()
    button = page.locator("button[aria-controls=guidelines]")
    expect(button).to_have_text(re.compile("changed"))
    with page.expect_response("**/seen"):
        press(page, "g")
    panel = page.get_by_role("complementary", name="Guidelines")
    expect(panel.get_by_role("heading", name="Rules")).to_be_visible()
    expect(panel.locator("strong")).to_have_text("Read")
    expect(panel).to_contain_text(f"Version {study.guideline_version}")
    expect(panel.get_by_role("heading", name="Helpfulness")).to_be_attached()
    expect(button).not_to_have_text(re.compile("changed"))
    axe(page)
    with reading(database) as session:
        assert session.get_one(Membership, (filled.id, bob.id)).guideline_seen == study.guideline_version
    # The work moves aside for the panel, however wide it is made.
    handle = panel.get_by_role("separator")
    before = panel.bounding_box()["width"]
    handle.focus()
    press(page, "ArrowLeft", "ArrowLeft")
    assert panel.bounding_box()["width"] > before
    answers = page.locator(".answer[data-side=right]").bounding_box()
    assert answers["x"] + answers["width"] <= panel.bounding_box()["x"]
    box = handle.bounding_box()
    page.mouse.move(box["x"] + 6, 400)
    page.mouse.down()
    page.mouse.move(box["x"] - 94, 400, steps=4)
    page.mouse.up()
    wide = panel.bounding_box()["width"]
    assert wide > before + 100
    page.reload()
    press(page, "g")
    assert panel.bounding_box()["width"] == pytest.approx(wide, abs=2)
    expect(button).not_to_have_text(re.compile("changed"))


def test_the_item_stays_reserved_while_it_is_used_and_only_then(clocked, settings):
    beats = []
    clocked.on("request", lambda request: beats.append(request.url) if "heartbeat" in request.url else None)
    third = timedelta(minutes=settings.lease_minutes) / 3 / timedelta(milliseconds=1)
    press(clocked, "Shift")
    with clocked.expect_request(lambda request: "heartbeat" in request.url):
        clocked.clock.run_for(third + 1_000)
    assert len(beats) == 1
    clocked.clock.run_for(third * 2)
    clocked.wait_for_timeout(200)
    assert len(beats) == 1
