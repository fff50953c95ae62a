"""CSV files for `tuneshift stats`: ratings with a row per rater, comparisons with a header."""

import csv
import io
import math
import sys
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import typer

from app.cells import raw_cell
from app.errors import InvalidInputError
from app.stats.estimate import Floats, Ints

FileArgument = Annotated[str, typer.Argument(metavar="FILE.csv", help="A CSV file; - is standard input.")]

_SCORES = {"left": 1.0, "tie": 0.5, "right": 0.0}
_NEEDED = ("left", "right", "winner")
_LENGTHS = ("length_left", "length_right")
_MEASURED = ("winner", *_LENGTHS)
_COLUMNS = (
    "Give the columns left, right and winner; item, annotator, length_left and length_right may stand beside them."
)


@dataclass(frozen=True, slots=True)
class Ratings:
    """Values of raters and units, one row each; `labels` are what the values stand for where they are no numbers."""

    values: Floats
    units: Ints
    raters: Ints
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Comparisons:
    """Pairs as shown and who won; a column that the file lacks is None."""

    names: tuple[str, ...]
    left: Ints
    right: Ints
    scores: Floats
    items: Ints | None
    annotators: Ints | None
    lengths: tuple[Floats, Floats] | None


def read_ratings(path: str, *, numeric: bool) -> Ratings:
    """Read rater-per-row CSV without a header, blanks for missing.

    Raises InvalidInputError, naming file, line and field, for rows of another width and, where the level needs numbers,
    for what is none.
    """
    name, parsed = _rows(path)
    rows = list(parsed)
    if not rows:
        raise InvalidInputError(f"{name} has no rows.", remedy="Give one row per rater, one field per unit.")
    width = len(rows[0][1])
    cells = []
    for rater, (line, fields) in enumerate(rows):
        _same_width(name, line, fields, width, "the first row")
        cells += [(line, rater, unit, field.strip()) for unit, field in enumerate(fields) if field.strip()]
    raters = np.array([rater for _, rater, _, _ in cells], dtype=np.int64)
    units = np.array([unit for _, _, unit, _ in cells], dtype=np.int64)
    if not numeric and not all(_is_number(text) for *_, text in cells):
        labels = sorted({text for *_, text in cells})
        place = {label: at for at, label in enumerate(labels)}
        values = np.array([place[text] for *_, text in cells], dtype=np.float64)
        return Ratings(values, units, raters, tuple(labels))
    numbers = [_number(name, line, f"field {unit + 1}", text) for line, _, unit, text in cells]
    return Ratings(np.array(numbers, dtype=np.float64), units, raters, ())


def read_comparisons(path: str) -> Comparisons:
    """Read CSV with the columns left, right and winner (left, right or tie), and what else is there.

    Raises InvalidInputError, naming file, line and field.
    """
    name, rows = _rows(path)
    first = next(rows, None)
    if first is None:
        raise InvalidInputError(f"{name} has no rows.", remedy=_COLUMNS)
    header = [field.strip() for field in first[1]]
    at = _places(name, first[0], header)
    # Only numbers are kept of a row: a million rows of text would be a gigabyte.
    labels: dict[str, dict[str, int]] = {column: {} for column in ("item", "annotator")}
    labels["left"] = labels["right"] = {}
    kept = {column: array("d") for column in at}
    for line, fields in rows:
        _same_width(name, line, fields, len(header), "the header")
        row = {column: raw_cell(fields[field].strip()) for column, field in at.items()}
        _check_row(name, line, row)
        for column, text in row.items():
            kept[column].append(_worth(name, line, column, text, labels))
    if not kept["winner"]:
        raise InvalidInputError(f"{name} has a header and no comparison.", remedy="Give one comparison a row.")
    codes = {column: _by_name(kept[column], labels[column]) for column in labels if column in kept}
    measured = {column: np.array(kept[column]) for column in _MEASURED if column in kept}
    return Comparisons(
        tuple(sorted(labels["left"])),
        codes["left"],
        codes["right"],
        measured["winner"],
        codes.get("item"),
        codes.get("annotator"),
        (measured[_LENGTHS[0]], measured[_LENGTHS[1]]) if _LENGTHS[0] in measured else None,
    )


def _worth(name: str, line: int, column: str, text: str, labels: dict[str, dict[str, int]]) -> float:
    """Turn a field into its number: a score, a length, or the place of a label among those seen so far."""
    if column == "winner":
        return _SCORES[text]
    if column in _LENGTHS:
        return _length(name, line, column, text)
    known = labels[column]
    return known.setdefault(text, len(known))


def _by_name(codes: "array[float]", known: dict[str, int]) -> Ints:
    """Number labels by their alphabetical order instead of the order of the rows."""
    order = np.empty(len(known), dtype=np.int64)
    order[[known[label] for label in sorted(known)]] = np.arange(len(known))
    return np.asarray(order[np.array(codes, dtype=np.int64)])


def _rows(path: str) -> tuple[str, Iterator[tuple[int, list[str]]]]:
    """Read a file, or standard input for `-`: its name in messages, and each row that has a field with its line."""
    name = "standard input" if path == "-" else path
    try:
        if path == "-":
            raw = sys.stdin.buffer.read()
        else:
            with open(path, "rb") as file:  # noqa: PTH123  a path of the command line, as it was typed
                raw = file.read()
    except OSError as error:
        raise InvalidInputError(f"{name} cannot be read ({error.strerror}).", remedy="Give a CSV file.") from error
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInputError(
            f"{name} is not UTF-8 text (byte {error.start}).", remedy="Save it as UTF-8."
        ) from error
    return name, _parsed(name, text)


def _parsed(name: str, text: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for fields in reader:
            if fields:
                yield reader.line_num, fields
    except csv.Error as error:
        raise InvalidInputError(
            f"{name}, line {reader.line_num}: not CSV ({error}).", remedy="Quote fields as RFC 4180 says."
        ) from error


def _same_width(name: str, line: int, fields: Sequence[str], width: int, first: str) -> None:
    if len(fields) != width:
        raise InvalidInputError(
            f"{name}, line {line}: {len(fields)} fields, but {first} has {width}.",
            remedy="Give every row the same number of fields; leave a missing one blank.",
        )


def _places(name: str, line: int, header: list[str]) -> dict[str, int]:
    missing = [column for column in _NEEDED if column not in header]
    if missing:
        raise InvalidInputError(f"{name}, line {line}: no column {', '.join(missing)}.", remedy=_COLUMNS)
    known = (*_NEEDED, "item", "annotator", *_LENGTHS)
    twice = [column for column in known if header.count(column) > 1]
    if twice:
        raise InvalidInputError(f"{name}, line {line}: the column {twice[0]} stands there twice.", remedy=_COLUMNS)
    if (_LENGTHS[0] in header) != (_LENGTHS[1] in header):
        raise InvalidInputError(
            f"{name}, line {line}: one of length_left and length_right is missing.", remedy="Give both, or neither."
        )
    return {column: header.index(column) for column in known if column in header}


def _check_row(name: str, line: int, row: dict[str, str]) -> None:
    for column in ("left", "right", "item", "annotator"):
        if row.get(column) == "":
            raise InvalidInputError(
                f"{name}, line {line}, field {column}: empty.", remedy="Give a name, or leave the row or column out."
            )
    if row["left"] == row["right"]:
        raise InvalidInputError(
            f"{name}, line {line}: {row['left']} stands on both sides.", remedy="Compare two different systems."
        )
    if row["winner"] not in _SCORES:
        raise InvalidInputError(
            f"{name}, line {line}, field winner: {row['winner']!r}.", remedy="Give left, right or tie."
        )


def _length(name: str, line: int, column: str, text: str) -> float:
    value = _number(name, line, f"field {column}", text)
    if value < 0:
        raise InvalidInputError(f"{name}, line {line}, field {column}: {text} is negative.", remedy="Give a length.")
    return value


def _number(name: str, line: int, field: str, text: str) -> float:
    if not _is_number(text):
        raise InvalidInputError(
            f"{name}, line {line}, {field}: {text!r} is not a finite number.",
            remedy="Give a number, or leave the field blank where the value is missing; there is no header.",
        )
    return float(text)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
