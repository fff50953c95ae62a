"""Files people send: streamed to disk as they come, hashed on the way, never held in memory.

A route listed in `UPLOAD_PATHS` may receive as much as `TUNESHIFT_MAX_UPLOAD_MIB` says; it takes nothing from the body
by itself and calls `receive_upload`.
"""

import hashlib
import os
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from fastapi import Request
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from app.errors import AppError, InvalidInputError

UPLOAD_PATHS = frozenset({"/traces/files", "/tuning-sets", "/studies/imports", "/studies/judgments"})

_MAX_FIELD_BYTES = 64 * 1024
_MAX_HEADER_BYTES = 16 * 1024
_WRITE_BYTES = 1024 * 1024
_PREFIX = "upload-"
_STALE_S = 24 * 60 * 60


class UploadTooLargeError(AppError):
    """The file is larger than this server accepts."""

    status = 413


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that came whole. Whoever asked for it moves or removes `path`; `fields` are the form's other fields."""

    path: Path
    filename: str
    sha256: str
    size: int
    fields: dict[str, str]


def too_large(max_bytes: int) -> UploadTooLargeError:
    """Say that a file is larger than `max_bytes`, and what to do."""
    return UploadTooLargeError(
        f"The file is larger than the {size_words(max_bytes)} this server accepts; nothing of it was kept.",
        remedy="Split it, or have the operator raise TUNESHIFT_MAX_UPLOAD_MIB.",
    )


def size_words(size: int) -> str:
    """Write a number of bytes as people say it."""
    for unit, name in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if size >= unit:
            return f"{size / unit:.3g} {name}"
    return f"{size} bytes"


async def receive_upload(request: Request, *, field: str, max_bytes: int, folder: Path) -> Upload:
    """Stream the file of form field `field` into a new file in `folder`, and read the form's other fields.

    Raises UploadTooLargeError beyond `max_bytes`, and InvalidInputError for a form without a file or one that broke
    off; the file is then gone again.
    """
    await run_in_threadpool(_prepare, folder)
    descriptor, name = await run_in_threadpool(tempfile.mkstemp, prefix=_PREFIX, dir=folder)
    path = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            form = _Form(wanted=field, file=file, max_bytes=max_bytes)
            await _feed(request, form)
        return form.upload(path)
    except BaseException:
        path.unlink(missing_ok=True)  # noqa: ASYNC240 - a cancelled request may wait for nothing
        raise


def _prepare(folder: Path) -> None:
    """Make the folder, and remove what an upload left there when its server was killed."""
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(f"{_PREFIX}*"):
        if time.time() - left.stat().st_mtime > _STALE_S:
            left.unlink(missing_ok=True)


async def _feed(request: Request, form: "_Form") -> None:
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    boundary = options.get(b"boundary")
    if kind != b"multipart/form-data" or not boundary:
        raise InvalidInputError("This address takes a form with a file.", remedy="Send it as multipart/form-data.")
    try:
        parser = MultipartParser(boundary, form.callbacks())  # type: ignore[arg-type]
        async for chunk in request.stream():
            parser.write(chunk)
            if len(form.pending) >= _WRITE_BYTES:
                await run_in_threadpool(form.write)
        parser.finalize()
        await run_in_threadpool(form.write)
    except MultipartParseError as error:
        raise InvalidInputError("The form could not be read.", remedy="Send it again.") from error
    except ClientDisconnect as error:
        raise InvalidInputError("The upload broke off.", remedy="Send it again.") from error
    if not form.complete:
        raise InvalidInputError("The upload broke off.", remedy="Send it again.")


@dataclass
class _Form:
    """What the parser has read so far. Its callbacks only collect; `write` does the slow part, in a thread."""

    wanted: str
    file: BinaryIO
    max_bytes: int
    pending: bytearray = field(default_factory=bytearray)
    complete: bool = False
    size: int = 0
    filename: str | None = None
    fields: dict[str, bytearray] = field(default_factory=dict)
    sha256: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    _header: bytearray = field(default_factory=bytearray)
    _value: bytearray = field(default_factory=bytearray)
    _disposition: bytes = b""
    _current: bytearray | None = None

    def callbacks(self) -> dict[str, object]:
        """Return what the parser calls."""
        return {
            "on_part_begin": self._begin_part,
            "on_header_field": lambda data, start, end: self._collect(self._header, data[start:end]),
            "on_header_value": lambda data, start, end: self._collect(self._value, data[start:end]),
            "on_header_end": self._end_header,
            "on_headers_finished": self._end_headers,
            "on_part_data": self._part_data,
            "on_end": self._end,
        }

    def write(self) -> None:
        """Hash and write what has come."""
        self.sha256.update(self.pending)
        self.file.write(self.pending)
        self.pending.clear()

    def upload(self, path: Path) -> Upload:
        """Return the finished upload. Raises InvalidInputError without a file, or with text nobody can read."""
        fields = {name: _text(name, raw) for name, raw in self.fields.items()}
        if not self.filename:
            raise InvalidInputError("No file was chosen.", remedy="Choose one and send the form again.")
        if not self.size:
            raise InvalidInputError(f"{self.filename!r} is empty.", remedy="Choose a file with lines in it.")
        return Upload(path, self.filename, self.sha256.hexdigest(), self.size, fields)

    def _begin_part(self) -> None:
        self._disposition = b""
        self._current = None

    def _collect(self, into: bytearray, data: bytes) -> None:
        into += data
        if len(into) > _MAX_HEADER_BYTES:
            raise InvalidInputError("The form could not be read.", remedy="Send it again.")

    def _end_header(self) -> None:
        if bytes(self._header).lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _end_headers(self) -> None:
        _, options = parse_options_header(self._disposition)
        name = _text("the name of a field", options.get(b"name", b""))
        if name == self.wanted and b"filename" in options and self.filename is None:
            self.filename = _text(name, options[b"filename"]).replace("\\", "/").rpartition("/")[2][:200]
            self._current = self.pending
        else:
            self._current = self.fields.setdefault(name, bytearray())

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        assert self._current is not None  # noqa: S101 - the parser reads the headers of a part first
        self._current += memoryview(data)[start:end]
        if self._current is not self.pending:
            if sum(map(len, self.fields.values())) > _MAX_FIELD_BYTES:
                raise InvalidInputError(f"The form's fields are larger than {size_words(_MAX_FIELD_BYTES)}.")
            return
        self.size += end - start
        if self.size > self.max_bytes:
            raise too_large(self.max_bytes)

    def _end(self) -> None:
        self.complete = True


def _text(name: str, raw: bytes | bytearray) -> str:
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{name[:40]!r} is not UTF-8 text.") from error
    if "\x00" in text:
        raise InvalidInputError(f"{name[:40]!r} contains a NUL character.")
    return text
