"""Pages that say what tests show claim nothing that no test shows."""

import ast
import re
from functools import cache

import pytest

from app.settings import ROOT

# Rows each page must have: what the peers have together, and the abuse cases that are tested.
PAGES = {"compare.md": 33, "abuse-cases.md": 46, "security.md": 19}


def rows(page):
    lines = (ROOT / "docs" / page).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.startswith("|") and "`tests/" in line]


@cache
def functions(path):
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return {one.name: one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize(("page", "row"), [(page, row) for page in PAGES for row in rows(page)])
def test_every_claim_names_tests_that_exist_and_run(page, row):
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row)
    assert named, f"{page}: no test named in {row}"
    for path, function in named:
        marks = [ast.unparse(decorator) for decorator in functions(path)[function].decorator_list]
        assert not [mark for mark in marks if "skip" in mark or "xfail" in mark], function


@pytest.mark.parametrize("page", PAGES)
def test_no_row_was_dropped(page):
    assert len(rows(page)) == PAGES[page]
