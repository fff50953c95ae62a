"""Run alone, by path: start a server, keep its log within bounds, and end it when the starter ends, however that ends.

Usage: launch.py LOG COMMAND ...   Standard input is a pipe whose other end the starter holds and never writes to.
"""

import itertools
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO

LOG_BYTES = 10 * 2**20
LOGS_KEPT = 5
_LINE_BYTES = 64 * 2**10
_GRACE_S = 5.0
_DRAIN_S = 2.0


def main(log: str, *command: str) -> int:
    """Run the command until it ends; returns its code, or 128 and the signal's number like a shell."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # The whole group gets them; this process stays to see the server off. (Ignoring would be inherited.)
        signal.signal(number, lambda *_: None)
    child = subprocess.Popen(  # noqa: S603  the command is the plan's
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    orphaned = threading.Event()
    threading.Thread(target=_end_with_starter, args=(orphaned,), daemon=True).start()
    writer = threading.Thread(target=keep_log, args=(child.stdout, Path(log)), daemon=True)
    writer.start()
    code = child.wait()
    writer.join(_DRAIN_S)
    if orphaned.is_set():
        os.killpg(0, signal.SIGKILL)  # what the server left behind, and this process
    return code if code >= 0 else 128 - code


def _end_with_starter(orphaned: threading.Event) -> None:
    while os.read(0, 1024):
        pass
    orphaned.set()
    os.killpg(0, signal.SIGTERM)
    threading.Event().wait(_GRACE_S)
    os.killpg(0, signal.SIGKILL)


def keep_log(source: IO[bytes], path: Path, *, limit: int = LOG_BYTES, kept: int = LOGS_KEPT) -> None:
    """Append `source` to `path` until it ends, with a fresh file for every `limit` bytes and `kept` old ones.

    A full disk loses lines of the log; it must not stop the server, which waits for whoever reads its output.
    """
    file: IO[bytes] | None = None
    size = path.stat().st_size if path.exists() else 0
    while line := source.readline(_LINE_BYTES):
        with suppress(OSError):
            if size and size + len(line) > limit:
                if file is not None:
                    file.close()
                file, size = None, 0
                rotate(path, kept=kept)
            if file is None:
                file = path.open("ab", buffering=0)
            size += len(line)
            file.write(line)
    if file is not None:
        file.close()


def rotate(path: Path, *, kept: int = LOGS_KEPT) -> None:
    """Rename a log to NAME.1, NAME.1 to NAME.2 and so on; the oldest beyond `kept` is overwritten."""
    names = [path, *(path.with_name(f"{path.name}.{n}") for n in range(1, kept + 1))]
    for newer, older in reversed(list(itertools.pairwise(names))):
        if newer.exists():
            newer.replace(older)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
