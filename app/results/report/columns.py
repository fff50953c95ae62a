"""Which columns of which export tables the findings rest on, and how a cell of a file becomes a value."""

import json
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Columns = Mapping[str, Any]
"""A column is a sequence; a long one may be an array already, or, where it is of texts, `coded.Coded`."""

_FORMULA_STARTS = frozenset("=+-@\t\r\0＝＋－＠")  # noqa: RUF001  the full-width forms count as formulas too


def _text(cell: str) -> str:
    return _raw(cell)


def _whole(cell: str) -> int | None:
    return int(cell) if cell else None


def _boolean(cell: str) -> bool | None:
    return {"true": True, "false": False, "": None}[cell]


def _json(cell: str) -> Any:
    return json.loads(cell) if cell else None


Kind = Callable[[str], Any]

USED: dict[str, dict[str, Kind]] = {
    "preferences": {
        "item_id": _text,
        "presentation_id": _text,
        "annotator_pid": _text,
        "prompt": _text,
        "model_left": _text,
        "model_right": _text,
        "preference_raw": _text,
        "strength": _whole,
        "first_preference": _text,
        "active_ms": _whole,
        "recognised_model": _boolean,
        "guideline_version": _whole,
        "excluded": _boolean,
        "exclusion_reason": _text,
        "recognised_guess": _text,
        "stratum": _text,
    },
    "ratings": {"presentation_id": _text, "side": _text, "dimension": _text, "value": _whole},
    "hallucinations": {
        "presentation_id": _text,
        "side": _text,
        "start": _whole,
        "end": _whole,
        "type": _text,
        "severity": _text,
        "causal": _boolean,
        "shift": _json,
    },
    "evidence": {
        "presentation_id": _text,
        "side": _text,
        "start": _whole,
        "end": _whole,
        "is_decoy": _boolean,
        "marked": _boolean,
        "verdict": _text,
    },
    "acceptability": {"presentation_id": _text, "side": _text, "acceptable": _boolean},
    "gold": {"annotator_pid": _text, "right": _boolean},
    "annotators": {"annotator_pid": _text, "state": _text, "recognised_model": _boolean},
    "exclusions": {
        "rule": _text,
        "reason": _text,
        "revoked_at": _text,
        "judgments": _whole,
        "annotators": _whole,
    },
}


def of_rows(table: str, rows: Iterable[Mapping[str, Any]]) -> Columns:
    """Turn the rows of an export table into the columns used; None in a text column is empty text."""
    kinds = USED[table]
    columns: dict[str, list[Any]] = {name: [] for name in kinds}
    for row in rows:
        for name, column in columns.items():
            column.append(row[name])
    for name, kind in kinds.items():
        if kind is _text:
            columns[name] = ["" if value is None else str(value) for value in columns[name]]
    return columns


def of_cells(table: str, rows: Iterable[Mapping[str, str]]) -> Columns:
    """Turn the records of a CSV file into the columns used."""
    kinds = USED[table]
    columns: dict[str, list[Any]] = {name: [] for name in kinds}
    for row in rows:
        for name, kind in kinds.items():
            columns[name].append(kind(row[name]))
    return columns


def _raw(cell: str) -> str:
    """Take away the apostrophe that keeps a spreadsheet from running a cell; see README.md of the export."""
    return cell[1:] if cell.startswith("'") and _starts_formula(cell[1:]) else cell


def _starts_formula(text: str) -> bool:
    for character in text:
        if character in _FORMULA_STARTS:
            return True
        if character != "'" and not character.isspace() and unicodedata.category(character) != "Cf":
            return False
    return False
