"""Importing judgments made elsewhere, in a real browser: checked, refused row by row, brought in; in light and dark."""

import json

import pytest
from playwright.sync_api import expect

from app.db import writing
from app.studies.questions import Questions
from tests.browser.rest import in_theme
from tests.simulation.study import build_study


@pytest.fixture
def study(database, alice):
    with writing(database) as session:
        return build_study(session, owner=alice, arms=("lft", "sft"), items=3, questions=Questions(), name="Kettles")


def annotation(winner, **over):
    texts = {"instruction": "Question 1: why?", "output_1": "One.", "output_2": "Two."}
    return texts | {"generator_1": "lft", "generator_2": "sft", "annotator": "jo", "preference": winner} | over


def test_a_file_is_checked_refused_and_read_in_any_light(page_for, server, alice, study, axe, picture, tmp_path):
    page = page_for(alice)
    page.goto(f"{server.url}/studies/{study.id}/import")
    wrong = tmp_path / "wrong.json"
    wrong.write_text(json.dumps([annotation(3)]))
    for theme in ("light", "dark"):
        in_theme(page, theme)
        axe(page)
        page.get_by_label("File", exact=True).set_input_files(wrong)
        page.get_by_role("button", name="Check the file").click()
        result = page.locator("#import-result")
        expect(result).to_contain_text("Row 1: preference is")
        expect(result).to_contain_text("Nothing of 'wrong.json' was kept.")
        picture(page, f"import-{theme}")
        axe(page)
    page.set_viewport_size({"width": 400, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    picture(page, "import-phone")
    axe(page)


def test_an_arena_becomes_the_prompts_of_an_empty_draft(page_for, server, alice, database, axe, tmp_path):
    with writing(database) as session:
        empty = build_study(
            session, owner=alice, arms=(), items=0, questions=Questions(), name="Arena", slug="arena", state="draft"
        )
    good = tmp_path / "annotations.json"
    good.write_text(json.dumps([annotation(1.0), annotation(2.0, instruction="And why not?", annotator="kim")]))
    page = page_for(alice)
    page.goto(f"{server.url}/studies/{empty.id}/import")
    page.get_by_label("File", exact=True).set_input_files(good)
    page.get_by_label("Format").select_option("alpaca_eval")
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.locator("#import-result")).to_contain_text("2 prompts")
    axe(page)
    page.reload()
    expect(page.get_by_label("File", exact=True)).to_be_visible()
