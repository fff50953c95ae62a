"""`tuneshift compare | score | doctor` on the demo's weights, as processes."""

import json
import os
import subprocess
import sys

import pytest

from app.settings import ROOT


def tuneshift(*arguments, registry):
    environment = os.environ | {"TUNESHIFT_CHECKPOINTS": str(registry), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", "from app.cli import main; main()", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def registry():
    path = ROOT / "data" / "checkpoints.toml"
    assert path.is_file(), "the demo is not built; run: make demo-data"
    return path


def test_compare_prints_every_column_as_json(registry):
    done = tuneshift("compare", "--prompt", "What is steel?", "--max-tokens", "12", "--json", registry=registry)
    assert done.returncode == 0, done.stderr
    columns = json.loads(done.stdout)["columns"]
    assert [column["checkpoint"] for column in columns] == ["base", "lft", "sft"]
    for column in columns:
        assert column["kl_kind"] == "exact"
        assert "".join(token["text"] for token in column["tokens"]) == column["text"]
        assert column["summary"]["n"] == len(column["tokens"]) == len(column["token_ids"])
    # Under greedy decoding the base would have chosen every token of its own.
    assert {token["class"] for token in columns[0]["tokens"]} == {"unshifted"}
    assert columns[0]["summary"]["mean_kl_tuned_base"] == 0.0


def test_compare_works_alike_through_vllm(served):
    registry = served.serving.registry
    done = tuneshift("compare", "--prompt", "What is steel?", "--max-tokens", "12", "--json", registry=registry)
    assert done.returncode == 0, done.stderr
    columns = json.loads(done.stdout)["columns"]
    assert [(column["checkpoint"], column["kl_kind"]) for column in columns] == [
        ("base", "lower_bound"),
        ("lft", "lower_bound"),
        ("sft", "lower_bound"),
    ]
    for column in columns:
        assert "".join(token["text"] for token in column["tokens"]) == column["text"]
        assert column["summary"]["n"] == len(column["token_ids"]) > 0
    assert {token["class"] for token in columns[0]["tokens"]} == {"unshifted"}


def test_compare_names_an_unknown_checkpoint(registry):
    done = tuneshift("compare", "--prompt", "x", "--checkpoints", "base,gpt", registry=registry)
    assert done.returncode == 2
    assert "'gpt'" in done.stderr
    assert "sft" in done.stderr


def test_score_takes_all_three_line_forms(registry, tmp_path):
    lines = [
        {"id": "a", "prompt": "What is steel?"},
        {"id": "b", "prompt": "What is steel?", "response": "Steel is iron with a little carbon. 🙂"},
        {"id": "c", "prompt_ids": [1, 2, 3], "response_ids": [4, 5]},
    ]
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = tuneshift(
        "score", "--base", "base", "--tuned", "lft", "--input", str(source), "--output", str(target),
        "--max-tokens", "16", "--top-k", "5", registry=registry,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in target.read_text().splitlines()]
    assert [record["id"] for record in records] == ["a", "b", "c"]
    assert "".join(token["text"] for token in records[1]["tokens"]) == "Steel is iron with a little carbon. 🙂"
    assert [token["id"] for token in records[2]["tokens"]] == [4, 5]
    assert all(len(token["top_base"]) == 5 for record in records for token in record["tokens"])


def test_score_refuses_a_bad_line_and_writes_nothing(registry, tmp_path):
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"id": "a", "prompt": "x", "response": "y"}\n{"id": "b", "prompt": 7}\n')
    done = tuneshift(
        "score", "--base", "base", "--tuned", "lft", "--input", str(source), "--output", str(target), registry=registry
    )
    assert done.returncode == 2
    assert "line 2" in done.stderr
    assert "prompt" in done.stderr
    assert not target.exists()
