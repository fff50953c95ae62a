"""Which judgments stand behind a number of the monitor: the rows it counts, by a name for an address. Pure."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from app.monitor.columns import NOBODY, Bools, Ints, Sheet

ORDERS = {
    "newest": "newest first",
    "oldest": "oldest first",
    "time": "least active time first",
    "read": "least read first",
}


@dataclass(frozen=True, slots=True)
class Choice:
    """A choice of rows: how it is called, and the rows, given which of them rules take out."""

    title: str
    rows: Callable[[Sheet, Bools], Bools]


def _measured(sheet: Sheet) -> Bools:
    known: Bools = (sheet.side != NOBODY) & (sheet.longer != NOBODY)
    return sheet.judged & known


CHOICES: dict[str, Choice] = {
    "all": Choice("All judgments, practice and gold too", lambda sheet, _: np.ones(len(sheet.columns), dtype=np.bool_)),
    "judged": Choice("Regular items", lambda sheet, _: sheet.judged),
    "left": Choice("Chose left", lambda sheet, _: sheet.judged & (sheet.side == 0)),
    "right": Choice("Chose right", lambda sheet, _: sheet.judged & (sheet.side == 1)),
    "longer": Choice("Chose the longer", lambda sheet, _: _measured(sheet) & (sheet.side == sheet.longer)),
    "shorter": Choice("Chose the shorter", lambda sheet, _: _measured(sheet) & (sheet.side != sheet.longer)),
    "ties": Choice("Ties", lambda sheet, _: sheet.judged & (sheet.side == NOBODY)),
    "work": Choice("Regular and gold items", lambda sheet, _: sheet.regular | sheet.gold),
    "skips": Choice("Could not be judged", lambda sheet, _: sheet.regular & ~sheet.judged),
    "flags": Choice("Flagged", lambda sheet, _: sheet.regular & sheet.columns.flagged),
    "recognised": Choice("A model was recognised", lambda sheet, _: sheet.regular & sheet.columns.recognised),
    "notes": Choice("Flagged, commented on or skipped", lambda sheet, _: sheet.columns.noted),
    "gold": Choice("Gold items", lambda sheet, _: sheet.gold),
    "gold-wrong": Choice("Gold items answered otherwise", lambda sheet, _: sheet.gold & ~sheet.right_answer),
    "excluded": Choice("Excluded", lambda _, out: out),
}


def ordered(sheet: Sheet, rows: Ints, order: str) -> Ints:
    """Put rows in an order of `ORDERS`; those of which nothing is known come last."""
    columns = sheet.columns
    if order == "oldest":
        return rows
    if order == "time":
        return rows[np.lexsort((columns.active_ms[rows], ~columns.timed[rows]))]
    if order == "read":
        return rows[np.argsort(np.fmin(columns.read_left[rows], columns.read_right[rows]), kind="stable")]
    return rows[::-1]
