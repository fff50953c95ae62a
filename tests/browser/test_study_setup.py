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
