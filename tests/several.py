"""A server of several processes for tests: `tuneshift serve --workers N` itself, with scripted engines where wanted.

Run as a script with a data folder, a port, a number of workers and a folder for the tokenizer, it serves until SIGTERM.
"""

import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx2

from app.settings import ROOT, load_secret

START_S = PATIENCE_S = 150


@dataclass
class Several:
    """A running server: its address, its parent's process, and where it writes its log."""

    url: str
    process: subprocess.Popen
    log: Path

    def pids(self) -> dict[str, int]:
        """Read the processes there are out of the log, by their posts."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        started = {line["process"]: line["pid"] for line in lines if line["event"].endswith("was started")}
        return {post: pid for post, pid in started.items() if _lives(pid)}

    def kill(self, post: str) -> None:
        """Kill a process; nothing in it is asked first."""
        pid = self.pids()[post]
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: not _lives(pid), f"{post} does not die")

    def stop(self, sig: signal.Signals = signal.SIGTERM) -> int:
        """Ask the server to end and return its exit code."""
        self.process.send_signal(sig)
        return self.process.wait(START_S)


@contextmanager
def several(data_dir: Path, *, workers: int, slow: bool = False, **settings: str) -> Iterator[Several]:
    """Serve a data folder that has its tables; killed at the end where a test did not stop it."""
    port = free_port()
    log = data_dir / f"several-{port}.log"
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "TUNESHIFT_DATA_DIR": str(data_dir),
        "TUNESHIFT_LOG_FORMAT": "json",
        **settings,
    }
    command = [sys.executable, __file__, str(port), str(workers), str(data_dir / "tokenizer"), "slow" if slow else ""]
    with log.open("wb") as out, subprocess.Popen(command, env=environment, stdout=out, stderr=out) as process:
        try:
            server = Several(f"http://127.0.0.1:{port}", process, log)
            wait_until_up(server)
            yield server
        finally:
            process.kill()


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        # Gone before the file was opened, or between that and reading it.
        return False


def free_port() -> int:
    """Find a port nobody listens on, and that no connection is given by chance before somebody does.

    The ports from which systems draw for whoever asks for any begin at 32768, or higher.
    """
    for _ in range(100):
        port = 10_000 + secrets.randbelow(20_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("no free port was found")


def wait_until_up(server: Several) -> None:
    """Wait until the server answers and has all its processes."""
    deadline = time.monotonic() + START_S
    while True:
        assert server.process.poll() is None, server.log.read_text()
        assert time.monotonic() < deadline, server.log.read_text()
        try:
            ready = httpx2.get(f"{server.url}/readyz", trust_env=False, timeout=START_S).json()
        except (httpx2.TransportError, ValueError):
            time.sleep(0.05)
            continue
        if ready["ready"]:
            return


def asking(server, settings, user=None, **headers):
    # Not above: the server that this file is, too, chooses how to count before it imports the web.
    from tests.conftest import cookie_for_secret  # noqa: PLC0415

    cookies = {"tuneshift_session": cookie_for_secret(load_secret(settings), user)} if user else {}
    # A connection each, so that the process that answers is chosen each time.
    return httpx2.Client(
        base_url=server.url,
        cookies=cookies,
        headers={"Origin": server.url, "Connection": "close", **headers},
        timeout=PATIENCE_S,
        trust_env=False,
    )


def start(client):
    sent = {"prompt": "Why a lid?", "checkpoints": ["base", "lft"], "max_tokens": "400"}
    return client.post("/compare", data=sent).headers["location"].removeprefix("/explore/")


def events(lines):
    """Read (id, event, data) as a browser would."""
    found = {"event": "message", "data": [], "id": ""}
    for line in lines:
        if line:
            name, _, value = line.partition(": ")
            found[name] = [*found["data"], value] if name == "data" else value
            continue
        if found["data"]:
            yield found["id"], found["event"], "\n".join(found["data"])
        found = {"event": "message", "data": [], "id": found["id"]}


def visible(html):
    return re.sub(r"<[^>]*>", "", html)


def eventually(what, said):
    deadline = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < deadline, said
        time.sleep(0.05)


def main(port: int, workers: int, tokenizer: Path, pause_s: float) -> int:
    """Serve with scripted engines."""
    from app.cli.serve import run, run_several  # noqa: PLC0415  as the command does
    from app.settings import Settings  # noqa: PLC0415

    def engines():
        from tests.scripted_engine import Script, scripted_engines  # noqa: PLC0415

        tokenizer.mkdir(exist_ok=True)
        text = "A kettle boils faster with its lid on. " * 8
        return scripted_engines(
            tokenizer, base=Script(text=text, pause_s=pause_s, base_ranks=(1,)), lft=Script(text=text, pause_s=pause_s)
        )

    settings = Settings(_env_file=None)
    if workers > 1:
        return run_several(settings, host="127.0.0.1", port=port, workers=workers, engines=engines())
    run(settings, host="127.0.0.1", port=port, engines=engines())
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), 0.05 if sys.argv[4] else 0.0))
