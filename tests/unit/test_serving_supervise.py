"""Starting, watching and stopping, with a stand-in that starts in a blink: the real servers are in tests/engine."""

import io
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from app.errors import ConfigurationError, EngineTimeoutError, EngineUnavailableError
from app.serving import backoff, launch, server, supervise, watch
from app.serving.plan import ServerPlan
from app.serving.server import Server
from app.settings import ROOT
from tests.patience import PATIENCE_S
from tests.several import free_port

STAND_IN = """
import json, os, signal, subprocess, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

port, behaviour = int(sys.argv[1]), sys.argv[2]
if behaviour == "breaks":
    print("ValueError: no such model"); sys.exit(3)
if behaviour == "fails" and os.path.exists(sys.argv[3]):
    print("OSError: the card fell off the bus"); sys.exit(4)
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
        if behaviour == "hangs" and os.path.exists(sys.argv[3]):
            import time; time.sleep(600)
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

    def make(behaviour="works", *more):
        port = free_port()
        command = (sys.executable, str(script), str(port), behaviour, *more)
        return ServerPlan(served=("base", "lft"), port=port, command=command, environment=(("GREETING", "a=b c"),))

    return make


def gone(pid):
    """Ended, or waiting to be reaped by whoever inherited it."""
    with suppress(ProcessLookupError, FileNotFoundError):
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return True


def wait_for(condition, seconds=PATIENCE_S):
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
        [planned()], logs=tmp_path / "logs", api_key="wombat-key", progress=lambda *step: steps.append(step)
    ) as (server,):
        pid, child = server.pid, child_of(server.log)
        assert not gone(child)
        # The environment is the plan's; a variable that would override a flag is taken out.
        assert server.log.read_text().splitlines()[-1].endswith("a=b c None")
        assert b"wombat-key" not in Path(f"/proc/{pid}/cmdline").read_bytes()
    assert [step[:2] for step in steps] == [(n, 4) for n in (1, 2, 3, 4)]
    assert [step[2] for step in steps[1:]] == ["base is loaded", "base answers", "lft answers"]
    wait_for(lambda: gone(pid) and gone(child))


@pytest.fixture
def hasty(monkeypatch):
    monkeypatch.setattr(backoff, "FIRST_S", 0.05)


def test_a_server_that_dies_is_started_again_and_said_so(planned, tmp_path, hasty):
    said = []
    with supervise.running([planned()], logs=tmp_path, say=said.append) as (server,):
        for round_ in (1, 2):
            before, child = server.pid, child_of(server.log)
            os.kill(before, signal.SIGKILL)
            wait_for(lambda n=round_, before=before: server.restarts == n and server.pid not in {None, before})
            wait_for(lambda child=child: gone(child))
            wait_for(lambda n=round_: len(said) == 2 * n)
        supervise.wait_until_ready(server, api_key=None, step=lambda message: None)
        # Both lives are in one log.
        assert len(re.findall(r"^child", server.log.read_text(), re.MULTILINE)) == 3
    assert said == [
        "The vLLM server of 'base' ended with code -9. It starts again in 0.05 s (failure 1 of 8 in a row).",
        "The vLLM server of 'base' answers again.",
        "The vLLM server of 'base' ended with code -9. It starts again in 0.1 s (failure 2 of 8 in a row).",
        "The vLLM server of 'base' answers again.",
    ]


def test_a_server_that_ends_again_and_again_is_given_up_with_the_end_of_its_log(planned, tmp_path, hasty, monkeypatch):
    monkeypatch.setattr(backoff, "MOST_FAILURES", 3)
    fails, works = planned("fails", str(tmp_path / "broken")), planned()
    said = []
    with supervise.running([fails, works], logs=tmp_path, say=said.append) as (first, second):
        (tmp_path / "broken").touch()
        first.signal(signal.SIGKILL)
        wait_for(lambda: first.given_up)
        wait_for(lambda: len(said) == 3)
        assert "ended with code 4, 3 times in a row. It is not started again." in first.given_up
        assert said[-1].startswith(first.given_up)
        assert "OSError: the card fell off the bus" in said[-1]
        assert (first.restarts, first.pid, second.given_up) == (2, None, "")
        assert second.pid is not None


def test_a_server_that_takes_requests_and_answers_none_is_started_again(planned, tmp_path, hasty, monkeypatch):
    monkeypatch.setattr(watch, "PROBE_EVERY_S", 0.05)
    monkeypatch.setattr(server, "ASK_TIMEOUT_S", 0.5)
    stuck = tmp_path / "stuck"
    said = []
    with supervise.running([planned("hangs", str(stuck))], logs=tmp_path, say=said.append) as (one,):
        first = one.pid
        stuck.touch()
        wait_for(lambda: said)
        stuck.unlink()
        wait_for(lambda: one.pid not in {None, first} and said[-1].endswith("answers again."))
    assert said[0] == "The vLLM server of 'base' takes requests and answers none. It is ended."


def test_the_wait_doubles_until_it_is_too_often():
    waits = [backoff.delay_s(failures) for failures in range(1, 9)]
    assert waits == [1, 2, 4, 8, 16, 32, 60, None]
    assert backoff.failures_in_a_row(3, None) == 4
    assert backoff.failures_in_a_row(3, 299.0) == 4
    assert backoff.failures_in_a_row(3, 300.0) == 1


def test_a_log_is_kept_in_pieces_of_bounded_size(tmp_path):
    log = tmp_path / "vllm-base.log"
    lines = [b"%04d %s\n" % (n, b"x" * 44) for n in range(100)]  # 50 bytes each
    launch.keep_log(io.BytesIO(b"".join(lines)), log, limit=1000, kept=2)
    pieces = [log.with_name(f"{log.name}.2"), log.with_name(f"{log.name}.1"), log]
    assert [piece.stat().st_size for piece in pieces] == [1000, 1000, 1000]
    assert b"".join(piece.read_bytes() for piece in pieces) == b"".join(lines[-60:])
    assert len(list(tmp_path.iterdir())) == 3
    # A later start goes on where this one ended.
    launch.keep_log(io.BytesIO(lines[0]), log, limit=1000, kept=2)
    assert log.read_bytes() == lines[0]


def test_a_log_that_cannot_be_written_does_not_stop_its_server(tmp_path):
    source = io.BytesIO(b"a\n" * 10)
    launch.keep_log(source, tmp_path / "missing" / "log")
    assert source.read() == b""


def test_the_log_of_the_last_start_is_kept(planned, tmp_path):
    for _ in range(2):
        with supervise.running([planned()], logs=tmp_path):
            pass
    assert "child" in (tmp_path / "vllm-base.log").read_text()
    assert "child" in (tmp_path / "vllm-base.log.1").read_text()


def test_a_taken_port_is_refused_before_anything_starts(planned, tmp_path):
    free, taken = planned(), planned()
    with socket.socket() as other:
        other.bind(("127.0.0.1", taken.port))
        other.listen()
        with (
            pytest.raises(ConfigurationError, match=f"cannot listen on 127.0.0.1:{taken.port}") as caught,
            supervise.running([free, taken], logs=tmp_path),
        ):
            pass
    assert "--port" in caught.value.remedy
    assert not (tmp_path / "vllm-base.log").exists()


def test_a_server_that_ends_early_is_explained_by_its_log(planned, tmp_path):
    starting = supervise.running([planned("breaks")], logs=tmp_path)
    with pytest.raises(EngineUnavailableError, match="'base' ended with code 3") as caught, starting:
        pass
    assert "ValueError: no such model" in caught.value.remedy


class Late:
    """A clock that stands until a log tells of a child, and then shows a second more each time it is looked at."""

    sleep = staticmethod(time.sleep)

    def __init__(self, log):
        self.log, self.now = log, 0.0

    def monotonic(self):
        self.now += self.log.exists() and "child" in self.log.read_text()
        return self.now


def test_a_server_that_never_answers_is_given_up(planned, tmp_path, monkeypatch):
    monkeypatch.setattr(supervise, "READY_TIMEOUT_S", 4.0)
    monkeypatch.setattr(supervise, "time", Late(tmp_path / "vllm-base.log"))
    plan = planned("never")
    with pytest.raises(EngineTimeoutError, match="not ready after 4 s"), supervise.running([plan], logs=tmp_path):
        pass
    wait_for(lambda: gone(child_of(tmp_path / "vllm-base.log")))


def test_a_server_that_ignores_a_polite_request_is_ended(planned, tmp_path):
    server = Server(planned("stubborn"), log=tmp_path / "log", api_key=None)
    server.start()
    supervise.wait_until_ready(server, api_key=None, step=lambda message: None)
    pid = server.pid
    supervise.stop([server], grace_s=0.3)
    # Killed, it dies when the machine comes to it.
    wait_for(lambda: gone(pid))


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


@pytest.mark.parametrize("behaviour", ["works", "stubborn"])
def test_servers_end_with_a_starter_that_is_killed(planned, tmp_path, behaviour):
    """The children of the server too, politely or not: the starter cannot clean up after itself any more."""
    plan = planned(behaviour)
    command = [sys.executable, "-c", STARTER, str(tmp_path), str(plan.port), *plan.command]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as starter:
        pid = int(starter.stdout.readline())
        child = child_of(tmp_path / "vllm-base.log")
        assert not gone(pid)
        starter.kill()
        starter.wait()
        wait_for(lambda: gone(pid) and gone(child))
