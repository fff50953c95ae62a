"""Files that commands read and write. `-` is standard input or output; a run that fails leaves nothing half written."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from app.cli.common import notes
from app.errors import InvalidInputError, StorageError

STANDARD = "-"


def name_of(source: Path) -> str:
    """Call a file to read what messages call it."""
    return "standard input" if str(source) == STANDARD else str(source)


@contextmanager
def readable(source: Path) -> Iterator[Path]:
    """Yield a file that can be read more than once: `source`, or a copy of standard input."""
    if str(source) != STANDARD:
        yield source
        return
    with tempfile.NamedTemporaryFile(prefix="tuneshift-") as copy:
        shutil.copyfileobj(sys.stdin.buffer, copy)
        copy.flush()
        yield Path(copy.name)


def read_lines(source: Path) -> list[str]:
    """Read UTF-8 lines, with or without a byte order mark; raises InvalidInputError naming the file."""
    name = name_of(source)
    try:
        raw = sys.stdin.buffer.read() if str(source) == STANDARD else source.read_bytes()
    except FileNotFoundError as error:
        raise InvalidInputError(f"{name} does not exist.") from error
    except OSError as error:
        raise InvalidInputError(f"{name} cannot be read ({error.strerror}).", remedy="Give a file of lines.") from error
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise InvalidInputError(
            f"{name}, line {line}: it is not UTF-8 text (byte {error.start} of the file).",
            remedy="Save the file as UTF-8.",
        ) from error
    if not text.strip():
        raise InvalidInputError(f"{name} is empty.", remedy="Give one JSON object a line.")
    # Only line feeds end a line of JSONL: splitlines() would cut a text at U+2028 too.
    return text.removesuffix("\n").split("\n")


def read_bytes(file: Path) -> bytes:
    """Read a file whole; raises InvalidInputError naming it."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise InvalidInputError(f"{file} cannot be read: {error.strerror}.") from error


def target_of(target: str) -> Path:
    """Return where a file is to be written, links followed.

    Raises InvalidInputError where it cannot be: in a folder that is not there, or over a folder.
    """
    path = Path(os.path.realpath(target))
    if not path.parent.is_dir():
        raise InvalidInputError(f"The folder {path.parent} does not exist.", remedy="Create it or name another.")
    if path.is_dir():
        raise InvalidInputError(f"{target} is a folder.", remedy="Name a file in it.")
    return path


def whole_target(target: str) -> Path:
    """Return where a file is to be put when it is complete; raises InvalidInputError for a device or a pipe too."""
    path = target_of(target)
    if path.exists() and not path.is_file():
        raise InvalidInputError(f"{target} is no file that can be replaced.", remedy="Name a file.")
    return path


@contextmanager
def output_file(target: str, *, keep: tuple[type[BaseException], ...] = ()) -> Iterator[TextIO]:
    """Open a text file to write, `-` for standard output; a file appears under its name only when complete.

    What was written until a failure is removed; after one of `keep` it stays as `.partial`, and a note says so.
    Raises InvalidInputError for a place that cannot be written, StorageError for a disk that takes no more.
    """
    if target == STANDARD:
        yield sys.stdout
        return
    path = target_of(target)
    if path.exists() and not path.is_file():
        # A device or a pipe: there is no name to give back, and replacing it would remove it.
        with _opened(path, target) as file:
            yield file
        return
    partial = path.with_name(f"{path.name}.partial")
    opened, kept = _opened(partial, target), False
    try:
        with opened as file:
            yield file
        partial.replace(path)
    except OSError as error:
        if error.filename not in {None, str(partial)}:
            raise
        raise StorageError(
            f"{target} could not be written ({error.strerror or error}).",
            remedy="Nothing was left there; make room or name another place.",
        ) from error
    except keep:
        kept = partial.exists() and partial.stat().st_size > 0
        if kept:
            notes.print(f"The lines that were finished are in {partial}.", markup=False, soft_wrap=True)
        raise
    finally:
        if not kept:
            partial.unlink(missing_ok=True)


def _opened(path: Path, target: str) -> TextIO:
    try:
        return path.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise InvalidInputError(
            f"{target} cannot be written ({error.strerror}).", remedy="Name a file you may write."
        ) from error
