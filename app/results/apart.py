"""Work on large studies in a process of its own, so that neither its memory nor its processor time is the server's."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from sqlalchemy import Engine as Database

from app.db import connect
from app.settings import ROOT

# Whoever waits for a page goes first.
_NICE = 10
_LOOK_S = 0.2

Say = Callable[[Mapping[str, Any]], None]
Work = Callable[[Database, Mapping[str, Any], Say, threading.Event], None]
"""Does something with a database and what was given, says how far it is, and ends early once the event is set."""


class EndedError(RuntimeError):
    """The process ended before its work was done."""


def do_apart(
    work: Work, database: Database, given: Mapping[str, Any], *, stopping: threading.Event, on_said: Say
) -> None:
    """Run `work`, a function of a module, in a new process and wait; `on_said` gets what it says, in this thread.

    `stopping` ends it. Raises EndedError where it ends without being done; what it had to say of that is in the log.
    """
    start = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from app.results.apart import main; main()"
    order = {
        "module": work.__module__,
        "name": work.__name__,
        # Not on the command line, which everybody on the machine may read.
        "url": database.url.render_as_string(hide_password=False),
        "given": dict(given),
    }
    process = subprocess.Popen(  # noqa: S603  our own words
        [sys.executable, "-c", start],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # A key pressed in the terminal stops the server, which stops this.
        start_new_session=True,
    )
    with process:
        threading.Thread(target=_end_with, args=(process, stopping), daemon=True).start()
        if process.stdin is None or process.stdout is None:
            raise EndedError("the process has no pipes")
        process.stdin.write(json.dumps(order))
        process.stdin.close()
        for line in process.stdout:
            on_said(json.loads(line))
    if process.returncode and not stopping.is_set():
        raise EndedError(f"The process that did this ended with {process.returncode}; the server's log may say why.")


def _end_with(process: "subprocess.Popen[str]", stopping: threading.Event) -> None:
    while process.poll() is None:
        if stopping.wait(_LOOK_S):
            process.terminate()
            return


def main() -> None:
    """Do what standard input asks for: the other end of `do_apart`."""
    # What a log prints would be taken for what the work says.
    out, sys.stdout = sys.stdout, sys.stderr

    def say(what: Mapping[str, Any]) -> None:
        out.write(json.dumps(dict(what)) + "\n")
        out.flush()

    os.nice(_NICE)
    order = json.loads(sys.stdin.read())
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    work: Work = getattr(import_module(order["module"]), order["name"])
    database = connect(order["url"])
    try:
        work(database, order["given"], say, stopping)
    finally:
        database.dispose()
