"""The people of a study in a real browser: looked at, stopped and restored, let in by link, judging as a guest."""

import re
from datetime import timedelta

import pytest
from playwright.sync_api import expect

from app.accounts.queries import create_invite
from app.db import writing
from models import ComprehensionAttempt, Membership, MemberState, Preference, Role, Study
from models.base import now
from tests.browser.judging_help import press, start
from tests.browser.rest import at_rest, comes_true, in_theme
from tests.factories import add, fill_study
from tests.web.monitor_help import items_of, judge, minutes_ago, person, shown

L, R = Preference.LEFT, Preference.RIGHT
CHECK = [{"question": "What counts?", "choices": ["Length", "What is written"], "right": 1, "why": ""}]


@pytest.fixture
def busy(database, study, bob, alice):
    """A study with people in every state, and invites in every state."""
    with writing(database) as session:
        one = session.get(Study, study.id)
        one.overlap, one.completion_code, one.comprehension = 6, "KETTLE-77", CHECK
        fill_study(session, one, prompts=tuple(f"Why does kettle {n} whistle?" for n in range(8)))
        items = items_of(session, one)
        people = [bob, *(person(session, one, n) for n in range(2, 7))]
        people[1].name, people[2].name = "Dana Fox", "dana fox"
        for which, who in enumerate(people):
            for at, item in enumerate(items[: 7 - which]):
                judge(session, one, who, item, (L, R)[(at + which) % 2], at=minutes_ago(60 - 5 * at))
            add(session, ComprehensionAttempt(
                study_id=one.id, user_id=who.id, number=1, answers=[1], right=1, passed=True, created_at=minutes_ago(99)
            ))  # fmt: skip
        failed = person(session, one, 7, name="Robin")
        for number in (1, 2):
            add(session, ComprehensionAttempt(
                study_id=one.id, user_id=failed.id, number=number, answers=[0], right=0, passed=False
            ))  # fmt: skip
        shown(session, one, people[1], items[7], at=minutes_ago(9), until=now() + timedelta(minutes=51))
        stopped = session.get_one(Membership, (one.id, people[3].id))
        stopped.state, stopped.told, stopped.stopped_by = MemberState.PAUSED, "Please write to us.", alice.id
        left = session.get_one(Membership, (one.id, people[4].id))
        left.state, left.told = MemberState.WITHDRAWN, "No time any more."
        session.get_one(Membership, (one.id, people[5].id)).external_id = "5f1e0c9ab7d2430018e6aa41"
        for note, days in (("the lab", 9), ("friends", -1), ("", 4)):
            create_invite(session, role=Role.ANNOTATOR, days=days, study_id=one.id, note=note, created_by=alice.id)
        session.flush()
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
    at_rest(page)
    axe(page)
    picture(page, f"{name}-400")
    page.set_viewport_size({"width": 1280, "height": 800})


def test_somebody_is_paused_and_let_go_on_by_keyboard(page_for, axe, picture, alice, bob, busy):
    page = page_for(alice)
    page.goto(f"/studies/{busy.id}")
    page.get_by_role("link", name="People and invites").click()
    expect(page.get_by_role("heading", name=re.compile("Members"))).to_be_visible()
    every_look(page, axe, picture, "people")
    page.get_by_role("link", name="a00000000001").first.press("Enter")
    expect(page.get_by_role("heading", name="Pause their part")).to_be_visible()
    every_look(page, axe, picture, "people-person")
    told = page.locator("#told-pause")
    told.fill("Please read the new guidelines first.")
    told.press("Enter")
    expect(page.get_by_role("button", name="Let them go on")).to_be_visible()
    every_look(page, axe, picture, "people-paused")

    desk = page_for(bob)
    desk.goto("/judge")
    expect(desk.get_by_text("Please read the new guidelines first.")).to_be_visible()
    every_look(desk, axe, picture, "desk-stopped")

    page.get_by_role("button", name="Let them go on").press("Enter")
    expect(page.get_by_role("heading", name="Pause their part")).to_be_visible()
    desk.reload()
    expect(desk.get_by_role("button", name=re.compile("Go on|Start"))).to_be_visible()


def test_links_are_made_shown_once_and_revoked_without_scripts(page_for, axe, picture, alice, busy):
    page = page_for(alice, java_script_enabled=False)
    page.goto(f"/studies/{busy.id}/people")
    page.get_by_label("Links to make").fill("2")
    page.get_by_label(re.compile("Note")).fill("the second lab")
    page.get_by_role("button", name="Make links", exact=True).click()
    expect(page.get_by_role("heading", name="2 new invite links")).to_be_visible()
    picture(page, "people-links")
    links = page.locator(".people-links code").all_inner_texts()
    assert len(set(links)) == 2
    page.goto(f"/studies/{busy.id}/people")
    expect(page.get_by_text(links[0])).to_have_count(0)
    with page.expect_download() as download:
        page.get_by_role("button", name="Make links and download them as CSV").click()
    assert download.value.suggested_filename == "kettles-invites.csv"
    page.get_by_role("button", name=re.compile("Revoke the invite of .* the lab")).click()
    expect(page.get_by_role("row", name=re.compile("the lab revoked"))).to_be_visible()
    page.get_by_role("button", name="Revoke all open invites").click()
    expect(page.get_by_role("button", name="Revoke all open invites")).to_have_count(0)


def test_a_participant_comes_from_a_recruiting_site_and_takes_a_code_back(
    page_for, server, axe, picture, alice, database, study
):
    with writing(database) as session:
        one = session.get(Study, study.id)
        one.completion_code = "KETTLE-77"
        one.questions = {
            "dimensions": [], "strength": False, "acceptability": False, "spans": False, "evidence": None,
            "recognised": "end",
        }  # fmt: skip
        fill_study(session, one, prompts=("Why does bread rise?",))
    page = page_for(alice)
    page.goto(f"/studies/{study.id}/people")
    page.get_by_role("button", name="Make an open link").click()
    link = page.locator(".people-links code").first.inner_text()
    every_look(page, axe, picture, "people-open-link")

    guest = page_for()
    guest.goto(f"{link.replace('http://testserver', server.url)}?PROLIFIC_PID=5f1e0c9ab7d2430018e6aa41")
    expect(guest.get_by_role("heading", name="Kettles")).to_be_visible()
    every_look(guest, axe, picture, "join")
    guest.get_by_role("button", name="Join").press("Enter")
    expect(guest.get_by_role("link", name="Read the guidelines")).to_be_visible()
    start(guest)
    guest.get_by_role("radio", name="Both good").press("Space")
    press(guest, "Control+Enter")
    expect(guest.get_by_role("link", name="Answer it")).to_be_visible()
    expect(guest.get_by_text("KETTLE-77")).to_have_count(0)
    guest.get_by_role("link", name="Answer it").click()
    guest.get_by_label("No", exact=False).first.check()
    guest.locator("main form button[type=submit]").first.click()
    expect(guest.get_by_text("KETTLE-77")).to_be_visible()
    picture(guest, "join-code")
    page.goto(f"/studies/{study.id}/people")
    expect(page.get_by_role("row", name=re.compile("guest active 1 .*5f1e0c9ab7d2430018e6aa41"))).to_be_visible()
    page.get_by_role("button", name="Stop the open link").click()
    expect(page.get_by_role("button", name="Make an open link")).to_be_visible()
    server.expected.append("status of 404")
    guest.goto(link.replace("http://testserver", server.url))
    expect(guest.get_by_text("This link is not one we know, or it has been replaced.")).to_be_visible()
