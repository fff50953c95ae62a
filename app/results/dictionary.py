"""schema.json and README.md of an export, written from the same columns as its files. Pure."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from app.results.column import KINDS
from app.results.export import COLUMNS, FORMATS, MEANINGS
from app.results.formats.base import Format

_README = """\
# {name}

An export of the study `{slug}` by Tuneshift {version}, of the state as of {as_of}.

- `manifest.json` says what each file holds and weighs, how many judgments went into it, and why others did not.
  Check a file against its `sha256` there before you trust it.
- `schema.json` gives every column's type and meaning for programs.
- Every table is there as CSV, JSON Lines and Parquet, with the same rows in the same order.
- `formats/` holds the judgments as other tools take them. Judgments that a rule excludes are left out there, and
  counted in the manifest; in the tables they stay, marked.
- `results.json` holds every number of the results page; `python recompute.py` computes them again from the tables here
  with the code in `code/`, numpy and scipy, and names each that differs by more than 1e-9.

Text is UTF-8, times are UTC. CSV follows RFC 4180. In CSV, text that a spreadsheet would run as a formula (first
character `=`, `+`, `-`, `@`, tab, carriage return or NUL, also in full width, also after blanks or apostrophes) has one
apostrophe in front; take one leading apostrophe away wherever what follows would need one. JSON Lines and Parquet are
exact. Lists and objects are JSON text in CSV, objects also in Parquet.
"""


def readme(*, name: str, slug: str, version: str, as_of: str, formats: Iterable[Format]) -> str:
    """Write README.md: how to read the export, and every column of every table."""
    title = " ".join(name.split())
    parts = [_README.format(name=title, slug=slug, version=version, as_of=as_of), "\n# Formats of other tools\n\n"]
    parts += [f"- `formats/{one.file}`: {one.meaning}\n" for one in formats]
    parts.append("\n# Tables\n")
    for table, columns in COLUMNS.items():
        parts.append(f"\n## {table}\n\n{MEANINGS[table]}\n\n| column | type | meaning |\n|---|---|---|\n")
        parts += [f"| `{one.name}` | {one.kind} | {one.meaning} |\n" for one in columns]
    return "".join(parts)


def schema(formats: Iterable[Format]) -> str:
    """Write schema.json: the kinds of values, the columns of every table, the meaning of every format."""
    tables: dict[str, Mapping[str, Any]] = {
        table: {
            "meaning": MEANINGS[table],
            "files": [f"{table}.{form}" for form in FORMATS],
            "columns": [{"name": one.name, "type": one.kind, "meaning": one.meaning} for one in columns],
        }
        for table, columns in COLUMNS.items()
    }
    whole = {
        "types": KINDS,
        "tables": tables,
        "formats": {f"formats/{one.file}": one.meaning for one in formats},
    }
    return json.dumps(whole, ensure_ascii=False, indent=1) + "\n"
