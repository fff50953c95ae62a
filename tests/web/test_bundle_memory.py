"""What an export holds while it is written: a few rows, whatever the number of judgments. Counted, not timed."""

import subprocess
import sys
import zipfile

import pytest
from sqlmodel import select

from app.db import connect, snapshot
from app.results import bundle, files, judgments, parquet
from app.results.bundle import write_bundle
from app.settings import ROOT
from models import Study
from tests.bench.big_study import PER_ITEM, fill

ITEMS = 6


class Alive:
    """Counts how many things of a kind there are, and how many there were at most."""

    def __init__(self):
        self.now = self.most = self.made = 0

    def kind(self, base):
        """Return a class like `base` whose every object is counted."""
        count = self

        class Counted(base):
            def __new__(cls, *given, **named):
                count.now, count.made = count.now + 1, count.made + 1
                count.most = max(count.most, count.now)
                return super().__new__(cls, *given, **named)

            def __del__(self):
                count.now -= 1

        return Counted


@pytest.fixture
def large(tmp_path):
    """A database with one study of 3,000 judgments, 500 of each item."""
    fill(tmp_path / "large.db", ITEMS * PER_ITEM)
    database = connect(f"sqlite:///{tmp_path / 'large.db'}")
    yield database
    database.dispose()


def test_an_export_never_holds_more_than_two_items_judgments_and_a_few_rows(large, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_CHUNK", 50)
    judged, rows = Alive(), Alive()
    monkeypatch.setattr(judgments, "Judged", judged.kind(judgments.Judged))
    row, plain = rows.kind(dict), bundle.table_rows
    monkeypatch.setattr(bundle, "table_rows", lambda *given, **named: map(row, plain(*given, **named)))
    parts = []
    with snapshot(large) as session:
        study = session.exec(select(Study)).one()
        write_bundle(session, study, tmp_path / "a.zip", on_progress=lambda _done, _total, part: parts.append(part))
    assert judged.made > 4 * ITEMS * PER_ITEM
    assert judged.most <= 2 * PER_ITEM + 10
    assert rows.made > 10 * ITEMS * PER_ITEM
    assert rows.most <= 2 * 50 + 10
    # How far the findings are is said too, or the page would take a large export for dead.
    assert parts.count("results") > 1
    assert zipfile.ZipFile(tmp_path / "a.zip").testzip() is None


def test_a_table_is_written_with_one_row_group_of_it_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "_CELLS", 100 * len(files.COLUMNS["ratings"]))
    cells = Alive()
    cell = cells.kind(str)
    rows = (
        {"presentation_id": cell(at), "annotator_pid": "a", "item_id": "i", "side": "left", "model": "lft"}
        | {"dimension": "depth", "value": 1 + at % 5}
        for at in range(10_000)
    )
    files.write_rows(tmp_path, "ratings", rows)
    assert cells.made == 10_000
    assert cells.most <= 2 * files._CHUNK + 100
    assert cells.now == 0


def test_what_writes_an_export_of_kept_findings_loads_no_statistics():
    told = "import sys, app.results.bundle; print(sorted({'scipy', 'app.stats.clusters'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", told], cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"
