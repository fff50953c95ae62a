"""45, 46: the app is started as users start it, and the tests of what is hardest are there under their names."""

import ast
import sqlite3

import pytest

from app.settings import ROOT
from tests.simulation.browser import Browser, ServedApp, run_command

# What must never be dropped without anybody noticing: file, and how the test is called.
NAMED = {
    "tests/web/test_judging_overlap.py": ["test_two_hundred_people_race_for_the_last_place"],
    "tests/web/test_kill9.py": ["test_no_acknowledged_judgment_is_lost_when_the_server_is_killed"],
    "tests/web/test_simulated_study.py": ["test_a_study_of_25_people_at_once_ends_complete_balanced_and_counted"],
    "tests/browser/test_judging_whole_study.py": [
        "test_a_study_of_twenty_items_by_keyboard_alone",
        "test_a_study_of_twenty_items_by_touch_on_a_phone",
    ],
    "tests/browser/test_honesty.py": [
        "test_case_46_robots_and_helpers_send_the_fields_a_real_page_sends",
        "test_case_46_a_page_that_complains_fails_its_test",
    ],
}


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


@pytest.mark.parametrize("path", NAMED)
def test_case_45_46_the_promised_tests_are_there_and_are_run(path):
    functions = {one.name: one for one in ast.parse((ROOT / path).read_text()).body if isinstance(one, ast.FunctionDef)}
    for name in NAMED[path]:
        marks = [ast.unparse(decorator) for decorator in functions[name].decorator_list]
        assert not [mark for mark in marks if "skip" in mark or "xfail" in mark]
