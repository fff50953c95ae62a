"""36: the disk of the server fills up under an annotator's hands: nothing is lost, and it is saved later."""

import re

import pytest
from playwright.sync_api import expect

from app import storage
from app.db import writing
from models import RevisionKind
from tests.browser.judging_help import SAVED, press, revisions, start
from tests.disks import no_room, sqlite_settings
from tests.factories import fill_study

# Larger than what an SQLite file has to spare on the pages it has.
LONG = ("A long remark. " * 600).strip()


@pytest.fixture
def settings(tmp_path):
    return sqlite_settings(tmp_path / "data")


@pytest.fixture
def page(page_for, bob, study, database):
    with writing(database) as session:
        fill_study(session, study, prompts=("Why does bread rise?", "Name two rivers."))
    return start(page_for(bob))


def test_case_36_work_on_a_full_disk_is_not_saved_kept_here_and_saved_once_there_is_room(
    page, server, database, picture
):
    server.expected += ["507"]
    press(page, "Enter", "5")
    expect(page.locator("#save-state")).to_have_text(SAVED)
    stored = len(revisions(database, RevisionKind.DRAFT))
    page.locator("summary", has_text="Remarks").click()
    with no_room(server.app.state.database):
        page.locator("#comment").fill(LONG)
        banner = page.locator("#save-banner")
        expect(banner).to_contain_text(storage.FULL.message)
        expect(banner).to_contain_text("Your work is kept in this browser")
        expect(page.locator("#save-state")).to_have_text("not saved")
        picture(page, "judging-full-disk")
        assert len(revisions(database, RevisionKind.DRAFT)) == stored
    # Nobody does anything: the page tries again by itself.
    expect(page.locator("#save-state")).to_have_text(SAVED, timeout=60_000)
    expect(banner).to_be_hidden()
    assert revisions(database, RevisionKind.DRAFT)[-1].comment == LONG


def test_case_36_work_that_met_a_full_disk_survives_the_browser_too(page, server, database):
    server.expected += ["507"]
    press(page, "Enter", "5")
    expect(page.locator("#save-state")).to_have_text(SAVED)
    page.locator("summary", has_text="Remarks").click()
    with no_room(server.app.state.database):
        page.locator("#comment").fill(LONG)
        expect(page.locator("#save-banner")).to_contain_text(storage.FULL.message)
        context, url = page.context, page.url
        page.close(run_before_unload=False)
    again = context.new_page()
    again.goto(url)
    expect(again.locator("#save-state")).to_have_text(SAVED)
    expect(again.locator("#comment")).to_have_value(LONG)
    assert revisions(database, RevisionKind.DRAFT)[-1].comment == LONG
    assert re.search(r"rev \d+", again.locator("#save-state").text_content())
