"""Starting, watching and stopping, with a stand-in that starts in a blink: the real servers are in tests/engine."""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from app.errors import EngineTimeoutError, EngineUnavailableError
from app.serving import supervise
from app.serving.plan import ServerPlan
from app.serving.serve import free_ports
from app.settings import ROOT

STAND_IN = """
import json, os, signal, subprocess, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

port, behaviour = int(sys.argv[1]), sys.argv[2]
if behaviour == "breaks":
    print("ValueError: no such model"); sys.exit(3)
if behaviour == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("child", child.pid, os.environ["GREETING"], os.environ.get("VLLM_CPU_KVCACHE_SPACE"), flush=True)

class Handler(BaseHTTPRequestHandler):
    def answer(self, value, status=200):
        if os.environ.get("VLLM_API_KEY") and self.headers["Authorization"] != "Bearer " + os.environ["VLLM_API_KEY"]:
            status, value = 401, {"error": "Unauthorized"}
        body = json.dumps(value).encode()
        self.send_response(status); self.send_header("Content-Length", str(len(body))); self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        self.answer({"data": [{"id": "base"}, {"id": "lft"}]})
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer({}, 500 if behaviour == "never" else 200)
    def log_message(self, *a):
        pass

HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


@pytest.fixture
def planned(tmp_path):
    script = tmp_path / "stand_in.py"
    script.write_text(STAND_IN)

    def make(behaviour="works"):
        port = next(free_ports())
        command = (sys.executable, str(script), str(port), behaviour)
        return ServerPlan(served=("base", "lft"), port=port, command=command, environment=(("GREETING", "a=b c"),))

    return make


def gone(pid):
    """Ended, or waiting to be reaped by whoever inherited it."""
    with suppress(ProcessLookupError, FileNotFoundError):
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return True


def wait_for(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def child_of(log):
    return int(re.findall(r"^child (\d+)", log.read_text(), re.MULTILINE)[-1])


def test_servers_are_ready_inside_and_gone_after_with_their_children(planned, tmp_path, monkeypatch):
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "4")
    steps = []
    with supervise.running(
        [planned()], logs=tmp_path / "logs", api_key="k1", progress=lambda *step: steps.append(step)
    ) as (server,):
        pid, child = server.pid, child_of(server.log)
        assert not gone(child)
        # The environment is the plan's; a variable that would override a flag is taken out.
        assert server.log.read_text().splitlines()[-1].endswith("a=b c None")
        assert b"k1" not in Path(f"/proc/{pid}/cmdline").read_bytes()
    assert [step[:2] for step in steps] == [(n, 4) for n in (1, 2, 3, 4)]
    assert [step[2] for step in steps[1:]] == ["base is loaded", "base answers", "lft answers"]
    wait_for(lambda: gone(pid) and gone(child))


def test_a_server_that_dies_is_started_again_once(planned, tmp_path):
    with supervise.running([planned()], logs=tmp_path) as (server,):
        first, child = server.pid, child_of(server.log)
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: server.restarts == 1 and server.pid not in {None, first})
        wait_for(lambda: gone(child))
        supervise.wait_until_ready(server, api_key=None, step=lambda message: None)
        os.kill(server.pid, signal.SIGKILL)
        wait_for(lambda: server.pid is None)
        time.sleep(1.5)
        assert (server.pid, server.restarts) == (None, 1)


def test_a_server_that_ends_early_is_explained_by_its_log(planned, tmp_path):
    starting = supervise.running([planned("breaks")], logs=tmp_path)
    with pytest.raises(EngineUnavailableError, match="'base' ended with code 3") as caught, starting:
        pass
    assert "ValueError: no such model" in caught.value.remedy


def test_a_server_that_never_answers_is_given_up(planned, tmp_path, monkeypatch):
    monkeypatch.setattr(supervise, "READY_TIMEOUT_S", 4.0)
    plan = planned("never")
    with pytest.raises(EngineTimeoutError, match="not ready after 4 s"), supervise.running([plan], logs=tmp_path):
        pass
    wait_for(lambda: gone(child_of(tmp_path / "vllm-base.log")))


def test_a_server_that_ignores_a_polite_request_is_ended(planned, tmp_path):
    server = supervise.Server(planned("stubborn"), log=tmp_path / "log", api_key=None)
    server.start()
    supervise.wait_until_ready(server, api_key=None, step=lambda message: None)
    pid = server.pid
    supervise.stop([server], grace_s=0.3)
    assert gone(pid)


STARTER = """
import sys, time
from pathlib import Path
from app.serving.plan import ServerPlan
from app.serving.supervise import running
port, command = int(sys.argv[2]), tuple(sys.argv[3:])
plan = ServerPlan(served=("base", "lft"), port=port, command=command, environment=(("GREETING", "x"),))
with running([plan], logs=Path(sys.argv[1])) as (server,):
    print(server.pid, flush=True)
    time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent died")
def test_servers_end_with_a_starter_that_is_killed(planned, tmp_path):
    plan = planned()
    command = [sys.executable, "-c", STARTER, str(tmp_path), str(plan.port), *plan.command]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as starter:
        pid = int(starter.stdout.readline())
        assert not gone(pid)
        starter.kill()
        starter.wait()
        wait_for(lambda: gone(pid))
    with suppress(ProcessLookupError):
        os.kill(child_of(tmp_path / "vllm-base.log"), signal.SIGKILL)
