"""Tuning sets from the command line and in the demo: the same import as on the page."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from types import MappingProxyType

import pytest
from sqlmodel import func, select

from app.db import reading, writing
from app.demo.seed import SET_NAME, add_demo_set
from app.engines.tokenizer import load_tokenizer
from app.provenance.index import is_built
from app.settings import ROOT
from app.tuning_sets.files import places_of
from app.tuning_sets.queries import detach
from models import TuningInstance, TuningSet, TuningSetUse

DEMO = ROOT / "app" / "demo" / "tuning_set.jsonl"


@pytest.fixture
def tuneshift(settings, database, tmp_path):
    def run(*arguments):
        environment = {key: value for key, value in os.environ.items() if not key.startswith("TUNESHIFT_")}
        environment |= {"TUNESHIFT_DATA_DIR": str(settings.data_dir), "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
        environment["TUNESHIFT_DATABASE_URL"] = settings.resolved_database_url
        command = [sys.executable, "-c", "from app.cli import main; main()", *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    return run


def test_add_imports_and_list_tells(tuneshift, database, tmp_path):
    done = tuneshift("tuning-set", "add", str(DEMO), "--name", "House")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("House, version 1: 180 instances, Alpaca, ")
    again = tuneshift("tuning-set", "add", str(DEMO), "--name", "Other")
    assert again.returncode == 1
    assert "The same file was imported as 'House', version 1." in again.stderr
    (listed,) = json.loads(tuneshift("tuning-set", "list", "--json").stdout)
    assert (listed["name"], listed["n"], listed["state"], listed["checkpoints"]) == ("House", 180, "ready", [])
    assert "180 instances  ready  no checkpoint" in tuneshift("tuning-set", "list").stdout


def test_add_refuses_what_it_cannot_read(tuneshift, database, tmp_path):
    wrong = tmp_path / "wrong.jsonl"
    wrong.write_text('{"instruction": "Why?"}\n')
    for arguments, said in (
        ([str(wrong)], 'wrong.jsonl, line 1: field "output" is missing.'),
        ([str(tmp_path / "none.jsonl")], "cannot be read"),
        ([str(tmp_path)], "cannot be read"),
        ([str(DEMO), "--checkpoint", "lft"], "checkpoints.toml does not exist"),
    ):
        done = tuneshift("tuning-set", "add", *arguments)
        assert done.returncode == 2, done.stderr
        assert said in done.stderr
        assert "Traceback" not in done.stderr
    with reading(database) as session:
        assert session.exec(select(func.count()).select_from(TuningInstance)).one() == 0


def test_the_demo_imports_its_set_once_and_leaves_it_alone(settings, database, scripted_engines):
    places = places_of(settings)
    registry = scripted_engines.registry
    tuned = {
        name: replace(checkpoint, tuning_set=None if name == "base" else DEMO)
        for name, checkpoint in registry.checkpoints.items()
    }
    registry = replace(registry, checkpoints=MappingProxyType(tuned))
    heard = []
    for _ in range(2):
        add_demo_set(database, registry, DEMO, places, watch=lambda *now: heard.append(now))
        with reading(database) as session:
            (row,) = session.exec(select(TuningSet)).all()
            uses = session.exec(select(TuningSetUse.checkpoint).order_by(TuningSetUse.checkpoint)).all()
        assert (row.name, row.n, row.state.value) == (SET_NAME, 180, "ready")
        assert uses == ["lft", "sft"]
    assert is_built(places.indexes, row.sha256, load_tokenizer(registry.checkpoints["sft"].tokenizer))
    assert heard[-1][1:] == (360, 360)
    # What a person took off stays off.
    with writing(database) as session:
        detach(session, row.id, "lft")
    add_demo_set(database, registry, DEMO, places, watch=lambda *now: heard.append(now))
    with reading(database) as session:
        assert session.exec(select(TuningSetUse.checkpoint)).all() == ["sft"]
