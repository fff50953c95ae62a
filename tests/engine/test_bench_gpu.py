"""The GPU bench runs from end to end on a tiny model, and refuses in words where there is no CUDA."""

import json
import os
import subprocess
import sys

from app.settings import ROOT

COMMAND = [sys.executable, "-m", "tests.bench.bench_gpu"]


def bench(*arguments):
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(
        [*COMMAND, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240, check=False
    )


def test_the_bench_measures_streaming_scoring_and_memory():
    done = bench("--tiny")
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["bench"] for line in lines] == ["gpu stream"] * 4 + ["gpu score", "gpu memory"]
    for line in lines[:5]:
        assert line["tokens_per_s"] > 0
        assert line["ratio"] > 0
    assert lines[4]["kl"] == "exact"
    assert lines[4]["mean_kl"] > 0
    assert lines[5]["weight_bytes"] == 4 * lines[5]["parameters"]


def test_without_cuda_it_says_so():
    done = bench()
    assert done.returncode == 2
    assert "needs CUDA" in done.stderr
    assert "--tiny" in done.stderr
    assert done.stdout == ""
