"""Cells of exported files: one spelling for every value, RFC 4180 records that no spreadsheet runs. Pure."""

import unicodedata
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

FORMULA_STARTS = frozenset("=+-@\t\r\0＝＋－＠")  # noqa: RUF001  the full-width forms count as formulas too
_MUST_QUOTE = frozenset('",\r\n')


def csv_line(values: Iterable[Any]) -> str:
    """Write one RFC 4180 record, CRLF included, no text of which a spreadsheet would run as a formula.

    Numbers stay numbers, a negative one too.
    """
    return ",".join(_quoted(_cell(value)) for value in values) + "\r\n"


def _cell(value: Any) -> str:
    text = as_text(value)
    return text if isinstance(value, int | float) else safe_cell(text)


def as_text(value: Any) -> str:
    """Spell a value the one way exports spell it: empty for None, true/false, UTC timestamps with milliseconds."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return utc_text(value)
    return str(value)


UNKNOWN_MS = -1
"""Stored as active and wall time of an imported judgment whose file knows neither, nor when it was handed out."""


def known_ms(stored: int) -> int | None:
    """Return a time that was measured, None for one that is unknown."""
    return None if stored == UNKNOWN_MS else stored


def utc_text(moment: datetime) -> str:
    """Write a moment as ISO 8601 in UTC with milliseconds; one without a zone is UTC, as the database keeps it."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def safe_cell(text: str) -> str:
    """Put an apostrophe before text a spreadsheet would run: = + - @ TAB CR NUL, full-width forms, after any blanks.

    Text that already begins with an apostrophe and would read as protected gets one more, so `raw_cell` can undo it.
    """
    return f"'{text}" if _starts_formula(text) else text


def raw_cell(cell: str) -> str:
    """Undo `safe_cell`: what a cell of our own CSV said before it was protected."""
    return cell[1:] if cell.startswith("'") and _starts_formula(cell[1:]) else cell


def _starts_formula(text: str) -> bool:
    for character in text:
        if character in FORMULA_STARTS:
            return True
        # Spreadsheets trim blanks and invisible characters before they look for a formula.
        if character != "'" and not character.isspace() and unicodedata.category(character) != "Cf":
            return False
    return False


def _quoted(cell: str) -> str:
    if _MUST_QUOTE.isdisjoint(cell):
        return cell
    return '"' + cell.replace('"', '""') + '"'
