"""docs/compare.md claims nothing that no test shows."""

import re

import pytest

from app.settings import ROOT

PAGE = (ROOT / "docs" / "compare.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if line.startswith("|") and "`tests/" in line
]


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_every_claim_names_tests_that_exist(row):
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row[2])
    assert named, f"{row[0]}: no test named"
    for path, function in named:
        source = ROOT / path
        assert source.is_file(), path
        assert re.search(rf"^(async )?def {function}\(", source.read_text(encoding="utf-8"), re.MULTILINE), function


def test_the_table_is_as_long_as_what_the_peers_have_together():
    assert len(ROWS) == 33
