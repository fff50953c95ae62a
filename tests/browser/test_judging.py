"""Judging in a real browser: by keyboard alone, with a server that fails, in every size and both themes."""

import csv
import io
import json
import re

import pytest
from playwright.sync_api import expect
from sqlmodel import select

from app.accounts.passwords import hash_password
from app.db import reading, writing
from app.studies.rules import DEFAULT_GUIDELINES
from models import Revision, RevisionKind, Span, Study, StudyState, User
from tests.browser.judging_help import SAVED, drag, press, revisions, start
from tests.browser.rest import comes_to, comes_true
from tests.factories import PASSWORD, fill_study, make_member, make_study

TEXT = (
    "{arm}. Bread rises because yeast eats sugar 🍞 and gives off gas.\r\n\r\n"
    "Louis Pasteur showed this in 1857, which surprised nobody.\n" + "Knead, wait, bake and taste it again. " * 40
)
PROMPTS = ("Why does bread rise?", "Name two rivers.", "What is a kettle? " * 12)


@pytest.fixture
def bakery(database, alice, bob):
    with writing(database) as session:
        study = make_study(session, owner=alice, slug="bakery", name="Kitchen questions", guidelines=DEFAULT_GUIDELINES)
        make_member(session, study=study, user=bob, pid="a5")
        fill_study(session, study, prompts=PROMPTS, text=TEXT)
    return study


@pytest.fixture
def judging(page_for, bob, bakery):
    """Bob on his first item."""

    return lambda **options: start(page_for(bob, **options))


def rate_everything(page, left="4", right="2"):
    press(page, "Enter")
    for digit in left * 5 + right * 5:
        press(page, digit, "ArrowDown")
    # The preference opens when both were read to the end.
    press(page, *["PageDown"] * 5)


def test_three_items_by_keyboard_alone(page_for, bob, alice, bakery, database):
    page = page_for(bob)
    clicks = []
    page.expose_function("clicked", lambda: clicks.append(1))
    page.add_init_script("addEventListener('mousedown', () => window.clicked(), true)")
    page.goto("/judge")
    for title, button in (("Judge", "Read the guidelines"), ("Guidelines", "I have read them"), ("Judge", "Start")):
        expect(page).to_have_title(f"{title} · Tuneshift")
        expect(page.locator("[data-autofocus]", has_text=button)).to_be_focused()
        press(page, "Enter")
    typed = []
    for at, (left, right, key, preference) in enumerate(
        [("5", "1", "1", "left"), ("3", "4", "2", "right"), ("2", "2", "4", "tie_bad")], start=1
    ):
        expect(page).to_have_title(f"Item {at} of 3 · Tuneshift")
        expect(page.locator(".judging[data-js]")).to_be_visible()
        if at == 1:
            # Mark "yeast eats sugar" in A: from the seventh word on, then major, a kind, a note.
            press(page, "m", *["ArrowRight"] * 6, "Shift+ArrowRight", "Shift+ArrowRight", "Enter")
            expect(page.locator("#span-dialog")).to_be_visible()
            press(page, "ArrowRight", "Tab", "ArrowRight", "Tab")
            page.keyboard.type("it feeds on it")
            press(page, "Enter")
            expect(page.locator("#span-dialog")).to_be_hidden()
            press(page, "Escape")
        rate_everything(page, left, right)
        press(page, key)
        typed.append((left, right, preference))
        expect(page.locator("#save-state")).to_have_text(SAVED)
        press(page, "Control+Enter")
    expect(page.get_by_text("That was the last one. Thank you.")).to_be_visible()
    assert clicks == []

    download = page_for(alice).request.get(f"/studies/{bakery.id}/export/preferences.csv").text()
    rows = sorted(csv.DictReader(io.StringIO(download, newline="")), key=lambda row: row["submitted_at"])
    assert [row["preference_raw"] for row in rows] == [preference for _, _, preference in typed]
    assert all(0 < int(row["active_ms"]) <= int(row["wall_ms"]) for row in rows)
    ratings = page_for(alice).request.get(f"/studies/{bakery.id}/export/ratings.csv").text()
    given = {}
    for row in csv.DictReader(io.StringIO(ratings, newline="")):
        given.setdefault((row["presentation_id"], row["side"]), []).append(row["value"])
    assert [(given[row["presentation_id"], "left"], given[row["presentation_id"], "right"]) for row in rows] == [
        ([left] * 5, [right] * 5) for left, right, _ in typed
    ]
    marks = page_for(alice).request.get(f"/studies/{bakery.id}/export/hallucinations.jsonl").text()
    (mark,) = [json.loads(line) for line in marks.splitlines()]
    assert (mark["quote"], mark["severity"], mark["type"], mark["note"]) == (
        "yeast eats sugar", "major", "invented", "it feeds on it",
    )  # fmt: skip
    assert mark["side"] == "left"
    assert mark["presentation_id"] == rows[0]["presentation_id"]


def test_a_drag_marks_whole_words_beyond_an_emoji_and_alt_marks_exactly(judging, database):
    page = judging()
    drag(page, "right", "ves o")
    expect(page.locator("#span-quote")).to_have_text("gives off")
    page.get_by_role("button", name="Mark it").click()
    expect(page.locator("#span-quote")).to_be_hidden()
    drag(page, "right", "ast", after="Louis P", alt=True)
    expect(page.locator("#span-quote")).to_have_text("ast")
    page.get_by_label("major: misleads").check()
    page.get_by_role("button", name="Mark it").click()
    expect(page.locator("#save-state")).to_have_text(re.compile("rev [12]"))
    expect(page.locator(".answer[data-side=right] mark")).to_have_text(["gives off", "ast"])
    comes_true(page, "document.querySelector('#save-state').textContent.startsWith('saved')")
    with reading(database) as session:
        newest = session.exec(select(Revision).order_by(Revision.number.desc())).first()
        spans = session.exec(select(Span).where(Span.revision_id == newest.id).order_by(Span.position)).all()
    assert [(span.quote, span.severity.value) for span in spans] == [("gives off", "minor"), ("ast", "major")]
    assert spans[0].prefix.endswith("yeast eats sugar 🍞 and ")
    assert spans[1].start > spans[0].end
    page.reload()
    expect(page.locator(".answer[data-side=right] mark")).to_have_text(["gives off", "ast"])
    page.get_by_role("button", name="Delete mark: ast").click()
    expect(page.locator(".answer[data-side=right] mark")).to_have_text(["gives off"])
    press(page, "Control+z")
    expect(page.locator(".answer[data-side=right] mark")).to_have_text(["gives off", "ast"])


def test_a_failed_save_keeps_the_work_and_blocks_leaving(judging, server, database):
    server.expected += ["503", "net::ERR_FAILED"]
    page = judging()
    asked = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    page.route("**/draft", lambda route: route.fulfill(status=503, body="busy"))
    press(page, "Enter", "5")
    expect(page.locator("#save-banner")).to_contain_text("Not saved")
    expect(page.locator("#save-state")).to_have_text("not saved")
    here = page.url
    page.get_by_role("link", name="Judge", exact=True).click()
    page.wait_for_timeout(300)
    assert page.url == here
    page.evaluate("location.reload()")
    comes_to(page, lambda: set(asked), {"beforeunload"})
    assert revisions(database, RevisionKind.DRAFT) == []
    page.unroute("**/draft")
    page.get_by_role("button", name="Try again now").click()
    expect(page.locator("#save-state")).to_have_text(SAVED)
    expect(page.locator("#save-banner")).to_be_hidden()
    assert [r.ratings for r in revisions(database, RevisionKind.DRAFT)] == [{"left": {"helpfulness": 5}, "right": {}}]


def test_a_submission_whose_answer_was_lost_is_stored_once(judging, server, database):
    server.expected += ["net::ERR_CONNECTION_RESET", "net::ERR_FAILED"]
    page = judging()
    lost = []

    def lose_first_answer(route):
        answer = route.fetch()
        if not lost:
            lost.append(answer.json()["revision"])
            route.abort("connectionreset")
            return
        route.fulfill(response=answer)

    page.route("**/submit", lose_first_answer)
    rate_everything(page)
    press(page, "1", "Control+Enter")
    expect(page).to_have_title("Item 2 of 3 · Tuneshift")
    assert lost
    assert len(revisions(database)) == 1


def test_work_survives_a_browser_that_closed_before_it_was_saved(page_for, bob, judging, server, database):
    server.expected += ["net::ERR_FAILED"]
    page = judging()
    page.route("**/draft", lambda route: route.abort())
    rate_everything(page)
    expect(page.locator("#save-banner")).to_be_visible()
    context, url = page.context, page.url
    page.close(run_before_unload=False)
    again = context.new_page()
    again.goto(url)
    expect(again.locator("#save-state")).to_have_text(SAVED)
    assert again.locator(".rating input:checked").count() == 10
    assert len(revisions(database, RevisionKind.DRAFT)[-1].ratings["right"]) == 5


def test_a_reload_while_a_draft_is_under_way_is_no_conflict_with_oneself(judging, server, database):
    server.expected += ["net::ERR_FAILED"]
    page = judging()
    arrived = []

    def store_but_never_answer(route):
        arrived.append(route.fetch().json()["revision"])
        route.abort()

    page.route("**/draft", store_but_never_answer, times=1)
    press(page, "Enter", "5")
    expect(page.locator("#save-banner")).to_be_visible()
    assert arrived == [1]
    context, url = page.context, page.url
    page.close(run_before_unload=False)
    again = context.new_page()
    again.goto(url)
    expect(again.locator("#save-state")).to_have_text(re.compile(r"rev 1"))
    press(again, "ArrowDown", "j", "4")
    expect(again.locator("#save-state")).to_have_text(re.compile(r"rev 2"))
    assert [r.number for r in revisions(database, RevisionKind.DRAFT)] == [1, 2]


def test_two_tabs_never_overwrite_each_other_in_silence(judging, server, database):
    server.expected += ["409"]
    first = judging()
    second = first.context.new_page()
    second.goto(first.url)
    press(first, "Enter", "5")
    expect(first.locator("#save-state")).to_have_text(SAVED)
    press(second, "Enter", "1")
    compare = second.get_by_role("dialog", name="Two versions of your answer")
    expect(compare.get_by_role("row", name="Helpfulness of A")).to_have_text(re.compile("differs\\s*1\\s*5"))
    expect(second.locator("#save-banner")).to_contain_text("Revision 1 of this answer was saved elsewhere")
    compare.get_by_role("button", name="Keep mine").click()
    expect(second.locator("#save-state")).to_have_text(re.compile(r"rev 2"))
    assert [r.ratings["left"]["helpfulness"] for r in revisions(database, RevisionKind.DRAFT)] == [5, 1]
    press(first, "4")
    expect(first.get_by_role("dialog", name="Two versions of your answer")).to_be_visible()
    press(first, "Escape")
    expect(first.locator("#save-state")).to_have_text("not saved")
    first.get_by_role("button", name="Compare the two versions").click()
    first.get_by_role("button", name="Take the other").click()
    expect(first.locator("input[name=left_helpfulness][value='1']")).to_be_checked()
    expect(first.locator("#save-state")).to_have_text(re.compile(r"rev 2"))
    # Even that can be taken back.
    first.get_by_role("button", name="Undo").click()
    expect(first.locator("#save-state")).to_have_text(re.compile(r"rev 3"))
    assert revisions(database, RevisionKind.DRAFT)[-1].ratings["left"]["helpfulness"] == 4


def test_a_signed_out_annotator_signs_in_beside_the_work(judging, server, bob, database, axe):
    server.expected += ["401", "422"]
    with writing(database) as session:
        session.get_one(User, bob.id).password_hash = hash_password(PASSWORD)
    page = judging()
    page.context.clear_cookies()
    press(page, "Enter", "3")
    dialog = page.get_by_role("dialog", name="Sign in again")
    expect(dialog.get_by_label("E-mail address")).to_have_value(bob.email)
    axe(page)
    page.keyboard.type("not the password")
    press(page, "Enter")
    expect(dialog.get_by_role("alert")).to_contain_text("do not belong together")
    page.keyboard.type(PASSWORD)
    press(page, "Enter")
    expect(dialog).to_be_hidden()
    expect(page.locator("#save-state")).to_have_text(SAVED)
    expect(page.locator("#save-banner")).to_be_hidden()
    expect(page.locator("input[name=left_helpfulness][value='3']")).to_be_checked()
    assert [r.ratings["left"] for r in revisions(database, RevisionKind.DRAFT)] == [{"helpfulness": 3}]


def test_signing_in_can_wait_and_is_not_asked_for_again(judging, server):
    server.expected += ["401"]
    page = judging()
    cookies = page.context.cookies()
    page.context.clear_cookies()
    press(page, "Enter", "3")
    page.get_by_role("button", name="Later").click()
    press(page, "4")
    page.wait_for_timeout(2_500)
    expect(page.get_by_role("dialog", name="Sign in again")).to_be_hidden()
    expect(page.locator("#save-banner")).to_contain_text("signed out. Your work is kept")
    page.context.add_cookies(cookies)
    page.get_by_role("button", name="I signed in elsewhere: save").click()
    expect(page.locator("#save-state")).to_have_text(SAVED)


def test_signing_out_leaves_nothing_in_the_browser_and_loses_nothing(judging, server, database):
    server.expected += ["net::ERR_FAILED"]
    page = judging()
    page.route("**/draft", lambda route: route.abort())
    press(page, "Enter", "3")
    expect(page.locator("#save-banner")).to_be_visible()
    page.locator("[data-menu] summary").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.locator("#save-banner")).to_contain_text("You are not signed out yet")
    page.unroute("**/draft")
    page.get_by_role("button", name="Sign out", exact=True).click()
    page.wait_for_url("**/login")
    assert page.evaluate("Object.keys(localStorage).filter((name) => name.includes('outbox'))") == []
    # How long somebody has been working is all that may be left, in no other tab; htmx notes which page this one is.
    assert set(page.evaluate("Object.keys(sessionStorage)")) <= {"tuneshift-sitting", "htmx-current-path-for-history"}
    assert page.evaluate("sessionStorage['htmx-current-path-for-history'] ?? '/login'") == "/login"
    assert [r.ratings["left"] for r in revisions(database, RevisionKind.DRAFT)] == [{"helpfulness": 3}]


def test_a_draft_is_saved_when_the_tab_is_hidden(page_for, bob, bakery, database):
    page = page_for(bob)
    # The clock stands still, so nothing is saved for having waited.
    page.clock.install()
    page.goto("/judge")
    page.get_by_role("button", name="Start").click()
    expect(page.locator(".judging[data-js]")).to_be_visible()
    page.clock.pause_at(page.evaluate("Date.now() / 1000 + 1"))
    press(page, "Enter", "3")
    with page.expect_response("**/draft"):
        page.evaluate(
            """() => {
              Object.defineProperty(document, 'visibilityState', {value: 'hidden', configurable: true});
              document.dispatchEvent(new Event('visibilitychange'));
            }"""
        )
    expect(page.locator("#save-state")).to_have_text(SAVED)
    assert len(revisions(database, RevisionKind.DRAFT)) == 1


def test_a_study_that_closes_meanwhile_explains_itself(judging, server, database, bakery):
    server.expected += ["409"]
    page = judging()
    with writing(database) as session:
        session.get_one(Study, bakery.id).state = StudyState.CLOSED
    press(page, "Enter", "3")
    expect(page.locator("#save-banner")).to_contain_text("This study is closed")


def test_nothing_is_submitted_while_something_is_missing(judging, database):
    page = judging()
    press(page, "Enter", "3", "Control+Enter")
    expect(page.locator("#judging-said")).to_have_text("Still missing: Clarity of A")
    assert page.evaluate("document.activeElement.name") == "left_clarity"
    assert revisions(database) == []


def test_keys_mean_one_thing_at_a_time(judging):
    page = judging()
    press(page, "5")
    assert page.locator(".judging input:checked:not([name=view])").count() == 0
    press(page, "s")
    assert page.evaluate("document.activeElement.id") == "skip_reason"
    page.keyboard.type("f g m ? 12 j")
    expect(page.locator("#skip_reason")).to_have_value("f g m ? 12 j")
    expect(page.locator("#guidelines")).to_be_hidden()
    press(page, "Escape", "g")
    expect(page.locator("#guidelines")).to_be_visible()
    press(page, "g", "?")
    expect(page.locator("#help-dialog")).to_be_visible()
    page.get_by_label("Single-key shortcuts are on").uncheck()
    press(page, "Escape", "g")
    expect(page.locator("#guidelines")).to_be_hidden()
    page.reload()
    press(page, "g")
    expect(page.locator("#guidelines")).to_be_hidden()
    # The reason typed above is saved, so nothing is missing any more.
    press(page, "Enter")
    expect(page.locator(".judging-submit")).to_be_focused()


def test_keys_of_an_input_method_are_left_alone(judging):
    page = judging()
    press(page, "Enter")
    composing = "new KeyboardEvent('keydown', {key: '5', isComposing: true, bubbles: true})"
    page.evaluate(f"document.activeElement.dispatchEvent({composing})")
    assert page.locator(".rating input:checked").count() == 0


def test_active_time_stops_when_nothing_happens(page_for, bob, bakery, database):
    page = page_for(bob)
    page.clock.install()
    page.goto("/judge")
    page.get_by_role("button", name="Start").click()
    expect(page.locator(".judging[data-js]")).to_be_visible()
    press(page, "Enter")
    page.clock.run_for(600_000)
    press(page, "4")
    page.clock.run_for(1_000)
    expect(page.locator("#save-state")).to_have_text(SAVED)
    (draft,) = revisions(database, RevisionKind.DRAFT)
    assert 600_000 <= draft.wall_ms < 700_000
    assert 20_000 <= draft.active_ms <= 40_000


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(400, 850), (1280, 720), (1600, 1000)])
def test_the_pages_are_accessible_and_pleasant(judging, alice, page_for, bakery, axe, picture, scheme, width, height):
    page = judging(width=width, height=height, color_scheme=scheme)
    press(page, "m", "ArrowRight", "Shift+ArrowRight", "Enter", "Enter", "Escape", "Enter", "4", "ArrowDown", "3")
    expect(page.locator("#save-state")).to_have_text(SAVED)
    axe(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    picture(page, f"judging-item-{width}-{scheme}")
    press(page, "m", "Enter")
    expect(page.locator("#span-dialog")).to_be_visible()
    axe(page)
    press(page, "Escape", "Escape", "g")
    axe(page)
    picture(page, f"judging-guidelines-{width}-{scheme}")
    page.goto("/judge?stay")
    axe(page)
    researcher = page_for(alice, width=width, height=height, color_scheme=scheme)
    for path, name in (("/studies", "list"), (f"/studies/{bakery.id}", "study")):
        researcher.goto(path)
        axe(researcher)
        assert researcher.evaluate("document.documentElement.scrollWidth <= innerWidth")
        picture(researcher, f"studies-{name}-{width}-{scheme}")


def test_on_a_phone_one_response_is_in_view_and_keys_follow(judging):
    page = judging(width=400, height=850)
    left, right = page.locator(".side[data-side=left]"), page.locator(".side[data-side=right]")
    expect(left).to_be_visible()
    expect(right).to_be_hidden()
    page.get_by_role("group", name="Response in view").get_by_role("radio", name="B").check()
    expect(right).to_be_visible()
    expect(left).to_be_hidden()
    press(page, "Enter")
    expect(left).to_be_visible()
    for _ in range(5):
        press(page, "3", "ArrowDown")
    expect(right).to_be_visible()


def test_the_page_is_usable_within_a_second(judging, page_for, bob):
    url = judging().url
    usable = []
    # The quickest of three first visits: what else the machine does is no part of the page.
    for _ in range(3):
        page = page_for(bob)
        page.goto(url)
        expect(page.locator(".judging[data-js]")).to_be_visible()
        usable.append(page.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"))
        page.context.close()
    assert min(usable) < 1_000
