"""Ratings as they are stored, many JSON texts at once, into one small number each.

Nearly all texts of a study differ in nothing but their digits. So one text of each form is parsed, and the digits of
the others are taken from the same places; what has another form is parsed by itself.
"""

import json
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.results.report.coded import Ints
from app.results.report.tables import SIDES, Ratings

_Places = tuple[Ints, Ints, Ints]

_PLAIN_NAME = re.compile(r"[\w .-]+", re.ASCII)
_DIGIT = re.compile(r'": ?([1-5])(?=[,}])')
# Beyond so many forms among texts of one length, each text is parsed.
_FORMS = 8
_LOWEST, _HIGHEST = 1, 5


class RatingsRead:
    """Ratings of judgments in the order in which they were added, batch after batch."""

    def __init__(self) -> None:
        """Start with no judgment and no dimension."""
        self._names: dict[str, int] = {}
        self._batches: list[NDArray[np.int8]] = []

    def add(self, texts: Sequence[str]) -> None:
        """Add judgments by their stored texts: `{"left": {dimension: 1..5}, "right": {...}}` each."""
        grid = _Grid(len(texts), self._names)
        lengths = np.fromiter(map(len, texts), np.int64, count=len(texts))
        for length in np.unique(lengths).tolist():
            _add_alike(grid, texts, np.flatnonzero(lengths == length))
        self._batches.append(grid.values)

    def whole(self) -> Ratings:
        """Return all of them and forget them; the names of dimensions are sorted."""
        names = sorted(self._names)
        order = [self._names[name] for name in names]
        values = np.zeros((sum(map(len, self._batches)), len(SIDES), len(names)), np.int8)
        at = 0
        batches, self._batches = self._batches, []
        for batch in batches:
            # A batch knows the dimensions that had been seen by then.
            for place, code in enumerate(order):
                if code < batch.shape[2]:
                    values[at : at + len(batch), :, place] = batch[:, :, code]
            at += len(batch)
        return Ratings(tuple(names), values)


class _Grid:
    """The values of a batch, `[judgments, 2, dimensions]`, which widens with every dimension that is new."""

    def __init__(self, rows: int, names: dict[str, int]) -> None:
        self._names = names
        self.values: NDArray[np.int8] = np.zeros((rows, len(SIDES), len(names)), np.int8)

    def code(self, name: str) -> int:
        code = self._names.setdefault(name, len(self._names))
        if code >= self.values.shape[2]:
            self.values = np.pad(self.values, ((0, 0), (0, 0), (0, code + 1 - self.values.shape[2])))
        return code

    def put(self, row: int, rated: dict[str, dict[str, int | None]]) -> None:
        for side, given in rated.items():
            for name, value in given.items():
                code = self.code(name)
                self.values[row, SIDES.index(side), code] = value or 0


def _add_alike(grid: _Grid, texts: Sequence[str], rows: Ints) -> None:
    """Add texts of one length, form by form."""
    for _ in range(_FORMS):
        first = texts[rows[0]]
        places = _places(grid, first)
        joined = "".join(texts[at] for at in rows)
        if places is None or not joined.isascii():
            break
        block = np.frombuffer(joined.encode(), np.uint8).reshape(len(rows), len(first))
        digits, side, code = places
        values = block[:, digits].astype(np.int8) - ord("0")
        fixed = np.delete(np.arange(len(first)), digits)
        alike = (block[:, fixed] == block[0, fixed]).all(axis=1) & _all_within(values)
        found = np.flatnonzero(alike)
        grid.values[rows[found, None], side[None], code[None]] = values[found]
        rows = rows[~alike]
        if not rows.size:
            return
    # One text of all of them, because a call for each would take most of the time.
    for row, rated in zip(rows.tolist(), json.loads(f"[{','.join(texts[at] for at in rows)}]"), strict=True):
        grid.put(row, rated)


def _all_within(values: NDArray[np.int8]) -> NDArray[np.bool_]:
    return np.asarray(((values >= _LOWEST) & (values <= _HIGHEST)).all(axis=1))


def _places(grid: _Grid, text: str) -> _Places | None:
    """Find where the digits of a text stand, and the side and dimension of each; None where that is not certain."""
    rated = json.loads(text)
    given = [(side, name, value) for side, values in rated.items() for name, value in values.items()]
    digits = [(found.start(1), int(found[1])) for found in _DIGIT.finditer(text)]
    # A name without quotes and colons holds nothing that looks like a digit after a name.
    if not all(_PLAIN_NAME.fullmatch(name) for _, name, _ in given) or not _same(given, digits):
        return None
    return (
        np.asarray([at for at, _ in digits], np.int64),
        np.asarray([SIDES.index(side) for side, _, _ in given], np.int64),
        np.asarray([grid.code(name) for _, name, _ in given], np.int64),
    )


def _same(given: Sequence[tuple[str, str, Any]], digits: Sequence[tuple[int, int]]) -> bool:
    return [value for _, _, value in given] == [value for _, value in digits]
