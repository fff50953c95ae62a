"""Explore in a real browser: run, watch, inspect, by mouse and by keyboard."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from app.errors import EngineUnavailableError
from tests.scripted_engine import Script, ScriptedEngines
from tests.scripted_engine import scripted_engines as build_scripted_engines

LINES = (
    "Rayleigh scattering is why the sky looks blue. Sunlight holds every colour, and air molecules "
    "send the short, blue waves in all directions far more than the long, red ones.\r\n\n"
    "1. Blue reaches your eye from everywhere.\n2. Red mostly flies straight on.  <b>☕</b> שלום\u202e\n"
)
# Bytes are tokens here: with the end of sequence LONG has 300 of them.
LONG = LINES.replace("\r", "") + "Twice as hot is not as blue."[:26]
COUNTS = [300, 275, 300]
WIRE_BYTES = 300_000


@pytest.fixture
def scripted_engines(tmp_path: Path) -> ScriptedEngines:
    return build_scripted_engines(
        tmp_path / "tokenizer",
        base=Script(text=LONG, base_ranks=(1,), pause_s=0.002),
        lft=Script(text=LINES, base_ranks=(1,) * 17 + (5, 1, 1, 2), pause_s=0.002),
        sft=Script(text=LONG, base_ranks=(1, 1, 3, 1, 1, 1, 9, 9), pause_s=0.002),
        dies=Script(text=LONG, fail_at=12, error=EngineUnavailableError("The server went away.")),
        stalls=Script(text=LONG, stall_at=30),
    )


def run(page: Page, *extra: str) -> None:
    """Ask the three checkpoints the form has ticked, and more by name."""
    page.goto("/explore")
    for name in extra:
        page.get_by_role("checkbox", name=name).check()
    page.get_by_text("Decoding and base prompt").click()
    page.get_by_label("Max tokens").fill("300")
    page.get_by_role("textbox", name="Prompt").fill("Why is the sky blue?")
    page.keyboard.press("Control+Enter")
    page.wait_for_url("**/explore/*")


def finished(page: Page) -> None:
    expect(page.locator("[data-announce]")).to_contain_text("All columns have ended")


def tokens(page: Page, column: int, css: str = "") -> object:
    return page.locator(f'[data-column="{column}"] [data-tokens] > [data-i]{css}')


def shown_text(page: Page, column: int) -> str:
    return page.locator(f'[data-column="{column}"] [data-tokens]').evaluate("one => one.textContent")


@pytest.fixture
def ran(page_for: Callable[..., Page], alice) -> Page:
    """A finished comparison, watched from its start."""
    page = page_for(alice, width=1600, height=1000)
    run(page)
    finished(page)
    return page


def test_tokens_stream_coloured_into_three_columns(page_for, alice, picture) -> None:
    page = page_for(alice, width=1600, height=1000)
    run(page)
    expect(page.get_by_text("streaming ·")).to_have_count(3)
    picture(page, "explore-streaming-1600-light")
    finished(page)
    assert page.locator("[data-state]").all_inner_texts() == [f"done: {n} tokens · end of sequence" for n in COUNTS]
    live = [shown_text(page, column) for column in range(3)]
    assert live == [LONG, LINES, LONG]
    bar = page.locator('[data-column="1"] [data-bar="whole"] [data-count]')
    counts = [int(text) for text in bar.all_inner_texts()]
    assert counts == [tokens(page, 1, f".shift-{name}").count() for name in ("unshifted", "marginal", "shifted")]
    assert sum(counts) == COUNTS[1]
    page.reload()
    assert [shown_text(page, column) for column in range(3)] == live


def test_the_counts_follow_while_tokens_arrive(page_for, alice) -> None:
    page = page_for(alice)
    run(page, "stalls")
    expect(page.locator('[data-column="3"] [data-state]')).to_have_text("streaming · 30 tokens")
    bar = page.locator('[data-column="3"] [data-bar="whole"]')
    counts = [int(text) for text in bar.locator("[data-count]").all_inner_texts()]
    # Ranks 1, 1, 2, 7 in turn over 30 tokens: 16 first choices, 7 second ones, 7 seventh ones.
    assert counts == [16, 7, 7]
    assert bar.locator("rect").nth(0).evaluate("one => Math.round(one.getAttribute('width'))") == 53
    page.get_by_role("button", name="Stop").click()
    expect(page.locator('[data-column="3"] [data-state]')).to_have_text("stopped after 30 tokens")
    finished(page)
    expect(page.get_by_role("button", name="Stop")).to_have_count(0)
    expect(page.get_by_role("button", name="Run again")).to_be_visible()


def test_classes_are_live_and_other_measures_come_when_a_column_has_ended(page_for, alice) -> None:
    page = page_for(alice)
    run(page, "stalls")
    expect(page.locator('[data-column="3"] [data-state]')).to_have_text("streaming · 30 tokens")
    expect(page.locator('[data-column="1"] [data-state]')).to_contain_text("done")
    page.get_by_label("Colour by").select_option("base_rank")
    page.get_by_role("spinbutton", name="marginal").fill("7")
    expect(tokens(page, 1, ".heat-2").first).to_be_visible()
    # Ranks 1, 1, 2, 7 in turn: under the new thresholds none of the 30 is shifted.
    assert tokens(page, 3, ".shift-marginal").count() == 14
    assert tokens(page, 3, ".shift-shifted").count() == 0
    page.get_by_role("button", name="Stop").click()
    expect(tokens(page, 3, ".heat-2")).to_have_count(7)
    expect(page.locator('[data-column="3"] [data-bar="last"] [data-count="shifted"]')).to_have_text("0")
    expect(page.locator('[data-column="3"] a', has_text="Open this answer")).to_be_visible()
    assert page.locator('[data-column="3"] [data-tokens]').get_attribute("data-response")


def test_a_failed_column_says_so_beside_the_others_and_can_be_run_again(page_for, alice, picture, axe) -> None:
    page = page_for(alice, width=1600, height=1000)
    run(page, "dies")
    finished(page)
    failed = page.locator('[data-column="3"]')
    expect(failed).to_contain_text("failed after 12 tokens")
    expect(failed).to_contain_text("The server went away.")
    axe(page)
    picture(page, "explore-failed-1600-light")
    before = page.url
    failed.get_by_role("button", name="Run this comparison again").click()
    page.wait_for_url(lambda url: "/explore/" in url and url != before)
    finished(page)


def test_the_keyboard_reaches_every_token_through_one_tab_stop(ran: Page) -> None:
    for column in range(3):
        assert tokens(ran, column, '[tabindex="0"]').count() == 1
    tokens(ran, 1).first.focus()
    ran.keyboard.press("ArrowRight")
    expect(tokens(ran, 1).nth(1)).to_be_focused()
    ran.keyboard.press("n")
    # Ranks are 17 times 1, then 5: token 17 is the first that shifted.
    expect(tokens(ran, 1).nth(17)).to_be_focused()
    ran.keyboard.press("n")
    expect(tokens(ran, 1).nth(20)).to_be_focused()
    ran.keyboard.press("p")
    expect(tokens(ran, 1).nth(17)).to_be_focused()
    ran.keyboard.press("Enter")
    expect(ran.locator(".token-panel-title")).to_contain_text("Token 18 of lft")
    expect(ran.locator(".emitted .share-rank").first).to_have_text("rank #5")
    ran.keyboard.press("ArrowLeft")
    expect(ran.locator(".token-panel-title")).to_contain_text("Token 17 of lft")
    ran.keyboard.press("End")
    expect(ran.locator(".token-panel-title")).to_contain_text("<|end|>")
    ran.keyboard.press("Home")
    expect(tokens(ran, 1).first).to_be_focused()
    ran.keyboard.press("Escape")
    expect(ran.locator(".token-panel")).to_have_count(0)
    expect(tokens(ran, 1).first).to_be_focused()
    expect(tokens(ran, 1).first).to_have_attribute("aria-label", "R, unshifted, base rank 1")


def test_hover_shows_a_token_and_a_click_keeps_it(ran: Page) -> None:
    tokens(ran, 0).nth(40).hover()
    expect(ran.locator(".token-panel-title")).to_contain_text("Token 41 of base")
    tokens(ran, 1).nth(17).click()
    tokens(ran, 0).nth(3).hover()
    ran.wait_for_timeout(200)
    expect(ran.locator(".token-panel-title")).to_contain_text("Token 18 of lft")
    tokens(ran, 1).nth(17).click()
    expect(ran.locator(".token-panel")).to_have_count(0)


def test_selected_text_is_the_text_of_the_response(ran: Page) -> None:
    selected = ran.evaluate(
        """() => {
          const range = document.createRange();
          range.selectNodeContents(document.querySelector('[data-column="0"] [data-tokens]'));
          getSelection().addRange(range);
          return getSelection().toString();
        }"""
    )
    assert selected == LONG
    # Drags over text do not open the panel.
    tokens(ran, 0).nth(5).dispatch_event("click")
    expect(ran.locator(".token-panel")).to_have_count(0)


def test_the_stream_of_three_answers_is_light(alice, client_for) -> None:
    client = client_for(alice)
    asked = {"prompt": "Why?", "checkpoints": ["base", "lft", "sft"], "max_tokens": "300"}
    link = client.post("/compare", data=asked).headers["location"]
    stream = client.get(link.replace("/explore/", "/compare/") + "/stream")
    assert stream.text.count("data-i=") == sum(COUNTS)
    assert len(stream.content) < WIRE_BYTES / 2


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1000, 1600])
def test_every_size_and_theme_is_accessible(page_for, alice, axe, picture, width: int, scheme: str) -> None:
    page = page_for(alice, width=width, height=900, color_scheme=scheme)
    page.goto("/explore")
    axe(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    picture(page, f"explore-form-{width}-{scheme}")
    run(page)
    finished(page)
    tokens(page, 1, ".shift-shifted").nth(2).click()
    expect(page.locator(".token-panel")).to_be_visible()
    expect(tokens(page, 1, ".shift-shifted").nth(2)).to_be_in_viewport()
    axe(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    picture(page, f"explore-done-{width}-{scheme}")


def test_what_is_wrong_stays_in_the_form(page_for, server, alice, axe) -> None:
    server.expected += ["422", "Response Status Error Code"]
    page = page_for(alice)
    page.goto("/explore")
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_text("Write a prompt first.")).to_be_visible()
    axe(page)
    page.get_by_role("textbox", name="Prompt").fill("Now")
    page.keyboard.press("Control+Enter")
    page.wait_for_url("**/explore/*")


def test_without_scripts_a_comparison_runs_and_is_read(page_for, alice) -> None:
    page = page_for(alice, java_script_enabled=False)
    page.goto("/explore")
    page.get_by_role("textbox", name="Prompt").fill("Why?")
    page.get_by_role("button", name="Run").click()
    page.wait_for_url("**/explore/*")
    ended = page.locator("[data-state]").get_by_text("done:")
    for _ in range(50):
        if ended.count() == len(COUNTS):
            break
        page.get_by_role("link", name="Reload to see more of them.").click()
        page.wait_for_timeout(100)
    expect(ended).to_have_count(len(COUNTS))
    expect(page.locator('[data-column="1"] [data-tokens]')).to_contain_text("Rayleigh scattering")
