"""The saved page opened from a disk, in a browser that reaches no network."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.scripted_engine import Script, ScriptedEngines
from tests.scripted_engine import scripted_engines as build_scripted_engines

TEXT = 'Blue <b>light</b> </script><!-- scatters "most". ☕\n\nשלום'
N = len(TEXT.encode()) + 1


@pytest.fixture
def scripted_engines(tmp_path: Path) -> ScriptedEngines:
    return build_scripted_engines(
        tmp_path / "tokenizer",
        base=Script(text=TEXT, base_ranks=(1,)),
        lft=Script(text=TEXT, base_ranks=(1, 2, 3, 4, 12)),
    )


@pytest.fixture
def place(researcher: TestClient) -> str:
    sent = {"prompt": "Why is the sky blue?", "checkpoints": ["base", "lft"], "max_tokens": "100"}
    place = researcher.post("/compare", data=sent).headers["location"]
    researcher.get(f"/compare/{place.removeprefix('/explore/')}/stream")
    return place


@pytest.fixture
def offline(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """Open a file where every request to anything but a file is refused and counted."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def open_file(file: Path, *, query: str = "", **options: object) -> Page:
        context = chromium.new_context(offline=True, **{"viewport": {"width": 1500, "height": 950}} | options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        address = f"{file.as_uri()}{query}"
        page.on("request", lambda asked: complaints.append(asked.url) if asked.url != address else None)
        page.goto(address)
        return page

    yield open_file
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def file(researcher: TestClient, place: str, tmp_path: Path) -> Path:
    path = tmp_path / "answer.html"
    path.write_bytes(researcher.get(f"{place}/export.html").content)
    return path


def tokens(page: Page, column: int, css: str = "") -> object:
    return page.locator(f'[data-column="{column}"] [data-tokens] > [data-i]{css}')


def counts(page: Page, column: int) -> list[int]:
    found = page.locator(f'[data-column="{column}"] [data-bar="whole"] [data-count]')
    return [int(word) for word in found.all_inner_texts()]


def test_a_file_opens_with_its_panels_by_mouse_and_keyboard(
    offline: Callable[..., Page], file: Path, picture: Callable[[Page, str], None]
) -> None:
    page = offline(file)
    expect(page.locator('[data-column="1"] [data-tokens]')).to_have_text(TEXT, use_inner_text=False)
    tokens(page, 1).nth(4).click()
    title = page.locator("[data-dock] .token-panel-title")
    expect(title).to_have_text("Token 5 of lft: ␣")
    expect(page.locator("[data-dock] .emitted")).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(title).to_have_text("Token 6 of lft: <")
    picture(page, "share-file")
    page.keyboard.press("Escape")
    expect(title).to_have_count(0)
    tokens(page, 0).first.focus()
    page.keyboard.press("Enter")
    expect(title).to_have_text("Token 1 of base: B")


def test_charts_are_drawn_and_measures_colour(offline: Callable[..., Page], file: Path) -> None:
    page = offline(file)
    expect(page.locator('[data-column="1"] .uplot')).to_be_visible()
    page.get_by_label("Colour by").select_option("base_rank")
    expect(tokens(page, 1, ".heat-0").first).to_be_visible()
    expect(page.locator("[data-measures-problem]")).to_have_count(0)


def test_thresholds_recount_and_reach_the_panel(offline: Callable[..., Page], file: Path) -> None:
    page = offline(file)
    ranks = [(1, 2, 3, 4, 12)[at % 5] for at in range(N)]
    assert counts(page, 1) == [
        sum(rank == 1 for rank in ranks),
        sum(1 < rank <= 3 for rank in ranks),
        sum(rank > 3 for rank in ranks),
    ]
    page.get_by_role("spinbutton", name="marginal").fill("5")
    page.get_by_role("spinbutton", name="unshifted").fill("2")
    assert counts(page, 1) == [
        sum(rank <= 2 for rank in ranks),
        sum(2 < rank <= 5 for rank in ranks),
        sum(rank > 5 for rank in ranks),
    ]
    tokens(page, 1).nth(3).click()
    marks = page.locator("[data-dock] .token-marks")
    expect(marks).to_contain_text("marginal")
    expect(marks).to_contain_text("base rank 3 to 5")


def test_modes_and_pins_work_and_the_address_keeps_them(offline: Callable[..., Page], file: Path) -> None:
    page = offline(file, query="?measure=kl_tuned_base&unshifted=2&marginal=5&mode=tokenizer&pin=1-3,0-0")
    expect(page.locator("[data-pin]")).to_have_count(2)
    expect(page.locator('[data-pin="1-3"] .token-panel-title')).to_contain_text("Token 4 of lft")
    expect(page.get_by_role("radio", name="Tokenizer")).to_be_checked()
    expect(page.get_by_label("Colour by")).to_have_value("kl_tuned_base")
    expect(page.get_by_role("spinbutton", name="marginal")).to_have_value("5")
    tokens(page, 1).nth(7).focus()
    page.keyboard.press("c")
    expect(page.locator("[data-pin]")).to_have_count(3)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_file_is_accessible_in_both_themes_and_on_a_phone(
    offline: Callable[..., Page],
    file: Path,
    axe: Callable[[Page], None],
    picture: Callable[[Page, str], None],
    scheme: str,
) -> None:
    page = offline(file, color_scheme=scheme, viewport={"width": 400, "height": 800})
    page.locator('[data-column="1"] [data-chart]').scroll_into_view_if_needed()
    expect(page.locator('[data-column="1"] .uplot')).to_be_visible()
    picture(page, f"share-file-{scheme}-400")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.set_viewport_size({"width": 1500, "height": 950})
    tokens(page, 1).nth(4).click()
    expect(page.locator("[data-dock] .emitted")).to_be_visible()
    axe(page)


def test_the_theme_can_be_switched(offline: Callable[..., Page], file: Path) -> None:
    page = offline(file, color_scheme="light")
    page.get_by_role("button", name="Switch between light and dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_a_fork_is_saved_with_its_original_and_its_words(
    offline: Callable[..., Page], researcher: TestClient, place: str, tmp_path: Path
) -> None:
    responses = researcher.get(f"{place}/export.json").json()["responses"]
    original = responses[1]["response"]["id"]
    sent = {"index": "2", "token_id": "88", "checkpoints": ["lft"], "max_tokens": "40"}
    fork = researcher.post(f"/responses/{original}/fork", data=sent).headers["location"]
    researcher.get(f"/compare/{fork.removeprefix('/explore/')}/stream")
    path = tmp_path / "fork.html"
    path.write_bytes(researcher.get(f"{fork}/export.html").content)
    page = offline(path)
    expect(page.locator("[data-column]")).to_have_count(2)
    expect(page.locator("[data-verdict]")).to_have_count(1)
    expect(page.locator(".fork-facts")).to_contain_text("at token 3")
    tokens(page, 1).nth(2).click()
    expect(page.locator("[data-dock] .token-panel-title")).to_have_text("Token 3 of lft: u")


def test_the_share_menu_offers_the_three_files_and_copies_the_link(
    page_for: Callable[..., Page], alice, place: str, server
) -> None:
    page = page_for(alice, permissions=["clipboard-read", "clipboard-write"])
    page.goto(f"{place}?mode=tokenizer")
    page.get_by_text("Share", exact=True).click()
    with page.expect_download() as download:
        page.get_by_role("link", name="One row per token").click()
    assert download.value.suggested_filename.endswith(".csv")
    page.get_by_role("button", name="Copy link").click()
    expect(page.get_by_text("Link copied.")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == f"{server.url}{place}?mode=tokenizer"
