"""The monitor and the exclusions in a real browser: read by keyboard, updated in place, decided by a person."""

import re
from datetime import timedelta

import pytest
from playwright.sync_api import expect

from app.db import writing
from models import ExitAnswer, Preference, Study
from models.base import now
from tests.browser.rest import comes_true, in_theme
from tests.factories import add, fill_study
from tests.web.monitor_help import SKIPPED, gold, items_of, judge, minutes_ago, person, shown

L, R, GOOD, BAD = Preference.LEFT, Preference.RIGHT, Preference.TIE_GOOD, Preference.TIE_BAD


@pytest.fixture
def busy(database, study, bob):
    """A study in full swing: three honest annotators, one who always answers A, gold, leases, notes."""
    with writing(database) as session:
        one = session.get(Study, study.id)
        one.overlap, one.target, one.ends_at = 3, 90, now() + timedelta(days=2)
        fill_study(
            session, one, arms=("base", "lft", "sft"),
            prompts=tuple(f"Why does kettle number {n} whistle before it boils over the stove?" for n in range(12)),
        )  # fmt: skip
        items = items_of(session, one)
        people = [bob, person(session, one, 2), person(session, one, 3)]
        bot = person(session, one, 4)
        for which, who in enumerate(people):
            for at, item in enumerate(items[: 9 - which]):
                answer = (L, R, GOOD, R, BAD, L, L, SKIPPED, R)[(at + which) % 9]
                judge(
                    session, one, who, item, answer, at=minutes_ago(100 - 9 * at - which),
                    recognised_model=at == 4, recognised_guess="a kettle model" if at == 4 else "",
                    comment="Both miss the point." if at == 2 else "", flagged=at == 5,
                    ratings={"left": {"helpfulness": 4}, "right": {"helpfulness": 2}},
                    reading={"left": 1, "right": 0.9, "first_view_ms": 1200},
                )  # fmt: skip
        for at, item in enumerate(items[:10]):
            judge(
                session,
                one,
                bot,
                item,
                L,
                at=minutes_ago(5) + timedelta(seconds=at),
                active_ms=900,
                reading={"left": 0.2, "right": 0.1},
            )
        for at in range(2):
            item = gold(session, one, position=100 + at)
            judge(session, one, bot, item, L, left="worse", at=minutes_ago(4))
            judge(session, one, bob, item, L, left="better", at=minutes_ago(90))
        shown(session, one, people[1], items[10], at=minutes_ago(12), until=now() + timedelta(minutes=48))
        shown(session, one, people[2], items[11], at=minutes_ago(100), until=minutes_ago(40))
        add(session, ExitAnswer(study_id=one.id, user_id=bob.id, recognised_model=False))
    return study


def every_look(page, axe, picture, name):
    """Check and keep a page in light and dark, on a phone, and wide."""
    for theme in ("light", "dark"):
        in_theme(page, theme)
        axe(page)
        picture(page, f"{name}-{theme}")
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 400, "height": 800})
    comes_true(page, "document.documentElement.scrollWidth <= 400")
    picture(page, f"{name}-400")
    page.set_viewport_size({"width": 1920, "height": 1000})
    picture(page, f"{name}-wide")
    page.set_viewport_size({"width": 1280, "height": 800})


def test_the_monitor_is_read_by_keyboard_and_updates_in_place(page_for, axe, picture, alice, busy, database):
    page = page_for(alice)
    page.goto(f"/studies/{busy.id}/monitor")
    expect(page.get_by_role("heading", name="Items by annotators")).to_be_visible()
    every_look(page, axe, picture, "monitor")

    # The matrix scrolls by keyboard, its heads stay, and its cells lead to the judgments.
    page.set_viewport_size({"width": 400, "height": 700})
    matrix = page.locator("#matrix")
    matrix.focus()
    page.keyboard.press("ArrowRight")
    comes_true(page, "document.querySelector('#matrix').scrollLeft > 0")
    left = matrix.evaluate(
        "box => box.querySelector('tbody th').getBoundingClientRect().left - box.getBoundingClientRect().left"
    )
    assert 0 <= left <= 2
    scrolled = matrix.evaluate("box => box.scrollLeft")

    # An update keeps the place and shows what is new.
    page.keyboard.press("Tab")
    focused = page.evaluate("document.activeElement.id")
    assert focused.startswith("c-")
    with writing(database) as session:
        session.get_one(Study, busy.id).target = 91
    page.evaluate("htmx.trigger('#monitor', 'refresh')")
    expect(page.get_by_text("of 91 judgments")).to_be_visible()
    assert page.evaluate("document.activeElement.id") == focused
    assert matrix.evaluate("box => box.scrollLeft") == pytest.approx(scrolled, abs=60)
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/judgments/"))
    page.set_viewport_size({"width": 1280, "height": 800})
    every_look(page, axe, picture, "judgment")


def test_a_number_leads_to_its_judgments(page_for, axe, picture, alice, busy):
    page = page_for(alice)
    page.goto(f"/studies/{busy.id}/monitor")
    row = page.get_by_role("region", name="Annotators and how they judge").get_by_role("row", name="a00000000004")
    row.get_by_role("link", name="100 %").first.press("Enter")
    expect(page.get_by_role("heading", level=2)).to_contain_text("Chose left by a00000000004 10 judgments")
    expect(page.locator(".monitor-judgments tbody tr")).to_have_count(10)
    every_look(page, axe, picture, "judgments")
    page.get_by_label("Show").select_option("gold-wrong")
    page.get_by_role("button", name="Show").press("Enter")
    expect(page.get_by_role("heading", level=2)).to_contain_text("Gold items answered otherwise by a00000000004 2")
    page.get_by_label("Show").select_option("ties")
    page.get_by_role("button", name="Show").press("Enter")
    expect(page.get_by_text("None.")).to_be_visible()
    every_look(page, axe, picture, "judgments-none")


def test_an_empty_monitor_can_be_read(page_for, axe, picture, alice, study):
    page = page_for(alice)
    page.goto(f"/studies/{study.id}/monitor")
    expect(page.get_by_text("No pairs yet.")).to_be_visible()
    every_look(page, axe, picture, "monitor-empty")
    page.goto(f"/studies/{study.id}/exclusions")
    expect(page.get_by_text("No rule yet")).to_be_visible()
    every_look(page, axe, picture, "exclusions-empty")


def test_updates_stop_when_asked_and_while_nobody_looks(page_for, alice, busy):
    page = page_for(alice)
    asked = []
    page.on("request", lambda request: asked.append(request.url) if "monitor?items" in request.url else None)
    page.goto(f"/studies/{busy.id}/monitor")
    stop = page.get_by_role("button", name="Stop updating")
    stop.click()
    expect(stop).to_have_attribute("aria-pressed", "true")
    page.evaluate("htmx.trigger('#monitor', 'refresh')")
    page.wait_for_timeout(300)
    assert asked == []
    with page.expect_response(lambda answer: "monitor?items" in answer.url):
        stop.click()
    page.evaluate("Object.defineProperty(document, 'hidden', { value: true })")
    asked.clear()
    page.evaluate("htmx.trigger('#monitor', 'refresh')")
    page.wait_for_timeout(300)
    assert asked == []


def test_a_rule_is_previewed_added_and_revoked(page_for, server, axe, picture, alice, busy):
    server.expected.append("status of 422")
    page = page_for(alice)
    page.goto(f"/studies/{busy.id}/exclusions")
    page.locator("summary", has_text="Judged too fast").click()
    page.get_by_label("Least active time, seconds").fill("1")
    page.get_by_role("button", name=re.compile("Preview.*Judged too fast")).click()
    before_after = page.get_by_role("region", name="What would count before and after")
    expect(before_after.get_by_role("row", name="Judgments 34 24 10")).to_be_visible()
    every_look(page, axe, picture, "exclusions-preview")
    page.get_by_role("button", name="Add this rule").click()
    expect(page.get_by_role("row", name=re.compile("less than 1 s of active time"))).to_be_visible()
    expect(page.get_by_text("24 of 34")).to_be_visible()
    page.get_by_role("button", name=re.compile("Revoke")).press("Enter")
    expect(page.get_by_text("revoked by Alice")).to_be_visible()
    expect(page.get_by_text("34 of 34")).to_be_visible()
    every_look(page, axe, picture, "exclusions")
    # A refusal says what would be right, in place.
    page.locator("summary", has_text="Always the same answer").click()
    page.get_by_label("Share of one answer, per cent").fill("120")
    page.get_by_role("button", name=re.compile("Preview.*Always the same answer")).click()
    expect(page.get_by_role("alert")).to_contain_text("above 0 and up to 100")


def test_without_scripts_everything_works_by_plain_forms(page_for, alice, busy):
    page = page_for(alice, java_script_enabled=False)
    page.goto(f"/studies/{busy.id}/monitor")
    expect(page.get_by_role("button", name="Stop updating")).to_be_hidden()
    page.get_by_role("button", name=re.compile("Release item 11")).click()
    expect(page.get_by_text("Nobody holds an item now")).to_be_visible()
    page.get_by_role("link", name="Exclusions").first.click()
    page.locator("summary", has_text="Recognised a model").click()
    page.get_by_role("button", name=re.compile("Preview.*Recognised a model")).click()
    page.get_by_role("button", name="Add this rule").click()
    expect(page.get_by_role("row", name=re.compile("where a model was recognised"))).to_be_visible()
    page.get_by_role("button", name=re.compile("Revoke")).click()
    expect(page.get_by_text("revoked by Alice")).to_be_visible()
