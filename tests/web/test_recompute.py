"""The export computes the results again: every number, from its files, with numpy and scipy alone."""

import json
import subprocess
import sys
import zipfile

import pytest

from app.db import reading, writing
from app.results.bundle import write_bundle
from app.results.reading import read_tables
from app.results.recomputable import bundle_parts
from app.results.report.files import read_folder
from app.results.report.found import found
from app.results.standing import refresh
from models import Exclusion, Study, StudyFindings
from models.base import now
from tests.web.results_help import simulated

WATCHED = """
import runpy, sys
sys.argv = ["recompute.py"]
try:
    runpy.run_path({script!r}, run_name="__main__")
except SystemExit as end:
    code = end.code
outside = sorted(
    name for name, module in sys.modules.items()
    if name.split(".")[0] in {{"app", "models", "sqlalchemy", "sqlmodel", "pydantic", "fastapi", "pyarrow", "pandas"}}
    and not (getattr(module, "__file__", "") or "").startswith({folder!r})
)
print("OUTSIDE", outside)
sys.exit(code)
"""


def unpacked(database, study, folder):
    with reading(database) as session:
        write_bundle(session, session.get(Study, study.id), folder / "export.zip")
    with zipfile.ZipFile(folder / "export.zip") as archive:
        archive.extractall(folder / "export")
    return folder / "export"


def recompute(folder):
    """Run the script apart from this repository, and see what it imported."""
    code = WATCHED.format(script=str(folder / "recompute.py"), folder=str(folder))
    return subprocess.run(
        [sys.executable, "-I", "-c", code], cwd=folder, capture_output=True, text=True, check=False, timeout=300
    )


@pytest.fixture
def judged(database, alice):
    """A study of 40 prompts by 25 annotators, with a rule that takes some judgments out."""
    study = simulated(database, alice, items=40, annotators=25, overlap=25)
    with writing(database) as session:
        rule = Exclusion(study_id=study.id, rule="min_active", settings={"seconds": 12}, created_at=now())
        session.add(rule)
    return study


def test_every_number_comes_out_of_the_files_again(database, judged, tmp_path):
    folder = unpacked(database, judged, tmp_path)
    done = recompute(folder)
    stored = json.loads((folder / "results.json").read_text())
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"All {len(stored):,} numbers agree to 1e-9." in done.stdout
    assert "OUTSIDE []" in done.stdout
    assert len(stored) > 800
    assert stored["judgments.all"] == 1000
    assert 0 < stored["judgments.excluded"] < 1000
    assert stored["all.preference.lft~sft.n"] > stored["preference.lft~sft.n"]


def results_of(database, study):
    with reading(database) as session:
        return json.loads(dict(bundle_parts(session, session.get(Study, study.id)))["results.json"])


def test_findings_kept_of_this_very_state_are_used_and_no_others(database, alice):
    study = simulated(database, alice)
    computed = results_of(database, study)
    refresh(database, study.id, now())
    assert results_of(database, study) == computed
    with writing(database) as session:
        kept = session.get(StudyFindings, study.id)
        numbers = kept.findings["numbers"] | {"judgments.all": [-1, None, None, None, ""]}
        kept.findings = kept.findings | {"numbers": numbers}
        session.add(kept)
    assert results_of(database, study)["judgments.all"] == -1
    with writing(database) as session:
        session.add(Exclusion(study_id=study.id, rule="min_active", settings={"seconds": 12}, created_at=now()))
    assert results_of(database, study)["judgments.all"] == computed["judgments.all"]


def test_the_page_and_the_file_hold_the_same_numbers(database, judged, researcher, tmp_path):
    folder = unpacked(database, judged, tmp_path)
    stored = json.loads((folder / "results.json").read_text())
    page = researcher.get(f"/studies/{judged.id}/results").text
    shown = {part.split('"')[0] for part in page.split('data-key="')[1:]}
    assert len(shown) > 100
    assert shown <= stored.keys()
    with reading(database) as session:
        assert found(read_tables(session, session.get(Study, judged.id))).flat() == found(read_folder(folder)).flat()


@pytest.mark.parametrize("table", ["preferences.jsonl", "ratings.jsonl", "hallucinations.jsonl"])
def test_a_changed_row_is_found(database, alice, tmp_path, table):
    folder = unpacked(database, simulated(database, alice), tmp_path)
    lines = (folder / table).read_text().splitlines(keepends=True)
    (folder / table).write_text("".join(lines[:-1]))
    done = recompute(folder)
    assert done.returncode == 1, done.stderr
    said = "which preferences lacks" if table == "preferences.jsonl" else "differ by more than 1e-9"
    assert said in done.stdout


def test_the_csv_files_alone_give_the_same(database, alice, tmp_path):
    folder = unpacked(database, simulated(database, alice), tmp_path)
    for table in ("preferences", "ratings", "acceptability", "gold", "annotators", "exclusions"):
        (folder / f"{table}.jsonl").unlink()
    assert recompute(folder).returncode == 0


def test_a_missing_file_is_named(database, alice, tmp_path):
    folder = unpacked(database, simulated(database, alice), tmp_path)
    (folder / "results.json").unlink()
    done = recompute(folder)
    assert done.returncode == 2
    assert "results.json is missing" in done.stderr
