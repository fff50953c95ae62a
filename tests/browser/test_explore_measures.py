"""Measures, thresholds, modes, charts and pins in a real browser."""

import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.scripted_engine import Script, ScriptedEngines
from tests.scripted_engine import scripted_engines as build_scripted_engines

# With the end of sequence 60 byte tokens; the cup is three of them.
TEXT = "Rayleigh scattering, in short:\n\n1. Blue goes everywhere. ☕"
N = 61
RANKS = (1, 2, 3, 4, 12)


@pytest.fixture
def scripted_engines(tmp_path: Path) -> ScriptedEngines:
    return build_scripted_engines(
        tmp_path / "tokenizer",
        base=Script(text=TEXT, base_ranks=(1,)),
        lft=Script(text=TEXT, base_ranks=RANKS),
        sft=Script(text=TEXT, base_ranks=(1, 1, 300)),
    )


@pytest.fixture
def link(alice, client_for) -> str:
    """A finished comparison of three answers."""
    client = client_for(alice)
    asked = {"prompt": "Why is the sky blue?", "checkpoints": ["base", "lft", "sft"], "max_tokens": "100"}
    link = client.post("/compare", data=asked).headers["location"]
    client.get(link.replace("/explore/", "/compare/") + "/stream")
    return link


@pytest.fixture
def page(page_for: Callable[..., Page], alice, link: str) -> Page:
    page = page_for(alice, width=1600, height=1000)
    page.goto(link)
    expect(page.locator('[data-column="2"] .uplot')).to_be_visible()
    return page


def tokens(page: Page, column: int, css: str = "") -> object:
    return page.locator(f'[data-column="{column}"] [data-tokens] > [data-i]{css}')


def counts(page: Page, column: int, bar: str = "whole") -> list[int]:
    found = page.locator(f'[data-column="{column}"] [data-bar="{bar}"] [data-count]')
    return [int(word) for word in found.all_inner_texts()]


def colours(page: Page, column: int, n: int) -> list[str]:
    """The colours of the first n tokens."""
    return tokens(page, column).evaluate_all("(all, n) => all.slice(0, n).map((one) => one.classList[0])", n)


def asked(page: Page) -> dict[str, str]:
    return {name: words[0] for name, words in parse_qs(urlsplit(page.url).query).items()}


def test_thresholds_are_edited_and_everything_follows(page: Page, page_for, alice) -> None:
    # Ranks 1, 2, 3, 4, 12 in turn over 61 tokens: 13 firsts, 12 of each other.
    assert counts(page, 1) == [13, 24, 24]
    page.get_by_role("spinbutton", name="marginal").fill("4")
    page.get_by_role("spinbutton", name="unshifted").fill("2")
    assert counts(page, 1) == [25, 24, 12]
    # The first ceil(61 / 20) = 4 tokens have the ranks 1, 2, 3, 4.
    assert counts(page, 1, "first") == [2, 2, 0]
    assert counts(page, 1, "last") == [23, 22, 12]
    for name, n in zip(("unshifted", "marginal", "shifted"), (25, 24, 12), strict=True):
        assert tokens(page, 1, f".shift-{name}").count() == n
    expect(page.locator('[data-mark="marginal"] [data-meaning]')).to_have_text("base rank 3 to 4")
    expect(page.locator('[data-mark="near border"]')).to_be_hidden()
    expect(tokens(page, 1).nth(3)).to_have_attribute("aria-label", "l, marginal, base rank 4")
    assert asked(page) == {"unshifted": "2", "marginal": "4"}
    tokens(page, 1).first.focus()
    page.keyboard.press("n")
    expect(tokens(page, 1).nth(2)).to_be_focused()
    tokens(page, 1).nth(3).click()
    expect(page.locator(".token-dock .token-marks")).to_contain_text("base rank 3 to 4")
    page.reload()
    assert counts(page, 1) == [25, 24, 12]
    # What the page counts is what the server counts.
    plain = page_for(alice, java_script_enabled=False)
    plain.goto(page.url)
    for bar in ("whole", "first", "last"):
        assert counts(plain, 1, bar) == counts(page, 1, bar)
    assert plain.locator("[data-meaning]").all_inner_texts()[:3] == page.locator("[data-meaning]").all_inner_texts()[:3]


def test_impossible_thresholds_are_refused_in_words(page: Page) -> None:
    page.get_by_role("spinbutton", name="unshifted").fill("3")
    expect(page.get_by_role("alert").filter(has_text="above")).to_have_text(
        "The largest marginal rank must be above the largest unshifted one; 3 is not above 3."
    )
    assert counts(page, 1) == [13, 24, 24]
    assert asked(page) == {}
    page.get_by_role("spinbutton", name="unshifted").fill("0")
    expect(page.get_by_text("must be a whole number from 1 to 1,000,000")).to_be_visible()
    page.get_by_role("spinbutton", name="unshifted").fill("1")
    expect(page.locator("[data-problem]")).to_be_empty()


def test_every_measure_colours_tokens_legend_and_chart(page: Page, picture, axe) -> None:
    options = page.locator("[data-controls] option").evaluate_all("all => all.map((one) => one.value)")
    assert len(options) == 9
    for name in options[1:]:
        page.get_by_label("Colour by").select_option(name)
        expect(page.locator(f'[data-legend="{name}"]')).to_be_visible()
        expect(page.locator("[data-legend]:visible")).to_have_count(1)
        expect(tokens(page, 1).nth(4)).to_have_class(re.compile(r"^(heat|div)-"))
        assert asked(page) == {"measure": name}
    picture(page, "explore-overlap-1600-light")
    page.get_by_label("Colour by").select_option("base_rank")
    # Ranks 1, 2, 3, 4 and 12 are on the levels 0, 1, 1, 2 and 3 of half decades: 1, 3.2, 10, 32.
    assert colours(page, 1, 5) == ["heat-0", "heat-1", "heat-1", "heat-2", "heat-3"]
    expect(tokens(page, 1).nth(4)).to_have_attribute("aria-label", "e, shifted, base rank 12, Rank under base 12")
    page.get_by_label("Colour by").select_option("logprob_difference")
    # ln p is -0.25 under tuned and minus the rank under base, so +0.75, +1.75, +2.75, +3.75 and +11.75.
    assert colours(page, 1, 5) == ["div-p1", "div-p2", "div-p3", "div-p3", "div-p4"]
    expect(page.locator('[data-column="1"] [data-chart-title]')).to_have_text("Logprob difference, nats")
    axe(page)
    picture(page, "explore-difference-1600-light")
    page.get_by_label("Colour by").select_option("shift_class")
    assert tokens(page, 1, ".shift-shifted").count() == 24


def test_tokenizer_mode_spells_what_cannot_be_seen(page: Page, page_for, alice, picture, axe) -> None:
    page.get_by_role("radio", name="Tokenizer").check()
    container = page.locator('[data-column="1"] [data-tokens]')
    spelled = tokens(page, 1).evaluate_all("all => all.map((one) => one.dataset.v)")
    assert "".join(spelled[9:13]) == "scat"
    assert spelled[8] == "␣"
    assert spelled[30:32] == ["⏎", "⏎"]
    assert spelled[-4:] == ["·e2", "·98", "☕·95", "<|end|>"]
    assert tokens(page, 1, "[data-twin]").count() == 0
    assert container.evaluate("one => one.textContent") == TEXT
    assert asked(page) == {"mode": "tokenizer"}
    axe(page)
    picture(page, "explore-tokenizer-1600-light")
    plain = page_for(alice, java_script_enabled=False)
    plain.goto(page.url)
    assert plain.locator('[data-column="1"] [data-i]').evaluate_all("all => all.map((one) => one.dataset.v)") == spelled


def test_the_server_draws_the_same_without_scripts(page: Page, page_for, alice) -> None:
    for query in ("measure=base_rank", "measure=logprob_difference", "measure=top_k_overlap", "unshifted=2&marginal=4"):
        page.goto(f"{urlsplit(page.url).path}?{query}")
        if "measure" in query:
            expect(tokens(page, 1).nth(4)).to_have_attribute("aria-label", re.compile(r"rank 12, \w"))
        plain = page_for(alice, java_script_enabled=False)
        plain.goto(page.url)
        assert colours(plain, 1, N) == colours(page, 1, N), query


def test_charts_and_tokens_point_at_each_other(page: Page, axe, picture) -> None:
    chart = page.locator('[data-column="1"] .u-over')
    box = chart.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 20)
    linked = tokens(page, 1, ".linked")
    expect(linked).to_have_count(1)
    index = int(linked.get_attribute("data-i"))
    # The middle of positions 1 to 61.
    assert abs(index - 30) <= 1
    expect(page.locator('[data-column="1"] [data-chart-value]')).to_have_text(f"{index + 1}: {RANKS[index % 5]}")
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 20)
    expect(page.locator(".token-dock .token-panel-title")).to_contain_text(f"Token {index + 1} of lft")
    page.mouse.move(0, 0)
    expect(linked).to_have_count(0)
    tokens(page, 1).first.focus()
    page.keyboard.press("End")
    left = page.locator('[data-column="1"] .u-cursor-x').evaluate("one => one.getBoundingClientRect().left")
    assert abs(left - (box["x"] + box["width"])) <= 2
    picture(page, "explore-chart-1600-light")


def test_charts_share_one_scale_and_have_a_table(page: Page, axe) -> None:
    page.get_by_label("KL added up").check()
    assert asked(page) == {"chart": "cumulative"}
    expect(page.locator('[data-column="1"] [data-chart-title]')).to_have_text("KL(tuned ‖ base) added up, nats")
    page.locator('[data-column="2"] .chart-table summary').click()
    rows = page.locator('[data-column="2"] .chart-table tbody tr')
    expect(rows).to_have_count(N)
    # KL is 0.1 times (rank - 1): every third token of 61 has rank 300, 20 of them.
    assert rows.last.locator("td").all_inner_texts() == ["598", "598"]
    axe(page)
    scales = page.evaluate(
        """() => [...document.querySelectorAll(".plot")].map((one) => one.getAttribute("aria-label"))"""
    )
    assert [words.split(", ")[1].split(";")[0] for words in scales] == ["base", "lft", "sft"]
    page.get_by_label("KL added up").uncheck()
    page.get_by_label("Colour by").select_option("kl_tuned_base")
    expect(page.locator('[data-column="2"] [data-table-measure]')).to_have_text("KL(tuned ‖ base)")
    assert rows.nth(2).locator("td").all_inner_texts() == ["29.9", "29.9"]


def test_pins_are_compared_side_by_side_and_kept_in_the_address(page: Page, axe, picture) -> None:
    tokens(page, 1).nth(4).click()
    page.get_by_role("button", name="Pin to compare").click()
    tokens(page, 2).nth(2).focus()
    page.keyboard.press("c")
    cards = page.locator(".pin-card")
    expect(cards.locator(".token-panel-title")).to_have_text(["Token 5 of lft: e", "Token 3 of sft: y"])
    assert asked(page) == {"pin": "1-4,2-2"}
    assert "pin=1-4,2-2" in page.url
    page.reload()
    expect(cards).to_have_count(2)
    expect(tokens(page, 1, ".pinned")).to_have_count(1)
    axe(page)
    picture(page, "explore-pins-1600-light")
    # Thresholds change what the cards say, too.
    page.get_by_role("spinbutton", name="marginal").fill("300")
    expect(cards.nth(1).locator(".token-marks")).to_contain_text("base rank 2 to 300")
    page.get_by_role("button", name="Unpin Token 5 of lft").focus()
    page.keyboard.press("Enter")
    expect(cards).to_have_count(1)
    expect(page.get_by_role("button", name="Unpin Token 3 of sft")).to_be_focused()
    page.get_by_role("button", name="Remove all").click()
    expect(page.locator("[data-pins]")).to_be_hidden()
    assert asked(page) == {"marginal": "300", "unshifted": "1"}


def test_alternatives_are_buttons_that_go_on(page: Page) -> None:
    tokens(page, 1).nth(4).click()
    form = page.locator(".token-dock form.panel-body")
    expect(form.get_by_role("checkbox", checked=True)).to_have_count(2)
    expect(form.get_by_role("button", name="Continue from a, id 97")).to_be_visible()
    form.get_by_role("button", name="Continue from a, id 97").focus()
    # What becomes of it is another test's; a run that nobody waits for would outlive this one.
    page.route("**/fork", lambda route: route.fulfill(status=204))
    with page.expect_response("**/fork") as answered:
        page.keyboard.press("Enter")
    assert answered.value.request.post_data == "token_id=97&index=4&max_tokens=100&checkpoints=lft&checkpoints=base"


def test_measures_that_cannot_be_loaded_leave_the_classes_and_a_way_back(page_for, alice, link, server, axe) -> None:
    server.expected += ["500", "Failed to load resource"]
    page = page_for(alice, width=1600, height=1000)
    page.route("**/measures?*", lambda route: route.fulfill(status=500, body="no"))
    page.goto(f"{link}?measure=base_rank")
    problem = page.locator('[data-column="1"] [data-measures-problem]')
    expect(problem).to_contain_text("The measures of this answer could not be loaded. The server answered 500.")
    assert colours(page, 1, 5) == [
        "shift-unshifted",
        "shift-marginal",
        "shift-marginal",
        "shift-shifted",
        "shift-shifted",
    ]
    axe(page)
    page.unroute("**/measures?*")
    problem.get_by_role("button", name="Try again").click()
    expect(tokens(page, 1).nth(4)).to_have_class(re.compile("^heat-3"))
    expect(problem).to_have_count(0)
    expect(page.locator('[data-column="1"] .uplot')).to_be_visible()
    assert colours(page, 1, 5) == ["heat-0", "heat-1", "heat-1", "heat-2", "heat-3"]


def test_the_keys_are_listed(page: Page, axe) -> None:
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    axe(page)
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Keys")).to_be_hidden()
    page.get_by_role("spinbutton", name="marginal").focus()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1000])
def test_measures_fit_every_size_and_theme(page_for, alice, link, axe, picture, width: int, scheme: str) -> None:
    page = page_for(alice, width=width, height=900, color_scheme=scheme)
    page.goto(f"{link}?measure=kl_tuned_base&mode=tokenizer&pin=1-4,2-2")
    expect(tokens(page, 2).nth(2)).to_have_class(re.compile(r"^heat-8"))
    page.locator('[data-column="2"] [data-chart]').scroll_into_view_if_needed()
    expect(page.locator('[data-column="2"] .uplot')).to_be_visible()
    axe(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    picture(page, f"explore-measures-{width}-{scheme}")


def test_forced_colours_and_reduced_motion_keep_the_marks(page_for, alice, link, picture) -> None:
    page = page_for(alice, width=1600, height=1000, forced_colors="active", reduced_motion="reduce")
    page.goto(f"{link}?measure=base_rank")
    last = tokens(page, 1).nth(4)
    expect(last).to_have_class(re.compile(r"^heat-3"))
    assert last.evaluate("one => getComputedStyle(one).backgroundColor") == "rgb(238, 212, 171)"
    assert last.evaluate("one => getComputedStyle(one).textDecorationLine") == "underline"
    picture(page, "explore-forced-1600")
