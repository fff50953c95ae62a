"""Undo and keys in a real browser: every kind of change, across items, with keys of one's own."""

import pytest
from playwright.sync_api import expect

from app.db import reading, writing
from models import User
from tests.browser.judging_help import SAVED, press, revisions, start
from tests.browser.rest import comes_to
from tests.factories import fill_study


@pytest.fixture
def judging(page_for, bob, database, study):
    with writing(database) as session:
        fill_study(session, study)
    return lambda **options: start(page_for(bob, **options))


def rate(page, digits="44444" + "22222"):
    press(page, "Enter")
    for digit in digits:
        press(page, digit, "ArrowDown")


def last_draft(database):
    """The ratings of the newest draft, or None where there is none."""
    return next((one.ratings for one in reversed(revisions(database, kind="draft"))), None)


def test_undo_takes_back_every_kind_of_change_in_turn(judging, database):
    page = judging()
    press(page, "Enter", "4", "2", "f")
    page.get_by_label("Comment").fill("half a")
    page.get_by_label("Comment").press_sequentially(" word")
    press(page, "Escape", "m", "Enter")
    page.get_by_role("button", name="Mark it").click()
    press(page, "Escape")
    expect(page.locator(".answer mark")).to_have_count(1)
    page.get_by_role("button", name="Delete mark").click()
    expect(page.locator(".answer mark")).to_have_count(0)
    press(page, "Control+z")
    expect(page.locator(".answer mark")).to_have_count(1)
    press(page, "Control+z")
    expect(page.locator(".answer mark")).to_have_count(0)
    press(page, "Control+z")
    expect(page.get_by_label("Comment")).to_have_value("")
    press(page, "Control+z")
    expect(page.get_by_label("Flag this item")).not_to_be_checked()
    press(page, "Control+z")
    expect(page.locator("[name=left_helpfulness][value='4']")).to_be_checked()
    press(page, "Control+z")
    expect(page.locator("[name=left_helpfulness]:checked")).to_have_count(0)
    expect(page.locator("#save-state")).to_have_text(SAVED)
    comes_to(page, lambda: last_draft(database), {"left": {}, "right": {}})


def test_undo_leads_back_to_the_item_before_and_its_answer(judging, database):
    page = judging()
    first = page.url
    rate(page)
    press(page, "1")
    press(page, "Control+Enter")
    expect(page).to_have_title("Item 2 of 3 · Tuneshift")
    expect(page.locator(".judging[data-js]")).to_be_visible()
    press(page, "Enter", "3")
    press(page, "Control+z")
    expect(page.locator(".rating input:checked")).to_have_count(0)
    press(page, "Control+z")
    page.wait_for_url(first)
    expect(page.locator(".toast")).to_contain_text("Back at the item you submitted before")
    expect(page.locator("[name=preference][value=left]")).to_be_checked()
    expect(page.locator(".rating input:checked")).to_have_count(10)
    press(page, "Control+z")
    expect(page.locator("[name=preference]:checked")).to_have_count(0)
    press(page, "2")
    page.locator("[name=preference][value=right]").check(force=True)
    press(page, "Control+Enter")
    expect(page).to_have_title("Item 2 of 3 · Tuneshift")
    assert [one.preference.value for one in revisions(database)] == ["left", "right"]


def test_undo_leads_back_from_the_desk_after_the_last_item(judging, database):
    page = judging()
    for at in (1, 2, 3):
        expect(page).to_have_title(f"Item {at} of 3 · Tuneshift")
        expect(page.locator(".judging[data-js]")).to_be_visible()
        last = page.url
        rate(page)
        press(page, str(at), "Control+Enter")
    page.wait_for_url("**/judge?stay")
    expect(page.locator("[data-autofocus]").or_(page.get_by_text("Thank you")).first).to_be_visible()
    press(page, "Control+z")
    page.wait_for_url(last)
    expect(page.locator("[name=preference][value=tie_good]")).to_be_checked()


def test_undo_with_nothing_to_undo_says_so_and_changes_nothing(judging, database):
    page = judging()
    here = page.url
    press(page, "Control+z")
    expect(page.locator("#judging-said")).to_have_text("There is nothing to undo.")
    assert page.url == here
    assert revisions(database, kind="draft") == []


def test_redo_brings_back_what_was_undone_until_something_new_is_said(judging, database):
    page = judging()
    redo = page.get_by_role("button", name="Redo")
    expect(redo).to_have_attribute("aria-disabled", "true")
    press(page, "Enter", "4", "2", "m", "Enter")
    page.get_by_role("button", name="Mark it").click()
    press(page, "Escape", "Control+z", "Control+z", "Control+z")
    expect(page.locator(".answer mark, .rating input:checked")).to_have_count(0)
    expect(redo).to_have_attribute("aria-disabled", "false")
    press(page, "Control+Shift+Z")
    expect(page.locator("[name=left_helpfulness][value='4']")).to_be_checked()
    # What was undone is still there after the page was loaded again.
    expect(page.locator("#save-state")).to_have_text(SAVED)
    comes_to(page, lambda: last_draft(database), {"left": {"helpfulness": 4}, "right": {}})
    page.reload()
    expect(page.locator(".judging[data-js]")).to_be_visible()
    press(page, "Control+y")
    expect(page.locator("[name=left_helpfulness][value='2']")).to_be_checked()
    press(page, "y")
    expect(page.locator(".answer mark")).to_have_count(1)
    press(page, "y")
    expect(page.locator("#judging-said")).to_have_text("There is nothing to redo.")
    press(page, "Control+z")
    page.locator("[name=right_depth][value='5']").check(force=True)
    press(page, "Control+Shift+Z")
    expect(page.locator(".answer mark")).to_have_count(0)
    expect(page.locator("[name=right_depth][value='5']")).to_be_checked()
    expect(page.locator("#save-state")).to_have_text(SAVED)
    comes_to(page, lambda: last_draft(database), {"left": {"helpfulness": 2}, "right": {"depth": 5}})


def test_in_a_field_undo_and_redo_are_those_of_the_text_and_redo_may_have_a_key_of_its_own(judging):
    page = judging()
    press(page, "Enter", "4", "f")
    page.get_by_label("Comment").press_sequentially("words")
    press(page, "Control+z")
    expect(page.get_by_label("Comment")).not_to_have_value("words")
    press(page, "Control+Shift+Z")
    expect(page.get_by_label("Comment")).to_have_value("words")
    page.get_by_label("Comment").press_sequentially(" yy")
    expect(page.get_by_label("Comment")).to_have_value("words yy")
    expect(page.locator("[name=left_helpfulness][value='4']")).to_be_checked()
    press(page, "Escape", "?")
    expect(page.get_by_role("dialog", name="Keys")).to_contain_text("redo what was undone")
    page.get_by_role("button", name="Change the keys").click()
    dialog = page.get_by_role("dialog", name="Change the keys")
    dialog.get_by_label("Redo").fill("w")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_be_hidden()
    press(page, "Control+z")
    expect(page.get_by_label("Comment")).to_have_value("")
    press(page, "w")
    expect(page.get_by_label("Comment")).to_have_value("words yy")


def test_keys_are_changed_with_a_check_for_conflicts_and_kept_with_the_account(judging, database, bob, axe):
    page = judging()
    press(page, "?")
    page.get_by_role("button", name="Change the keys").click()
    dialog = page.get_by_role("dialog", name="Change the keys")
    axe(page)
    dialog.get_by_label("Guidelines").fill("m")
    expect(dialog.get_by_role("alert")).to_contain_text("cannot share the key m")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_be_visible()
    dialog.get_by_label("Guidelines").fill("7")
    expect(dialog.get_by_role("alert")).to_contain_text("digits rate")
    dialog.get_by_label("Guidelines").fill("w")
    expect(dialog.get_by_role("alert")).to_have_text("")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_be_hidden()
    expect(page.locator("[data-act=guidelines] kbd")).to_have_text("w")
    with reading(database) as session:
        assert session.get_one(User, bob.id).shortcuts == {"guidelines": "w"}
    page.reload()
    expect(page.locator(".judging[data-js]")).to_be_visible()
    press(page, "g")
    expect(page.locator("#guidelines")).to_be_hidden()
    press(page, "w")
    expect(page.locator("#guidelines")).to_be_visible()
    press(page, "w", "?")
    page.get_by_role("button", name="Change the keys").click()
    dialog.get_by_role("button", name="Fill in the usual keys").click()
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_be_hidden()
    press(page, "g")
    expect(page.locator("#guidelines")).to_be_visible()
    with reading(database) as session:
        assert session.get_one(User, bob.id).shortcuts == {}


def test_keys_the_server_refuses_are_not_said_to_be_saved(judging, server):
    server.expected += ["503"]
    page = judging()
    page.route("**/judge/shortcuts", lambda route: route.fulfill(status=503, body="busy"))
    press(page, "?")
    page.get_by_role("button", name="Change the keys").click()
    dialog = page.get_by_role("dialog", name="Change the keys")
    dialog.get_by_label("Guidelines").fill("w")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.get_by_role("alert")).to_contain_text("Not saved")
    press(page, "Escape", "w")
    expect(page.locator("#guidelines")).to_be_hidden()


def test_no_single_key_destroys_anything(judging):
    page = judging()
    rate(page)
    press(page, "m", "Enter")
    page.get_by_role("button", name="Mark it").click()
    press(page, "Escape")
    before = page.locator("input:checked").count()
    # All that a keyboard has on one key, but those that answer: digits, space, and the letters that open or flag.
    for key in "abcdehijklnopqrtuvwxyz":
        press(page, key)
    press(page, "Backspace", "Delete", "Escape")
    assert page.locator("input:checked").count() == before
    expect(page.locator(".answer mark")).to_have_count(1)
