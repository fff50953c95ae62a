"""`tuneshift serve-models` as an operator runs it: real servers, asked what doctor asks, gone when it is killed."""

import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from app.engines.registry import load_registry
from app.serving.merging import with_merged
from app.settings import ROOT
from tests.engine.composed import here, is_healthy, service
from tests.engine.vllm_servers import demo_registry, vllm_python


def tuneshift(*arguments, folder, **options):
    environment = os.environ | {
        "TUNESHIFT_DATA_DIR": str(folder),
        "TUNESHIFT_VLLM_PYTHON": str(vllm_python()),
        "TUNESHIFT_VLLM_API_KEY": "k-7301",
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
    }
    command = [sys.executable, "-c", "from app.cli import main; main()", "serve-models", *arguments]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT, **options
    )


def two_free_ports():
    """The first of two ports in a row that nobody listens on."""
    for port in range(20_000 + os.getpid() % 10_000, 60_000, 2):
        if not any(is_open(port + n) for n in (0, 1)):
            return port
    return pytest.fail("no two free ports in a row")


def is_open(port):
    try:
        httpx2.get(f"http://127.0.0.1:{port}/health", trust_env=False)
    except httpx2.ConnectError:
        return False
    except httpx2.HTTPError:
        pass
    return True


def group_members(group):
    """The processes of a group that still run."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _parent, number = stat.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(number) == group and state != "Z":
            found.append(int(stat.parent.name))
    return found


@pytest.mark.timeout(900)
def test_servers_are_started_checked_and_never_outlive_their_starter(tmp_path):
    port = two_free_ports()
    registry = str(demo_registry().path)
    with tuneshift("--checkpoints", registry, "--port", str(port), folder=tmp_path) as running, killed(running):
        lines = []
        for line in running.stdout:
            lines.append(line.partition(" ")[2].partition(" ")[2].rstrip())
            if lines[-1].startswith(("Ready.", "Not ready")):
                break
        assert lines, running.wait()
        assert lines[-1].startswith("Ready. Serve the app with: tuneshift serve --checkpoints"), lines
        # Each checkpoint's own scoring agrees with its generation; the adapter leaves its base alone.
        assert [line.partition(":")[0] for line in lines[:-1]] == [
            *("ok   registry", "ok   checkpoint base", "ok   checkpoint lft", "ok   checkpoint sft", "ok   adapter lft")
        ]
        written = tmp_path / "checkpoints.vllm.toml"
        engines = {e["name"]: e["engine"] for e in tomllib.loads(written.read_text())["checkpoint"]}
        assert engines == {n: f"http://127.0.0.1:{port + (n == 'sft')}/v1" for n in ("base", "lft", "sft")}
        assert httpx2.get(f"{engines['sft']}/models", trust_env=False).status_code == 401
        groups = [
            int(status.parent.name)
            for status in Path("/proc").glob("[0-9]*/status")
            if f"PPid:\t{running.pid}\n" in status.read_text()
        ]
        assert len(groups) == 2
        # They are what docker-compose.yml starts, and its health checks find them well.
        for name, first in (("vllm-base-cpu", port), ("vllm-sft-cpu", port + 1)):
            composed = here(service(name, "cpu-vllm")["command"], port=first)
            assert composed in [command[3:] for group in groups for command in commands(group)]
            assert is_healthy(name, "cpu-vllm", port=first)
        assert all(len(group_members(group)) > 2 for group in groups)
        running.send_signal(signal.SIGKILL)
        running.wait()
        deadline = time.monotonic() + 60
        while left := [pid for group in groups for pid in group_members(group)]:
            assert time.monotonic() < deadline, left
            time.sleep(0.2)
    assert {log.name for log in (tmp_path / "logs").iterdir()} == {"vllm-base.log", "vllm-sft.log"}


@contextmanager
def killed(process):
    """Whatever happens inside, the process is gone after."""
    try:
        yield
    finally:
        process.kill()


def commands(group):
    """The command lines of a group's processes."""
    lines = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in group_members(group)]
    return [line.decode().rstrip("\0").split("\0") for line in lines]


def test_a_merged_adapter_answers_as_base_and_adapter_did(tmp_path):
    registry = demo_registry()
    lft, said = registry.get("lft"), []
    merged, notes = with_merged(registry, ["lft"], folder=tmp_path / "merged", dtype="float32", say=said.append)
    entry = merged.get("lft")
    assert (entry.adapter, entry.role, entry.base) == (None, "lft", "base")
    assert notes == [f"lft is served merged, as a full checkpoint: {lft.adapter} in {lft.model}"]
    assert json.loads((Path(entry.model) / "merged.json").read_text())["adapter"] == str(lft.adapter)
    ids = torch.tensor([[1, 504, 3, 17, 2030, 11, 42, 9]])
    with torch.no_grad():
        base = AutoModelForCausalLM.from_pretrained(lft.model, dtype=torch.float32)
        plain = base(ids).logits
        wanted = PeftModel.from_pretrained(base, lft.adapter)(ids).logits
        found = AutoModelForCausalLM.from_pretrained(entry.model, dtype=torch.float32)(ids).logits
    assert torch.allclose(found, wanted, atol=1e-3)
    assert (plain - wanted).abs().max() > 0.1
    # A second time there is nothing to do, and the folder is a checkpoint of a registry like any other.
    assert with_merged(registry, ["lft"], folder=tmp_path / "merged", dtype="float32", say=said.append)[0] == merged
    assert len(said) == 1
    file = tmp_path / "checkpoints.toml"
    file.write_text(
        f'[[checkpoint]]\nname = "base"\nrole = "base"\nmodel = "{lft.model}"\n'
        f'[[checkpoint]]\nname = "lft"\nrole = "lft"\nmodel = "{entry.model}"\n'
    )
    assert load_registry(file).get("lft").is_local
