"""One row of an export as a CSV record or a JSON line, fast enough for millions. Pure."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from app.cells import as_text, safe_cell
from app.results.column import Kind

# A cell of these alone needs neither quotes nor a look at how spreadsheets would read it.
_PLAIN = re.compile(r"[0-9A-Za-z_.:;()/ -]*").fullmatch
_NEEDS_CARE = frozenset('",\r\n')
# Prompts, names and hashes repeat from row to row; long texts are not kept.
_SHORT = 4_000

_ENCODE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=as_text).encode


def json_text(value: Any) -> str:
    """Write a value as JSON without blanks, Unicode as it is, moments as exports spell them."""
    return _ENCODE(value)


def json_record(row: Mapping[str, Any]) -> str:
    """Write one JSON Lines record, exact: nothing is escaped against spreadsheets here."""
    return json_text(row) + "\n"


def csv_record(kinds: Sequence[Kind]) -> Callable[[Sequence[Any]], str]:
    """Return what writes a row's values as one RFC 4180 record, CRLF included, as `app.cells.csv_line` would.

    Lists and objects become JSON text.
    """
    writers = [_WRITERS.get(kind, _as_json) for kind in kinds]

    def write(values: Sequence[Any]) -> str:
        cells = ["" if value is None else cell(value) for cell, value in zip(writers, values, strict=True)]
        return ",".join(cells) + "\r\n"

    return write


@lru_cache(maxsize=8_192)
def _short_text(text: str) -> str:
    if text[:1] not in {" ", "-"} and _PLAIN(text):
        return text
    cell = safe_cell(text)
    return cell if _NEEDS_CARE.isdisjoint(cell) else '"' + cell.replace('"', '""') + '"'


def _text(value: Any) -> str:
    text = str(value)
    return _short_text(text) if len(text) < _SHORT else _short_text.__wrapped__(text)


def _as_json(value: Any) -> str:
    return _text(json_text(value))


def _bool(value: Any) -> str:
    return "true" if value else "false"


_WRITERS: dict[Kind, Callable[[Any], str]] = {
    "text": _text,
    "int": str,
    "float": str,
    "bool": _bool,
    "time": as_text,
}
