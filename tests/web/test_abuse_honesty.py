"""46: the app is started as users start it."""

import sqlite3

import pytest

from tests.simulation.browser import Browser, ServedApp, run_command


@pytest.mark.timeout(300)
def test_case_46_the_app_starts_in_an_empty_folder_as_users_start_it(tmp_path):
    data_dir = tmp_path / "data"
    with ServedApp(data_dir) as served:
        browser = Browser(served.port)
        assert browser.get("/healthz").status == 200
        assert browser.get("/readyz").status == 200
        assert browser.get("/judge").place.startswith("/login")
        # While it serves, the command line works on the same file.
        link = run_command(data_dir, "user", "add", "ada@example.org", "--role", "owner").strip()
        page = browser.get("/invite/" + link.rpartition("/")[2])
        assert "ada@example.org" in page.text
    assert "Traceback" not in served.said
    assert sqlite3.connect(data_dir / "tuneshift.db").execute("PRAGMA integrity_check").fetchone() == ("ok",)
