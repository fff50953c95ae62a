"""Click another word at a token, watch the branches, walk the tree: in a real browser."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.scripted_engine import Script, ScriptedEngines
from tests.scripted_engine import scripted_engines as build_scripted_engines

TEXT = "Blue light scatters most in the air."


@pytest.fixture
def scripted_engines(tmp_path: Path) -> ScriptedEngines:
    return build_scripted_engines(
        tmp_path / "tokenizer",
        base=Script(text=TEXT, base_ranks=(1,), pause_s=0.005),
        lft=Script(text=TEXT, base_ranks=(1, 2, 3, 4, 12), pause_s=0.005),
        sft=Script(text=TEXT, base_ranks=(1, 1, 300), pause_s=0.005),
    )


@pytest.fixture
def place(alice, client_for) -> str:
    client = client_for(alice)
    sent = {"prompt": "Why is the sky blue?", "checkpoints": ["base", "lft"], "max_tokens": "100"}
    place = client.post("/compare", data=sent).headers["location"]
    client.get(f"/compare/{place.removeprefix('/explore/')}/stream")
    return place


def token(page: Page, column: int, index: int) -> object:
    return page.locator(f'[data-column="{column}"] [data-tokens] > [data-i="{index}"]')


def go_on(page: Page, place: str, index: int, alternative: str, *others: str) -> None:
    """Open a token of lft and continue from an alternative, with some checkpoints more."""
    page.goto(place)
    token(page, 1, index).click()
    for name in others:
        page.locator("[data-dock]").get_by_role("checkbox", name=name).check()
    page.locator("[data-dock]").get_by_role("button", name=re.compile(f"^Continue from {alternative}, id")).click()
    page.wait_for_url(lambda url: "/explore/" in url and not url.endswith(place))


def test_an_alternative_goes_on_under_every_chosen_checkpoint_live(
    page_for: Callable[..., Page], alice, place: str, axe: Callable[[Page], None], picture: Callable[[Page, str], None]
) -> None:
    page = page_for(alice, width=1600, height=1000)
    go_on(page, place, 5, "a", "sft")
    expect(page.locator("[data-column]")).to_have_count(4)
    # The original first, with nothing running in it; then the branches, streamed.
    first = page.locator("[data-column]").first
    expect(first.locator("[data-state]")).to_contain_text("the original")
    expect(first.locator("[data-tokens]")).to_have_text(TEXT, use_inner_text=False)
    for column in range(3):
        expect(page.locator(f'[data-column="{column}"] [data-state]')).to_contain_text("done")
        expect(page.locator(f'[data-column="{column}"] [data-tokens]')).to_have_text(
            f"Blue a{TEXT}", use_inner_text=False
        )
        expect(page.locator(f'[data-column="{column}"] [data-verdict]')).to_be_visible()
        expect(page.locator(f'[data-column="{column}"] .given')).to_have_count(5)
        expect(token(page, column, 5)).to_have_class(re.compile("fork-point"))
    expect(page.locator(".fork-facts")).to_contain_text("at token 6: l")
    said = page.locator('[data-column="1"] [data-verdict]').inner_text()
    # Given tokens stay open to inspection.
    token(page, 1, 2).click()
    expect(page.locator("[data-dock] .token-panel-title")).to_have_text("Token 3 of lft: u")
    picture(page, "fork")
    axe(page)
    page.reload()
    expect(page.locator('[data-column="1"] [data-verdict]')).to_have_text(said)
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 400, "height": 800})
    picture(page, "fork-dark-400")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    axe(page)


def test_the_tree_is_walked_by_keyboard(
    page_for: Callable[..., Page], alice, place: str, axe: Callable[[Page], None], picture: Callable[[Page, str], None]
) -> None:
    page = page_for(alice, width=1200)
    go_on(page, place, 5, "a", "sft")
    expect(page.locator('[data-column="2"] [data-verdict]')).to_be_visible()
    page.locator(".fork-facts").get_by_role("link", name="All branches of this answer").click()
    links = page.locator("a.branch-link")
    expect(links).to_have_count(4)
    expect(links.first).to_have_attribute("aria-current", "page")
    page.wait_for_load_state("load")
    links.first.focus()
    page.keyboard.press("ArrowRight")
    expect(links.nth(1)).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(links.nth(2)).to_be_focused()
    page.keyboard.press("ArrowLeft")
    expect(links.first).to_be_focused()
    page.keyboard.press("End")
    expect(links.nth(3)).to_be_focused()
    picture(page, "branches")
    axe(page)
    page.get_by_role("spinbutton", name="Tokens to judge by").fill("4")
    page.get_by_role("button", name="Judge again").click()
    expect(page.locator("[data-verdict]").first).to_be_visible()
    assert "window=4" in page.url
    page.locator("a.branch-link").nth(1).focus()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/responses/\w+$"))
    page.locator("#branches").scroll_into_view_if_needed()
    tree = page.locator("[data-branches]")
    expect(tree.locator("a[aria-current=page]")).to_have_count(1)
    picture(page, "branches-response")


def test_run_again_asks_the_same_fork_again(page_for: Callable[..., Page], alice, place: str) -> None:
    page = page_for(alice, width=1600, height=1000)
    go_on(page, place, 5, "a")
    expect(page.locator('[data-column="0"] [data-verdict]')).to_be_visible()
    before = page.url
    page.get_by_role("button", name="Run again").click()
    page.wait_for_url(lambda url: url != before)
    expect(page.locator(".fork-facts")).to_contain_text("at token 6")
    expect(page.locator('[data-column="0"] [data-verdict]')).to_be_visible()
