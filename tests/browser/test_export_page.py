"""The page of exports in a real browser: built by a click, seen to grow, downloaded; clean for everybody."""

import zipfile

import pytest
from playwright.sync_api import expect

from tests.browser.rest import in_theme
from tests.web.bundle_help import fill


@pytest.fixture
def filled(database, study):
    fill(database, study)
    return study


def test_an_export_is_built_and_downloaded(page_for, alice, filled, axe, picture):
    page = page_for(alice)
    page.goto(f"/studies/{filled.id}")
    page.get_by_role("navigation", name="Study").get_by_role("link", name="Export").click()
    page.get_by_role("button", name="Build the export").focus()
    page.keyboard.press("Enter")
    link = page.get_by_role("link", name="Download the export as of")
    expect(link).to_be_visible(timeout=60_000)
    for theme in ("light", "dark"):
        in_theme(page, theme)
        axe(page)
        picture(page, f"export-{theme}")
    with page.expect_download() as download:
        link.click()
    assert download.value.suggested_filename.startswith("kettles-")
    assert zipfile.ZipFile(download.value.path()).testzip() is None
    page.set_viewport_size({"width": 400, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    picture(page, "export-phone")


def test_a_file_is_checked_before_it_is_imported(page_for, alice, filled, axe, picture, tmp_path):
    page = page_for(alice)
    page.goto(f"/studies/{filled.id}/import")
    text = page.request.get(f"/studies/{filled.id}/export/preferences.csv").text()
    (tmp_path / "p.csv").write_text(text, encoding="utf-8", newline="")
    page.get_by_label("File").set_input_files(tmp_path / "p.csv")
    page.get_by_role("button", name="Check the file").click()
    expect(page.get_by_role("status")).to_contain_text("6 there already")
    # The file is still chosen, so that it can be imported at once.
    page.get_by_role("button", name="Import").click()
    expect(page.get_by_role("status")).to_contain_text("was imported")
    axe(page)
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n")
    page.get_by_label("File").set_input_files(tmp_path / "bad.csv")
    page.get_by_role("button", name="Import").click()
    expect(page.get_by_role("alert")).to_contain_text("The file lacks the columns annotator_pid, prompt")
    picture(page, "import-refused")
