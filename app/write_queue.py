"""The queue of those who write to one SQLite file: threads of a process one after the other, and processes too.

SQLite lets its waiters sleep and try again, so that one that is unlucky waits for many others, or for ever. Here
whoever had a turn must stand behind the one who waits already: a lock for the next, and one for the turn itself.
"""

import os
import threading
import time
from contextlib import suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # pragma: no cover  Windows, where one process serves
    fcntl = None  # type: ignore[assignment]

_LOOK_S = 0.001


class WriteQueue:
    """A lock like `threading.Lock`, shared with other processes through two empty files beside the database.

    Where these cannot be made, as on a disk that is read-only, it is shared with the threads of this process alone.
    """

    def __init__(self, database: str) -> None:
        """Open no file yet; a database in memory needs none."""
        self._threads = threading.Lock()
        self._paths = [Path(f"{database}.{name}") for name in ("next", "turn")] if database != ":memory:" else []
        self._files: list[int] | None = None

    def acquire(self, timeout: float) -> bool:
        """Wait for a turn; False when it did not come in `timeout` seconds."""
        until = time.monotonic() + timeout
        if not self._threads.acquire(timeout=timeout):
            return False
        files = self._opened()
        if not files:
            return True
        following, turn = files
        got = _locked(following, until) and _locked(turn, until)
        _unlock(following)
        if not got:
            self._threads.release()
        return got

    def release(self) -> None:
        """Let the next one have its turn."""
        for file in (self._files or ())[1:]:
            _unlock(file)
        self._threads.release()

    def close(self) -> None:
        """Close the files; they are opened again when they are needed."""
        for file in self._files or ():
            os.close(file)
        self._files = None

    def _opened(self) -> list[int]:
        if self._files is None:
            self._files = []
            if fcntl is not None:
                with suppress(OSError):
                    for path in self._paths:
                        self._files.append(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))
        return self._files if len(self._files) == len(self._paths) else []


def _locked(file: int, until: float) -> bool:
    # Asked for again and again instead of waited for: a process that is held still must not hold all others for ever.
    while True:
        with suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        if time.monotonic() > until:
            return False
        time.sleep(_LOOK_S)


def _unlock(file: int) -> None:
    fcntl.flock(file, fcntl.LOCK_UN)
