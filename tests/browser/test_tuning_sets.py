"""A tuning set through a real browser: sent, followed, searched, read by keyboard, on a phone and in the dark."""

import json
import re
import threading
from dataclasses import replace
from types import MappingProxyType

import pytest
from playwright.sync_api import expect

from app.tuning_sets import importing


def records(count: int) -> list[dict[str, str]]:
    return [
        {"id": f"r-{at}", "instruction": f"Question {at}?", "output": f"A kettle, number {at}."} for at in range(count)
    ]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "kettles.jsonl"
    long = {"id": "long", "instruction": "Unbroken " + "x" * 400, "output": "السماء زرقاء\n\n" + "y" * 2_000}
    path.write_text("".join(json.dumps(value) + "\n" for value in [*records(130), long]), encoding="utf-8")
    return path


def send(page, file, *, name=""):
    page.goto("/tuning-sets")
    page.get_by_label("File", exact=True).set_input_files(file)
    page.get_by_label("Name").fill(name)
    page.locator("label.chip-check", has_text="sft").click()
    page.get_by_role("button", name="Import", exact=True).click()


def test_a_set_is_imported_searched_and_read_by_keyboard(page_for, axe, alice, file, picture):
    page = page_for(alice)
    page.goto("/tuning-sets")
    axe(page)
    send(page, file)
    expect(page.get_by_role("heading", name="Instances", exact=True)).to_be_visible()
    expect(page.locator(".set-uses")).to_contain_text("sft")
    axe(page)
    picture(page, "tuning-set")
    expect(page.locator(".set-item")).to_have_count(50)
    page.keyboard.press("ArrowRight")
    expect(page).to_have_url(re.compile(r"\?from=50$"))
    # Keys are heard once the page's scripts have run.
    page.wait_for_load_state("load")
    page.keyboard.press("ArrowLeft")
    expect(page).to_have_url(re.compile(r"\?from=0$"))
    page.wait_for_load_state("load")

    page.keyboard.press("/")
    expect(page.get_by_label("Search instructions and answers")).to_be_focused()
    page.keyboard.type("Question 12")
    expect(page.get_by_role("status")).to_contain_text("11 instances")
    expect(page.locator(".set-item mark").first).to_have_text("Question")
    expect(page).to_have_url(re.compile(r"\?q=Question"))
    # The first Tab reaches the button, the second the first hit.
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Instance r-12", exact=True)).to_be_visible()
    axe(page)
    picture(page, "tuning-instance")
    page.wait_for_load_state("load")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("heading", name="Instance r-13", exact=True)).to_be_visible()
    page.wait_for_load_state("load")
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("heading", name="Instance r-12", exact=True)).to_be_visible()
    for _ in range(3):
        page.go_back()
    expect(page.get_by_label("Search instructions and answers")).to_have_value("Question 12")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_fit_a_phone_in_both_themes(page_for, axe, alice, file, picture, scheme):
    page = page_for(alice, width=400, color_scheme=scheme)
    send(page, file, name="A name of many wordsandonethatisverylongindeedwithoutanybreak")
    expect(page.get_by_role("heading", name="Instances", exact=True)).to_be_visible()
    for path in (page.url, "/tuning-sets", f"{page.url}/instances/130", f"{page.url}?q=nothing-like-this"):
        page.goto(path)
        axe(page)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        picture(page, f"tuning-sets-400-{scheme}-{len(path) % 7}")


def test_a_wrong_record_is_named_and_a_second_import_is_answered_kindly(page_for, server, axe, alice, file, tmp_path):
    server.expected.append("422")
    page = page_for(alice)
    wrong = tmp_path / "wrong.jsonl"
    wrong.write_text('{"instruction": "Why?", "output": "x"}\n{"instruction": "Why?"}\n')
    send(page, wrong)
    expect(page.get_by_text('wrong.jsonl, line 2: field "output" is missing')).to_be_visible()
    axe(page)
    page.get_by_role("button", name="Remove from the list").click()
    expect(page.get_by_role("heading", name="No tuning sets yet")).to_be_visible()
    send(page, file, name="First")
    expect(page.get_by_role("heading", name="Instances", exact=True)).to_be_visible()
    page.goto("/tuning-sets")
    page.get_by_text("Import a tuning set").click()
    page.get_by_label("File", exact=True).set_input_files(file)
    page.get_by_label("Name").fill("Second")
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_role("alert").filter(has_text="The same file was imported")).to_be_visible()
    expect(page.get_by_label("Name")).to_have_value("Second")
    axe(page)
    page.get_by_role("link", name="Open it").click()
    expect(page.get_by_role("heading", name="First")).to_be_visible()


def test_a_file_beyond_the_limit_is_not_even_sent(page_for, alice, file):
    page = page_for(alice)
    page.goto("/tuning-sets")
    page.locator("[data-import]").evaluate("form => form.dataset.maxBytes = '100'")
    page.get_by_label("File", exact=True).set_input_files(file)
    expect(page.get_by_text("larger than the 512 MiB this server accepts")).to_be_visible()
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page).to_have_url(re.compile(r"/tuning-sets$"))


def test_progress_survives_a_reload_and_ends_in_the_set(page_for, axe, alice, app, file, monkeypatch, picture):
    go = threading.Event()
    original = importing._check

    def slow(*args):
        facts = original(*args)
        assert go.wait(30)
        return facts

    monkeypatch.setattr(importing, "_check", slow)
    registry = app.state.engines.registry
    lft = replace(registry.checkpoints["lft"], tuning_set=file)
    app.state.engines.registry = replace(registry, checkpoints=MappingProxyType({**registry.checkpoints, "lft": lft}))
    page = page_for(alice)
    page.goto("/tuning-sets")
    axe(page)
    picture(page, "tuning-sets-offer")
    page.get_by_role("button", name="Import the set lft was tuned on").click()
    expect(page.get_by_role("progressbar")).to_be_visible()
    page.reload()
    expect(page.get_by_role("progressbar")).to_be_visible()
    axe(page)
    go.set()
    expect(page.get_by_role("heading", name="Instances", exact=True)).to_be_visible()


def test_without_javascript_everything_is_there(page_for, alice, file):
    page = page_for(alice, java_script_enabled=False)
    send(page, file)
    ready = page.get_by_role("heading", name="Instances", exact=True)
    for _ in range(150):
        if ready.count():
            break
        page.wait_for_timeout(200)
        page.reload()
    expect(ready).to_be_visible()
    page.get_by_label("Search instructions and answers").fill("12")
    page.get_by_role("button", name="Search").click()
    page.locator(".set-item").first.click()
    expect(page.get_by_role("heading", name="Instance r-12", exact=True)).to_be_visible()
    page.get_by_role("link", name="Next").click()
    expect(page.get_by_role("heading", name="Instance r-13", exact=True)).to_be_visible()
