"""What a spreadsheet program makes of our CSV, and gives back: gnumeric's `ssconvert`, where it is installed."""

import csv
import io
import json
import shutil
import subprocess
from datetime import UTC, datetime

import pytest

from app.results.export import COLUMNS
from tests.web.bundle_help import bundle, fill, lines_of

PROGRAM = shutil.which("ssconvert")
KINDS = {column.name: column.kind for column in COLUMNS["preferences"]}
# Made of zeros alone by the tests' factory, which any spreadsheet takes for a number.
NOT_TEXT_HERE = "side_order_key"


def through_a_spreadsheet(folder, name):
    """Open a CSV, save it as a workbook, open that and save it as CSV again."""
    for one, other in ((f"{name}.csv", f"{name}.xlsx"), (f"{name}.xlsx", f"{name}-again.csv")):
        call = [PROGRAM, str(folder / one), str(folder / other)]
        subprocess.run(call, check=True, capture_output=True, timeout=120)
    text = (folder / f"{name}-again.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def meant(kind, cell):
    """Read a cell as whoever computes with it does; a spreadsheet shows moments without milliseconds."""
    if not cell:
        return None
    if kind == "time":
        shape = "%Y/%m/%d %H:%M:%S" if "/" in cell else "%Y-%m-%dT%H:%M:%S"
        return datetime.strptime(cell.partition(".")[0], shape).replace(tzinfo=UTC)
    if kind == "bool":
        return cell.lower()
    if kind in {"int", "float"}:
        return float(cell)
    return cell.replace("\r\n", "\n").replace("\r", "\n")


@pytest.mark.skipif(PROGRAM is None, reason="gnumeric's ssconvert is not installed: make test-formats")
def test_a_spreadsheet_gives_back_every_cell_and_runs_none(database, study, tmp_path):
    fill(database, study, prompts=("=1+1", "@SUM(A1:A9)", '-2, "or" more\nlines'))
    archive = bundle(database, study, tmp_path / "a.zip")
    (tmp_path / "preferences.csv").write_bytes(archive.read("preferences.csv"))
    exact = lines_of(archive, "preferences.jsonl")
    again = through_a_spreadsheet(tmp_path, "preferences")
    assert len(again) == len(exact)
    for row, true in zip(again, exact, strict=True):
        assert list(row) == list(KINDS)
        for name, kind in KINDS.items():
            if name == NOT_TEXT_HERE:
                continue
            written = true[name]
            cell = "" if written is None else json.dumps(written) if isinstance(written, bool) else str(written)
            assert meant(kind, row[name]) == meant(kind, cell), name
