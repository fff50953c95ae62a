import json

import pytest
from playwright.sync_api import expect

from app.db import writing
from tests.factories import make_study
from tests.web.find_help import add_arm, make_items
from tests.web.test_find import BOTH, EARLY, LATE, WORDS
from tests.web.test_find_files import record

SCHEMES = ["light", "dark"]


@pytest.fixture
def study(database, alice):
    with writing(database) as session:
        study = make_study(session, owner=alice, name="Kettles & rivers")
        items = make_items(session, study, [f"Why is kettle {at} loud?" for at in range(30)])
        add_arm(session, study, "lft", [(item, (WORDS, EARLY)) for item in items])
        add_arm(session, study, "sft", [(item, (WORDS, (LATE, BOTH)[at % 2])) for at, item in enumerate(items)])
        return study


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", [400, 1600])
def test_every_page_of_find_is_accessible_and_fits(page_for, axe, picture, alice, study, scheme, width):
    page = page_for(alice, color_scheme=scheme, width=width)
    source = f"study:{study.id}"
    for name, path in {
        "start": "/traces",
        "signed": f"/traces?source={source}&sort=peak_logprob_difference&order=far&by=n&min=x&max=",
        "hits": f"/traces?source={source}&by=content_shifted&min=1&max=",
        "types": f"/traces/types?source={source}&arm=sft",
        "table": f"/traces/table?source={source}",
        "files": "/traces/files",
        "lexicon": "/lexicon",
    }.items():
        page.goto(path)
        axe(page)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        picture(page, f"find-{name}-{width}-{scheme}")


def test_a_pattern_is_found_by_keyboard_and_its_address_says_only_what_was_asked(page_for, alice, study):
    page = page_for(alice)
    page.goto("/traces")
    page.get_by_label("Look in").select_option(f"study:{study.id}")
    page.get_by_role("button", name="Look").click()
    page.get_by_label("At least, filter 1").fill("60")
    page.keyboard.press("Enter")
    expect(page.get_by_text("15 of 60 responses")).to_be_visible()
    assert page.url.endswith(
        f"/traces?source=study%3A{study.id}&base_prompt=same_ids&sort=shifted_share&order=high"
        "&by=late_shift_share&min=60&max="
    )
    page.locator(".find-text a").first.click()
    expect(page.locator("[data-tokens]").first).to_be_visible()


def test_a_shifted_token_leads_to_its_place_in_the_response(page_for, axe, alice, study):
    page = page_for(alice)
    page.goto(f"/traces?source=study:{study.id}&arm=sft")
    page.locator(".find-text a").first.click()
    # Sections above it arrive as they come into view, and push it down.
    for section in ("sources", "branches", "shifted"):
        page.locator(f"#{section}").scroll_into_view_if_needed()
        expect(page.locator(f"#{section} h2").first).to_be_visible()
    link = page.locator('[data-token-link="5"]')
    expect(link).to_be_visible()
    axe(page)
    link.click()
    expect(page.locator('[data-tokens] [data-i="5"]').first).to_be_focused()


def test_a_file_too_large_is_refused_before_it_is_sent(page_for, alice, tmp_path, app):
    page = page_for(alice)
    page.goto("/traces/files")
    page.locator("#file").evaluate("input => { input.dataset.maxBytes = 10; }")
    path = tmp_path / "run.jsonl"
    path.write_text(json.dumps(record()) + "\n")
    page.locator("#file").set_input_files(path)
    assert "larger than the 512 MiB" in page.locator("#file").evaluate("input => input.validationMessage")


def test_a_scored_file_is_imported_and_looked_through(page_for, axe, alice, tmp_path):
    page = page_for(alice)
    page.goto("/traces/files")
    path = tmp_path / "run.jsonl"
    path.write_text("".join(json.dumps(record(at)) + "\n" for at in range(3)))
    page.locator("#file").set_input_files(path)
    page.get_by_role("button", name="Import").click()
    expect(page.get_by_text("All 3 lines are stored.")).to_be_visible()
    axe(page)
    page.get_by_role("link", name="Look through them").click()
    expect(page.locator(".find-hit")).to_have_count(3)


def test_a_new_lexicon_shows_its_progress_and_then_the_new_shares(page_for, alice, study):
    page = page_for(alice)
    page.goto("/lexicon")
    page.get_by_label("Style and discourse").fill("fast")
    page.get_by_role("button", name="Save as a new version").click()
    expect(page.get_by_text("in force")).to_be_visible()
    page.goto(f"/traces?source=study:{study.id}&by=content_shifted&min=1&max=")
    expect(page.get_by_text("0 of 60 responses")).to_be_visible()
