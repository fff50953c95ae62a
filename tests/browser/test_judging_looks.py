"""How the judging page holds up: two thousand words of prompt, right-to-left text, small windows, no scripts."""

import pytest
from playwright.sync_api import expect

from app.db import writing
from app.studies.rules import DEFAULT_GUIDELINES
from models import Membership, Study
from tests.browser.judging_help import SAVED, press, revisions, start
from tests.browser.rest import comes_to, comes_true
from tests.factories import fill_study

LONG_PROMPT = " ".join(["Write about bread and rivers, and how both came here."] * 200)
LONG = "{arm}. " + "Knead, wait, bake and taste it again; the crust tells how hot it was.\n\n" * 40
HEBREW = "1. מחממים את המים, לא יותר מזה, כי השמרים מתים מחום.\n2. **ללוש** היטב\n"


@pytest.fixture
def item(page_for, bob, database, study):
    """Bob on an item with this prompt and these responses."""

    def open_item(prompt="Why does bread rise?", text=LONG, **options):
        with writing(database) as session:
            fill_study(session, study, prompts=(prompt,), text=text)
        return start(page_for(bob, **options))

    return open_item


def box(page, selector):
    return page.locator(selector).first.bounding_box()


@pytest.mark.parametrize(("width", "height"), [(1280, 720), (1280, 800), (1700, 1000)])
def test_a_prompt_of_two_thousand_words_leaves_room_for_the_responses(item, picture, width, height):
    page = item(LONG_PROMPT, width=width, height=height)
    assert box(page, ".answer")["height"] > 130
    bar = box(page, ".judging-bar")
    assert bar["y"] + bar["height"] <= height + 1
    prompt = page.locator(".prompt-text")
    prompt.focus()
    press(page, "End")
    at_its_end = "(one) => one.scrollTop + one.clientHeight > one.scrollHeight - 2"
    comes_to(page, lambda: prompt.evaluate(at_its_end), wanted=True)
    picture(page, f"judge-long-{width}x{height}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_right_to_left_text_reads_from_the_right(item, axe, picture, scheme):
    page = item("למה הלחם תופח?", HEBREW, width=1700, height=1000, color_scheme=scheme)
    prompt, around = box(page, ".prompt-text"), box(page, ".judging-prompt")
    assert prompt["x"] + prompt["width"] == pytest.approx(around["x"] + around["width"], abs=1)
    number, line = box(page, ".answer .md-number"), box(page, ".answer .md-numbered")
    assert number["x"] + number["width"] == pytest.approx(line["x"] + line["width"], abs=1)
    axe(page)
    picture(page, f"judge-rtl-{scheme}")


def test_all_tools_stand_in_one_line_on_a_phone(item):
    page = item(width=400, height=800)
    tops = page.locator(".judging-tools .btn:visible").evaluate_all("(all) => all.map((one) => one.offsetTop)")
    assert len(tops) == 6
    assert len(set(tops)) == 1
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize(("width", "height"), [(400, 800), (640, 400), (800, 600)])
def test_what_has_the_focus_is_never_covered(item, width, height):
    page = item(LONG_PROMPT, width=width, height=height)
    covered = """() => {
      const { top, bottom, left, width } = document.activeElement.closest(".dot, .choice-card").getBoundingClientRect();
      return [top + 2, bottom - 2].some((y) => {
        const seen = document.elementFromPoint(left + width / 2, y);
        return !document.activeElement.parentElement.contains(seen);
      });
    }"""
    press(page, "Enter")
    names = set()
    for _ in range(11):
        comes_true(page, f"!({covered})()")
        names.add(page.evaluate("document.activeElement.name"))
        press(page, "j")
    assert len(names) == 11
    for _ in range(10):
        press(page, "k")
        comes_true(page, f"!({covered})()")


@pytest.mark.parametrize(("width", "height"), [(1280, 720), (400, 640), (640, 400)])
def test_the_list_of_keys_is_closed_without_scrolling(item, width, height):
    page = item(width=width, height=height)
    press(page, "?")
    close = page.get_by_role("dialog", name="Keys").get_by_role("button", name="Close")
    expect(close).to_be_in_viewport(ratio=1)
    close.click()
    expect(page.locator("#help-dialog")).to_be_hidden()


def test_forced_colours_leave_no_colour_of_ours_behind_text(item):
    page = item(LONG_PROMPT, forced_colors="active", color_scheme="dark")
    for place in (".answer", ".prompt-text"):
        assert page.locator(place).first.evaluate("(one) => getComputedStyle(one).backgroundImage") == "none"


def test_without_scripts_a_late_form_leads_to_both_versions(item, page_for, bob, server, database, picture):
    server.expected.append("409")
    page = item("Is water wet?", "Yes.")
    bare = page_for(bob, java_script_enabled=False)
    bare.goto(page.url)
    press(page, "Enter", "5")
    expect(page.locator("#save-state")).to_have_text(SAVED)
    for side in ("left", "right"):
        for row in bare.locator(f".side[data-side={side}] .rating").all():
            row.locator("input[value='2']").check(force=True)
    bare.locator("[name=preference][value=right]").check(force=True)
    bare.locator(".judging-submit").click()
    expect(bare.get_by_role("heading", name="Two versions of your answer")).to_be_visible()
    bare.set_viewport_size({"width": 400, "height": 800})
    row = bare.get_by_role("row").filter(has_text="Helpfulness of A")
    expect(row.get_by_role("cell")).to_have_text(["2", "5"])
    assert bare.evaluate("document.documentElement.scrollWidth <= innerWidth")
    picture(bare, "judge-versions-400")
    bare.get_by_role("button", name="Keep mine").click()
    expect(bare).to_have_title("Judge · Tuneshift")
    assert [one.ratings["left"]["helpfulness"] for one in revisions(database)] == [2]


def test_guidelines_are_laid_out_wherever_they_are_read(page_for, bob, database, study, axe):
    with writing(database) as session:
        row = session.get_one(Study, study.id)
        row.guidelines = DEFAULT_GUIDELINES + "\n\n| a | b |\n|---|---|\n| 1 | 2 |"
        session.get_one(Membership, (study.id, bob.id)).guideline_seen = 0
    page = page_for(bob)
    page.goto(f"/judge/guidelines/{study.id}")
    first, second = (page.locator(".prose-text > p").nth(at).bounding_box() for at in (0, 1))
    assert second["y"] - first["y"] - first["height"] >= 8
    assert page.locator(".prose-text td").first.evaluate("(cell) => getComputedStyle(cell).borderTopWidth") == "1px"
    axe(page)
