"""How responses are read in a real browser: to the end, together or apart, at any size, zoom and contrast."""

import re

import pytest
from playwright.sync_api import expect

from app.db import writing
from tests.browser.judging_help import SAVED, press, revisions, start
from tests.browser.rest import comes_true
from tests.factories import fill_study

LONG = "{arm}. " + "Knead, wait, bake and taste it again.\n\n" * 60


@pytest.fixture
def judging(page_for, bob, database, study):
    with writing(database) as session:
        fill_study(session, study, text=LONG)
    return lambda **options: start(page_for(bob, **options))


def prefer(page, value):
    page.locator(f"[name=preference][value={value}]").click(force=True)


def scroll(page, side, share):
    page.locator(f".answer[data-side={side}]").evaluate(
        "(answer, share) => { answer.scrollTop = share * (answer.scrollHeight - answer.clientHeight); }", share
    )


def test_the_preference_waits_until_both_were_read_and_says_so_once(judging, database):
    page = judging()
    note = page.locator("#reading-note")
    expect(note).to_be_hidden()
    prefer(page, "left")
    expect(page.locator("[name=preference]:checked")).to_have_count(0)
    expect(note).to_contain_text("Please read A and B to the end first.")
    scroll(page, "left", 1)
    prefer(page, "left")
    expect(page.locator("[name=preference]:checked")).to_have_count(0)
    scroll(page, "right", 1)
    expect(note).to_be_hidden()
    # It stays open once both were read, wherever they are scrolled to.
    for side in ("left", "right"):
        scroll(page, side, 0)
    prefer(page, "left")
    expect(page.locator("[name=preference][value=left]")).to_be_checked()
    expect(note).to_be_hidden()
    expect(page.locator("#save-state")).to_have_text(SAVED)
    (draft,) = revisions(database, kind="draft")
    assert (draft.reading["left"], draft.reading["right"]) == (1, 1)
    assert 0 <= draft.reading["first_view_ms"] <= draft.wall_ms
    page.reload()
    prefer(page, "right")
    expect(page.locator("[name=preference][value=right]")).to_be_checked()


def test_how_far_each_side_was_read_is_recorded(judging, database):
    page = judging()
    scroll(page, "left", 0.5)
    press(page, "Enter", "3")
    expect(page.locator("#save-state")).to_have_text(SAVED)
    (draft,) = revisions(database, kind="draft")
    assert 0 < draft.reading["right"] < draft.reading["left"] < 1


def test_who_cannot_judge_need_not_read_on(judging):
    page = judging()
    prefer(page, "cannot_judge")
    expect(page.locator("[name=preference][value=cannot_judge]")).to_be_checked()


def test_the_rest_is_shown_by_the_note_and_by_page_keys(judging):
    page = judging()
    prefer(page, "left")
    for _ in range(60):
        page.locator("#reading-note").get_by_role("button", name="Show the rest").click()
        if page.evaluate("document.activeElement.dataset.side") == "right":
            break
    assert page.evaluate("document.activeElement.dataset.side") == "right"
    page.locator("[name=right_depth][value='3']").focus()
    press(page, *["PageDown"] * 30)
    expect(page.locator("#reading-note")).to_be_hidden()


def test_responses_scroll_alone_or_together(judging):
    page = judging()
    top = "(side) => document.querySelector(`.answer[data-side=${side}]`).scrollTop"
    scroll(page, "left", 0.5)
    page.wait_for_timeout(200)
    assert page.evaluate(top, "left") > 100
    assert page.evaluate(top, "right") == 0
    press(page, "l")
    expect(page.get_by_role("button", name="Scroll together")).to_have_attribute("aria-pressed", "true")
    comes_true(page, "document.querySelector('.answer[data-side=right]').scrollTop > 100")
    page.wait_for_timeout(200)
    scroll(page, "right", 1)
    both = "[...document.querySelectorAll('.answer')]"
    comes_true(page, f"(([a, b]) => a.scrollTop > b.scrollTop - 3 && b.scrollTop > 300)({both})")


def test_full_length_makes_both_equally_high_and_the_bar_stays_in_reach(judging):
    page = judging(height=900)
    page.get_by_role("button", name="Full length").click()
    boxes = [page.locator(f".answer[data-side={side}]").bounding_box() for side in ("left", "right")]
    assert boxes[0]["height"] == boxes[1]["height"] > 1_500
    assert boxes[0]["width"] == pytest.approx(boxes[1]["width"], abs=0.5)
    bar = page.locator(".judging-bar").bounding_box()
    assert bar["y"] + bar["height"] <= 901
    page.mouse.wheel(0, 900)
    expect(page.locator(".prompt-text")).to_be_in_viewport()


def test_both_responses_appear_at_the_same_moment(judging, page_for, bob):
    page = judging()
    url = page.url
    page.close()
    late = page_for(bob)
    late.route("**/js/judging.js*", lambda route: None)
    late.goto(url, wait_until="commit")
    late.wait_for_selector(".judging-columns", state="attached")
    assert late.locator(".judging-columns").evaluate("(all) => getComputedStyle(all).visibility") == "hidden"
    # A script that never comes takes nothing away.
    expect(late.locator(".judging-columns")).to_have_css("visibility", "visible")
    bare = page_for(bob, java_script_enabled=False)
    bare.goto(url)
    expect(bare.locator(".answer[data-side=right]")).to_be_visible()


@pytest.mark.parametrize(("width", "height"), [(400, 850), (700, 900), (1280, 800), (1600, 1000)])
def test_the_bar_is_always_in_reach_and_the_sides_are_equal(judging, width, height):
    page = judging(width=width, height=height)
    for _ in range(2):
        bar = page.locator(".judging-bar").bounding_box()
        assert bar["y"] + bar["height"] <= height + 1
        assert bar["height"] < height / 3
        page.mouse.wheel(0, 400)
    if width >= 900:
        boxes = [page.locator(f".side[data-side={side}]").bounding_box() for side in ("left", "right")]
        assert boxes[0]["width"] == pytest.approx(boxes[1]["width"], abs=0.5)
    else:
        expect(page.locator(".judging-switch")).to_be_in_viewport()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_at_twice_the_size_everything_is_still_there(judging, axe, picture, scheme):
    # 200 % zoom of a 1280 px window leaves 640 CSS pixels, each drawn twice.
    page = judging(width=640, height=400, device_scale_factor=2, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    axe(page)
    picture(page, f"judging-zoom-{scheme}")
    page.locator(".judging-submit").scroll_into_view_if_needed()
    expect(page.locator(".judging-submit")).to_be_in_viewport()


def test_forced_colours_and_reduced_motion_keep_every_state_visible(judging, axe, picture):
    page = judging(forced_colors="active", reduced_motion="reduce")
    press(page, "Enter", "4", "g")
    checked = page.locator(".dot:has(input:checked) > span")
    other = page.locator(".dot > span").first
    assert checked.evaluate("(e) => getComputedStyle(e).backgroundColor") != other.evaluate(
        "(e) => getComputedStyle(e).backgroundColor"
    )
    picture(page, "judging-forced-colours")
    press(page, "m")
    expect(page.locator("#judging-said")).to_have_text(re.compile("Marking in A"))


def test_the_five_values_of_the_dimension_in_focus_are_in_view(judging):
    page = judging()
    press(page, "Enter", "ArrowDown")
    shown = page.locator(".side[data-side=left] .rating:focus-within .anchors")
    expect(shown).to_be_visible()
    expect(shown.locator("li")).to_have_count(5)
    expect(page.locator(".anchors:visible")).to_have_count(1)
    described = page.evaluate(
        "document.getElementById(document.activeElement.getAttribute('aria-describedby')).textContent"
    )
    assert described == "1 hard to follow"
