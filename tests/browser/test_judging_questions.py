"""What a study asks, answered in a real browser: its own dimensions, acceptability, strength; Markdown as a look."""

import re

import pytest
from playwright.sync_api import expect
from sqlmodel import select

from app.db import reading, writing
from app.studies.questions import Dimension, Questions, write_questions
from models import Revision, RevisionKind, Span, Study
from tests.browser.judging_help import start
from tests.factories import fill_study

TEXT = "# {arm}\n\nBread **rises** because *yeast* eats `sugar` 🍞.\n\n- knead\n- wait"
ANCHORS = ("not at all", "hardly", "partly", "mostly", "wholly")
ASKED = Questions(
    dimensions=(Dimension("use_of_sources", "Use of sources", ANCHORS), Dimension("tone", "Tone", ANCHORS)),
    strength=True,
    acceptability=True,
    recognised="item",
)


@pytest.fixture
def judging(page_for, bob, database, study):
    with writing(database) as session:
        session.get_one(Study, study.id).questions = write_questions(ASKED)
        fill_study(session, study, text=TEXT)

    return lambda **options: start(page_for(bob, **options))


def submitted(database):
    with reading(database) as session:
        return session.exec(select(Revision).where(Revision.kind == RevisionKind.SUBMITTED)).all()


def test_everything_a_study_asks_is_answered_by_keyboard(judging, database, axe, picture):
    page = judging(width=1400, height=950)
    first = page.url
    page.keyboard.press("Enter")
    # Two dimensions and "acceptable" for A, then for B; the last row is the preference, and A opens its strength.
    for key in ("4", "ArrowDown", "5", "ArrowDown", "1", "ArrowDown", "2", "ArrowDown", "3", "ArrowDown", "2"):
        page.keyboard.press(key)
    page.keyboard.press("ArrowDown")
    expect(page.locator(".judging-strength")).to_be_hidden()
    page.keyboard.press("1")
    expect(page.locator(".judging-strength")).to_be_visible()
    axe(page)
    picture(page, "judge-questions")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("2")
    page.keyboard.press("Control+Enter")
    page.wait_for_url(lambda url: "/judge" in url and url != first)
    (one,) = submitted(database)
    assert one.ratings == {"left": {"use_of_sources": 4, "tone": 5}, "right": {"use_of_sources": 2, "tone": 3}}
    assert one.acceptability == {"left": True, "right": False}
    assert (one.preference.value, one.strength) == ("left", 2)


def test_an_acceptability_that_is_missing_is_named_and_focused(judging):
    page = judging(width=1400, height=950)
    for side in ("left", "right"):
        for name in ("use_of_sources", "tone"):
            page.locator(f"[name={side}_{name}][value='3']").check()
    page.locator("[name=right_acceptable][value=yes]").check()
    page.locator("[name=preference][value=tie_good]").check(force=True)
    page.keyboard.press("Control+Enter")
    expect(page.locator("#judging-said")).to_have_text(re.compile("Still missing: Acceptable"))
    assert page.evaluate("document.activeElement.name") == "left_acceptable"


def test_markdown_is_a_look_of_the_text_and_never_changes_it(judging, database, axe, picture):
    page = judging(width=1400, height=950)
    left = page.locator(".answer[data-side=left]")
    stored = page.evaluate("JSON.parse(document.getElementById('judging').dataset.item).texts.left")
    assert left.evaluate("(answer) => answer.textContent") == stored
    assert "**" not in left.inner_text()
    assert left.locator(".md-strong").first.evaluate("(bold) => getComputedStyle(bold).fontWeight") == "650"
    picture(page, "judge-markdown")
    axe(page)
    page.keyboard.press("r")
    assert "**rises**" in left.inner_text()
    assert left.evaluate("(answer) => answer.textContent") == stored
    expect(page.locator("[data-act=raw]")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("r")
    # A mark over formatted words quotes the stored characters.
    left.locator(".md-strong", has_text="rises").dblclick()
    page.get_by_role("button", name="Mark it").click()
    expect(page.locator("#save-state")).to_have_text(re.compile(r"^saved .* \(rev \d+\)$"))
    with reading(database) as session:
        (span,) = session.exec(select(Span)).all()
    assert span.quote == stored[span.start : span.end] == "rises"


def test_work_kept_in_the_browser_comes_back_with_every_answer(judging, server):
    server.expected.append("ERR_FAILED")
    page = judging(width=1400, height=950)
    page.route("**/draft", lambda route: route.abort())
    page.locator("[name=left_use_of_sources][value='5']").check()
    page.locator("[name=left_acceptable][value=no]").check()
    page.locator("[name=preference][value=right]").check(force=True)
    page.locator("[name=strength][value='1']").check(force=True)
    expect(page.locator("#save-banner")).to_be_visible()
    page.on("dialog", lambda dialog: dialog.accept())
    page.unroute("**/draft")
    page.reload()
    expect(page.locator("#save-state")).to_have_text(re.compile(r"^saved .* \(rev \d+\)$"))
    for name, value in (("left_use_of_sources", "5"), ("left_acceptable", "no"), ("strength", "1")):
        expect(page.locator(f"[name={name}][value='{value}']")).to_be_checked()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_one_side_at_a_time_and_loses_nothing(judging, axe, picture, scheme):
    page = judging(width=400, height=800, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    axe(page)
    picture(page, f"judge-questions-400-{scheme}")
