"""Servers under a load, as people start them: processes of their own, watched from outside."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from app.settings import ROOT, Settings

START_S = 900


def free_port() -> int:
    """Return a port nobody listens on now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def tuneshift(*arguments: str) -> list[str]:
    """Return the command line of this checkout's `tuneshift`."""
    return [sys.executable, "-c", "from app.cli import main; main()", *arguments]


def environment_of(settings: Settings) -> dict[str, str]:
    """Return the variables under which `tuneshift` uses these settings' data folder."""
    return {"PYTHONPATH": str(ROOT), "TUNESHIFT_DATA_DIR": str(settings.data_dir)}


def start(
    command: Sequence[str], environment: dict[str, str], folder: Path, *, port: int, ready: str = "/healthz"
) -> subprocess.Popen[bytes]:
    """Start a server in a session of its own, and wait until it answers; its output is in `folder`."""
    log = folder / "server.log"
    with log.open("ab") as out:
        process = subprocess.Popen(
            command, cwd=folder, env=os.environ | environment, stdout=out, stderr=out, start_new_session=True
        )
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
                connection.request("GET", ready)
                if connection.getresponse().status < 500:
                    return process
        except (OSError, http.client.HTTPException):
            time.sleep(0.5)
    raise TimeoutError(log.read_text()[-2_000:])


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a server and what it started, unasked."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def processor_seconds(process: subprocess.Popen[bytes]) -> float:
    """Count the processor time that a server's session has used so far."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == process.pid:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")
