"""Cut a file into records without holding it: JSONL, a JSON list, or Parquet, told apart by the first bytes."""

import codecs
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from app.errors import InvalidInputError

# One conversation of 16 MiB is no conversation: the limit keeps a file without line breaks out of memory.
MAX_RECORD_BYTES = 16 * 1024 * 1024
_START = 4096
_CHUNK = 256 * 1024
_ROWS = 500
_BLANK = " \t\r\n"
_UTF8_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_KINDS = "Give a JSON list, JSON Lines or a Parquet file"


class DataError(InvalidInputError):
    """Instruction data that cannot be read: names the file, the line or record, the field, and the remedy."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record as it stands in the file: `where` for messages, and how many bytes of the file it ends after."""

    where: str
    value: Any
    end: int


def fail(where: str, problem: str, remedy: str) -> DataError:
    """Make a refusal of two sentences."""
    return DataError(f"{where}: {problem}.", remedy=f"{remedy}.")


def iter_records(path: Path, name: str) -> Iterator[Record]:
    """Yield the records of `path`, called `name` in messages, in constant memory.

    Raises DataError for a file that cannot be opened, is not UTF-8, or breaks off; naming line (JSONL, from 1),
    record (JSON list, from 0) or row (Parquet, from 0).
    """
    try:
        with path.open("rb") as file:
            yield from _iter_open(file, path, name)
    except OSError as error:
        raise fail(name, f"cannot be read ({error.strerror or 'damaged'})", _KINDS) from error


def _iter_open(file: BinaryIO, path: Path, name: str) -> Iterator[Record]:
    start = file.read(_START)
    file.seek(len(_UTF8_MARK) if start.startswith(_UTF8_MARK) else 0)
    if start.startswith(b"PAR1"):
        yield from _parquet(path, name, file.seek(0, 2))
    elif start.startswith(_UTF16_MARKS) or b"\x00" in start[:4]:
        raise fail(f"{name}, line 1", "not UTF-8 (it looks like UTF-16)", "Save the file as UTF-8")
    elif start.removeprefix(_UTF8_MARK).lstrip().startswith(b"["):
        yield from _json_list(file, name)
    else:
        yield from _json_lines(file, name)


def _json_lines(file: BinaryIO, name: str) -> Iterator[Record]:
    number, end = 0, file.tell()
    while line := file.readline(MAX_RECORD_BYTES + 1):
        number, end = number + 1, end + len(line)
        where = f"{name}, line {number}"
        if len(line) > MAX_RECORD_BYTES:
            raise _too_long(where)
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            raise _not_utf8(where) from error
        if text.strip(_BLANK):
            yield Record(where, _parse_line(text, where), end)


def _parse_line(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        problem = f"not JSON ({error.msg})"
        raise fail(f"{where}, column {error.colno}", problem, "Write one object a line, or one JSON list") from error
    except (RecursionError, ValueError) as error:
        raise _unreasonable(where, error) from error


@dataclass
class _Text:
    """The decoded part of a file that is still needed, and where it begins: line and column from 1."""

    file: BinaryIO
    name: str
    text: str = ""
    line: int = 1
    column: int = 1
    ended: bool = False

    def __post_init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def more(self) -> bool:
        """Append what follows, as much again as is held; False at the end of the file."""
        if self.ended:
            return False
        raw = self.file.read(max(_CHUNK, len(self.text)))
        self.ended = not raw
        try:
            self.text += self._decoder.decode(raw, final=self.ended)
        except UnicodeDecodeError as error:
            line = self.line + self.text.count("\n") + error.object[: error.start].count(b"\n")
            raise _not_utf8(f"{self.name}, line {line}") from error
        return not self.ended

    def drop(self, count: int) -> None:
        """Forget the first `count` characters."""
        self.line, self.column = self.place(count)
        self.text = self.text[count:]

    def place(self, at: int) -> tuple[int, int]:
        """Return line and column of a character held."""
        lines = self.text.count("\n", 0, at)
        if not lines:
            return self.line, self.column + at
        return self.line + lines, at - self.text.rfind("\n", 0, at)

    def broken(self, at: int, why: str) -> DataError:
        """Make the refusal of what stands there."""
        line, column = self.place(at)
        return fail(f"{self.name}, line {line}, column {column}", f"not JSON ({why})", "Correct it")

    def skip_blank(self, at: int) -> int:
        """Return the position of the first character from `at` on that is not white space, reading on as needed."""
        while True:
            while at < len(self.text) and self.text[at] in _BLANK:
                at += 1
            if at < len(self.text) or not self.more():
                return at


def _json_list(file: BinaryIO, name: str) -> Iterator[Record]:
    text = _Text(file, name)
    # Nothing but white space stands before the bracket, or this would not be read as a list.
    at = text.skip_blank(0) + 1
    number = 0
    at = text.skip_blank(at)
    while text.text[at : at + 1] != "]" or number:
        where = f"{name}, record {number}"
        value, at = _next_value(text, at, where)
        yield Record(where, value, file.tell())
        number += 1
        at = text.skip_blank(at)
        mark = text.text[at : at + 1]
        if mark == "]":
            break
        if mark != ",":
            raise text.broken(at, "Expecting ',' delimiter")
        at = text.skip_blank(at + 1)
        if at > _CHUNK:
            text.drop(at)
            at = 0
    end = text.skip_blank(at + 1)
    if end < len(text.text):
        raise text.broken(end, "Extra data after the list")


def _next_value(text: _Text, at: int, where: str) -> tuple[Any, int]:
    """Parse the value at `at`, reading on while it may only be cut off; records are objects, so no number is."""
    decoder = json.JSONDecoder()
    while True:
        try:
            return decoder.raw_decode(text.text, at)
        except json.JSONDecodeError:
            text.drop(at)
            at = 0
        except (RecursionError, ValueError) as error:
            raise _unreasonable(where, error) from None
        if len(text.text) > MAX_RECORD_BYTES:
            raise _too_long(where)
        if not text.more():
            raise _parse_error(text, where)


def _parse_error(text: _Text, where: str) -> DataError:
    try:
        json.JSONDecoder().raw_decode(text.text)
    except json.JSONDecodeError as error:
        return text.broken(error.pos, error.msg)
    except (RecursionError, ValueError) as error:
        return _unreasonable(where, error)
    return text.broken(len(text.text), "the file ends here")


def _parquet(path: Path, name: str, size: int) -> Iterator[Record]:
    import pyarrow as pa  # noqa: PLC0415  its libraries take a while to load, and few files are Parquet
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        with pq.ParquetFile(path, memory_map=True) as table:
            rows = max(table.metadata.num_rows, 1)
            number = 0
            for batch in table.iter_batches(batch_size=_ROWS, use_threads=False):
                for value in batch.to_pylist():
                    yield Record(f"{name}, row {number}", value, size * (number + 1) // rows)
                    number += 1
    except (pa.ArrowException, OSError) as error:
        reason = str(error).partition("\n")[0][:200].rstrip(".")
        raise fail(name, f"not a readable Parquet file ({reason})", "Write it again, or give JSON Lines") from error


def _too_long(where: str) -> DataError:
    return fail(where, f"longer than {MAX_RECORD_BYTES >> 20} MiB", "Write one object a line; split what is longer")


def _not_utf8(where: str) -> DataError:
    return fail(where, "not UTF-8", "Save the file as UTF-8 (iconv -f LATIN1 -t UTF-8 converts Latin-1)")


def _unreasonable(where: str, error: Exception) -> DataError:
    if isinstance(error, RecursionError):
        return fail(where, "nested too deeply", "Known shapes nest three levels")
    return fail(where, "holds a number with too many digits", "Shorten it or write it as text")
