"""What `datasets` and `trl` make of an export; heavy, so in a venv of their own: `make test-formats`."""

import json
import subprocess

import pytest

from app.settings import ROOT
from tests.web.bundle_help import bundle, fill, lines_of

PYTHON = ROOT / ".venv-formats" / "bin" / "python"

READ = """
import json, sys
from pathlib import Path
from datasets import load_dataset
from trl import is_conversational, unpair_preference_dataset

folder = Path(sys.argv[1])
def load(kind, name):
    return load_dataset(kind, data_files=str(folder / name), split="train", cache_dir=str(folder / "cache"))

standard = load("json", "formats/trl_preference.jsonl")
chat = load("json", "formats/trl_preference_conversational.jsonl")
kto = load("json", "formats/trl_kto.jsonl")
print(json.dumps({
    "standard": [sorted(standard.column_names), is_conversational(standard[0]), standard.to_list()],
    "chat": [sorted(chat.column_names), is_conversational(chat[0])],
    "unpaired": unpair_preference_dataset(standard).to_list(),
    "kto": kto.to_list(),
    "tables": {name: load(kind, name).num_rows for kind, name in (
        ("csv", "preferences.csv"), ("json", "preferences.jsonl"), ("parquet", "preferences.parquet"))},
}))
"""


@pytest.mark.skipif(not PYTHON.exists(), reason="datasets and trl are not installed: make test-formats")
def test_datasets_and_trl_read_what_is_theirs(database, study, tmp_path):
    fill(database, study)
    archive = bundle(database, study, tmp_path / "a.zip")
    archive.extractall(tmp_path / "out")
    call = [str(PYTHON), "-c", READ, str(tmp_path / "out")]
    done = subprocess.run(call, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    ours = lines_of(archive, "formats/trl_preference.jsonl")
    assert found["standard"] == [["chosen", "prompt", "rejected"], False, ours]
    assert found["chat"] == [["chosen", "prompt", "rejected"], True]
    # What TRL itself makes of the pairs is what we wrote for KTO, in another order.
    assert sorted(map(json.dumps, (dict(sorted(one.items())) for one in found["unpaired"]))) == sorted(
        map(json.dumps, (dict(sorted(one.items())) for one in found["kto"]))
    )
    assert set(found["tables"].values()) == {6}
