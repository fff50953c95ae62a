"""Setting a study up in a real browser: from a preset, with a preview that follows, by keyboard, in every size."""

import re

import pytest
from playwright.sync_api import expect
from sqlmodel import select

from app.db import reading
from app.studies.questions import read_questions
from models import Item, Study


def test_a_study_is_made_from_a_preset_and_its_preview_follows(page_for, alice, database, axe, picture):
    page = page_for(alice, width=1600, height=1000)
    page.goto("/studies")
    page.get_by_role("link", name="New study").first.click()
    expect(page).to_have_title("New study · Tuneshift")
    page.locator("[name=name]").fill("Kettles and rivers")
    page.locator("#prompts").fill("Why is the sky blue?\nName two rivers.")
    for name in ("lft", "sft"):
        box = page.get_by_role("checkbox", name=name, exact=True)
        if box.count() and not box.first.is_checked():
            box.first.check(force=True)
    expect(page.locator("#preview")).to_contain_text("Helpfulness")
    axe(page)
    picture(page, "setup-new")
    page.get_by_role("button", name=re.compile("^(Save|Make)")).first.click()
    page.wait_for_url(re.compile(r"/studies/\w+/setup\?saved="))
    with reading(database) as session:
        study = session.exec(select(Study).where(Study.name == "Kettles and rivers")).one()
        prompts = session.exec(select(Item.prompt).where(Item.study_id == study.id).order_by(Item.position)).all()
        assert read_questions(study.questions).names[0] == "helpfulness"
    assert list(prompts) == ["Why is the sky blue?", "Name two rivers."]


def tab_to(page, found, limit=120):
    """Press Tab until something is focused, as somebody without a mouse would."""
    for _ in range(limit):
        if found.evaluate("element => element === document.activeElement"):
            return
        page.keyboard.press("Tab")
    pytest.fail(f"Tab does not reach {found}")


def test_a_study_is_made_from_a_preset_by_keyboard_alone(page_for, alice, database):
    page = page_for(alice)
    page.goto("/studies")
    tab_to(page, page.get_by_role("link", name=re.compile("^Original against simplified data")))
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_label("Name", exact=True))
    page.keyboard.type("Plain words")
    tab_to(page, page.get_by_label(re.compile("^One per line")))
    page.keyboard.type("Why does bread rise?")
    page.keyboard.press("Enter")
    page.keyboard.type("Name two rivers.")
    tab_to(page, page.get_by_role("button", name="Add an arm"))
    page.keyboard.press("Enter")
    # The new row is where the work goes on.
    expect(page.locator("#arm_checkpoint-1")).to_be_focused()
    page.keyboard.type("sft")
    expect(page.locator("#work")).to_contain_text("2 items \N{MULTIPLICATION SIGN} 1 pair")
    page.keyboard.type(" ")
    tab_to(page, page.get_by_role("button", name="Add a question"))
    page.keyboard.press("Enter")
    expect(page.locator("#question_question-0")).to_be_focused()
    page.keyboard.type("What is no merit?")
    page.keyboard.press("Tab")
    page.keyboard.type("Length")
    page.keyboard.press("Enter")
    page.keyboard.type("Truth")
    tab_to(page, page.get_by_role("button", name="Add a dimension"))
    page.keyboard.press("Enter")
    expect(page.locator("#dimension_title-3")).to_be_focused()
    page.keyboard.press("Shift+Tab")
    expect(page.get_by_role("button", name="Remove Dimension 4")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Add a dimension")).to_be_focused()
    tab_to(page, page.get_by_role("button", name="Save the draft"))
    page.keyboard.press("Enter")
    expect(page.get_by_text("Saved.", exact=True)).to_be_visible()
    with reading(database) as session:
        study = session.exec(select(Study)).one()
        assert (study.preset, study.comprehension[0]["choices"]) == ("simplified", ["Length", "Truth"])
        assert read_questions(study.questions).names == ("clarity", "completeness", "factuality")


def test_a_mistake_is_said_beside_its_field_on_a_phone_in_both_themes(page_for, alice, server, axe, picture):
    server.expected.append("status of 422")
    for scheme in ("light", "dark"):
        page = page_for(alice, width=400, height=860, color_scheme=scheme)
        page.goto("/studies/new?preset=causal")
        page.get_by_label("Judgments per item and pair").fill("0")
        page.get_by_role("button", name="Save the draft").click()
        expect(page.locator("#overlap-error")).to_contain_text("A whole number from 1 to 100")
        expect(page.locator("#name-error")).to_contain_text("A study needs a name.")
        axe(page)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        picture(page, f"setup-refused-400-{scheme}")


def test_a_study_is_made_without_scripts(page_for, alice, database):
    page = page_for(alice, java_script_enabled=False)
    page.goto("/studies/new?preset=methods")
    page.get_by_label("Name", exact=True).fill("No scripts")
    page.get_by_role("button", name="Add a question").click()
    page.get_by_label("Question", exact=True).fill("Ready?")
    page.get_by_label("Choices, one per line").fill("No\nYes")
    page.get_by_role("button", name="Preview").click()
    expect(page.locator(".setup-preview")).to_contain_text("Ready?")
    page.get_by_role("button", name="Save the draft").click()
    with reading(database) as session:
        assert session.exec(select(Study.name)).one() == "No scripts"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
def test_the_form_and_the_overview_are_readable_everywhere(page_for, alice, study, axe, picture, width, scheme):
    page = page_for(alice, width=width, height=900, color_scheme=scheme)
    for name, path in (
        ("new", "/studies/new"),
        ("overview", f"/studies/{study.id}"),
        ("setup", f"/studies/{study.id}/setup"),
    ):
        page.goto(path)
        axe(page)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        picture(page, f"setup-{name}-{width}-{scheme}")


def test_leaving_with_unsaved_work_asks_first(page_for, alice):
    page = page_for(alice)
    page.goto("/studies/new")
    page.locator("[name=name]").fill("Half a thought")
    asked = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    page.goto("/studies")
    assert asked == ["beforeunload"]
