"""The tables read back from the files of an export: JSON Lines where there is one, CSV otherwise."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from app.results.report.columns import USED, Columns, of_cells, of_rows
from app.results.report.tables import SHIFT_CLASSES, Asked, Tables, Text, asked_of, tables_of


def read_folder(folder: Path) -> Tables:
    """Read an unpacked export. Raises FileNotFoundError for one without preferences."""
    columns = {table: _columns(folder, table) for table in USED}
    # Of a revoked rule only that it is revoked counts here.
    columns["exclusions"] = dict(columns["exclusions"]) | {
        "revoked_at": ["revoked" if one else "" for one in columns["exclusions"]["revoked_at"]]
    }
    return tables_of(columns, _texts(folder), _asked(folder))


def _asked(folder: Path) -> Asked:
    manifest = folder / "manifest.json"
    if not manifest.exists():
        return Asked()
    return asked_of(json.loads(manifest.read_text(encoding="utf-8"))["study"]["questions"])


def _columns(folder: Path, table: str) -> Columns:
    lines = folder / f"{table}.jsonl"
    if lines.exists():
        return of_rows(table, _records(lines))
    cells = folder / f"{table}.csv"
    if not cells.exists() and table != "preferences":
        return of_rows(table, ())
    with cells.open(encoding="utf-8-sig", newline="") as file:
        return of_cells(table, csv.DictReader(file, strict=True))


def _records(path: Path) -> Iterator[Mapping[str, Any]]:
    # Not splitlines(): a JSON string may hold U+2028 and its like unescaped.
    with path.open(encoding="utf-8", newline="\n") as file:
        for line in file:
            if line.strip():
                yield json.loads(line)


def _texts(folder: Path) -> dict[tuple[str, str], Text]:
    """Join responses and their traces; what has no file is described by nothing."""
    responses = folder / "responses.jsonl"
    if not responses.exists():
        return {}
    traces = folder / "traces.jsonl"
    scored = _by_response(_records(traces)) if traces.exists() else {}
    return {
        (row["item_id"], row["model"]): _text(row, scored.get((row["item_id"], row["model"], row["checkpoint"])))
        for row in _records(responses)
        if row["item_kind"] == "regular"
    }


def _by_response(rows: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str, str], Mapping[str, Any]]:
    """Choose the trace that findings go by, of several the first by reference and by what the reference read."""
    found: dict[tuple[str, str, str], Mapping[str, Any]] = {}
    for row in sorted(rows, key=lambda row: (row["reference"], row["base_prompt"])):
        if row["text_lengths"] is not None:
            found.setdefault((row["item_id"], row["model"], row["checkpoint"]), row)
    return found


def _text(row: Mapping[str, Any], trace: Mapping[str, Any] | None) -> Text:
    characters, tokens, checkpoint = len(row["text"]), row["tokens"] or None, row["checkpoint"] or ""
    if trace is None:
        return Text(characters, tokens, checkpoint=checkpoint)
    n = min(len(trace["text_lengths"]), len(trace["classes"]))
    places = {name: at for at, name in enumerate(SHIFT_CLASSES)}
    return Text(
        characters=characters,
        tokens=tokens,
        lengths=np.asarray(trace["text_lengths"][:n], np.int64),
        classes=np.asarray([places[name] for name in trace["classes"][:n]], np.int8),
        checkpoint=checkpoint,
    )
