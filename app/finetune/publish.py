"""Write a folder or file so that nobody ever sees half of it."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from app.errors import ConflictError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


class BusyError(ConflictError):
    """Another process is already writing the same target."""


def _acquire(handle: IO[bytes]) -> None:
    if sys.platform == "win32":
        msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)
        return
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def locked(path: Path, *, doing: str) -> Iterator[None]:
    """Hold `path` as an exclusive lock; raise BusyError at once when another process holds it.

    The system frees the lock when its holder dies, so a killed run never blocks the next one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as handle:
        try:
            _acquire(handle)
        except OSError as error:
            raise BusyError(
                f"Another process is already {doing} (it holds {path}).", remedy="Wait for it to finish."
            ) from error
        yield


def _fsync(path: Path) -> None:
    if sys.platform == "win32" and path.is_dir():
        return  # Windows has no handle on a directory to flush
    descriptor = os.open(path, os.O_RDONLY if sys.platform != "win32" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _fsync_tree(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(0o644)  # safetensors writes for its owner alone, a server may run as another user
        _fsync(path)
    _fsync(folder)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
        return
    path.unlink(missing_ok=True)


@contextmanager
def publishing(target: Path) -> Iterator[Path]:
    """Yield an empty folder beside `target`; on success flush it to disk and rename it to `target`.

    On any error, and after a kill, `target` is what it was before. Leftovers of a killed run are removed by the
    next one. Raises BusyError when another process is writing the same target.
    """
    target = target.absolute()
    partial = target.with_name(f".{target.name}.partial")
    old = target.with_name(f".{target.name}.old")
    with locked(target.with_name(f".{target.name}.lock"), doing=f"writing {target}"):
        if old.exists() and not target.exists():
            old.rename(target)  # killed between the two renames below
        _remove(old)
        _remove(partial)
        partial.mkdir()
        try:
            yield partial
            _fsync_tree(partial)
        except BaseException:
            _remove(partial)
            raise
        if target.exists():
            target.rename(old)
        partial.rename(target)
        _fsync(target.parent)
        _remove(old)


def write_text(path: Path, text: str) -> None:
    """Replace `path` with `text` (UTF-8) in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    _fsync(partial)
    partial.replace(path)
    _fsync(path.parent)
