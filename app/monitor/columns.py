"""A study's judgments as columns: what the monitor counts with, sorted once and counted many times. Pure.

Rows are indices into the columns. Ids are kept once each and stand in columns as their place in a list.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from app.monitor.facts import GOLD, REGULAR, SIDES, SKIP

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

ANSWERED = ("left", "right", "tie_good", "tie_bad", SKIP)
_CODE = {answer: code for code, answer in enumerate(ANSWERED)}
_SKIP = _CODE[SKIP]
NOBODY = -1


class Judged(NamedTuple):
    """The final revision of one presentation, as it comes from the database. `noted`: anything in words, or flagged."""

    presentation_id: str
    number: int
    annotator_id: str
    item_id: str
    pair_id: str
    left_arm_id: str
    right_arm_id: str
    left_response_id: str
    right_response_id: str
    preference: str
    active_ms: int
    submitted_at: datetime
    recognised: bool
    guess: str
    flagged: bool
    noted: bool
    guideline_version: int
    read_left: float | None
    read_right: float | None


@dataclass(frozen=True, slots=True)
class Columns:
    """Judgments in the order they were first submitted, ids breaking ties. `submitted` is in microseconds, UTC."""

    ids: npt.NDArray[np.str_]
    number: Ints
    people: Sequence[str]
    items: Sequence[str]
    pairs: Sequence[str]
    arms: Sequence[str]
    responses: Sequence[str]
    who: Ints
    item: Ints
    pair: Ints
    left: Ints
    right: Ints
    left_response: Ints
    right_response: Ints
    preference: Ints
    active_ms: Ints
    submitted: Ints
    recognised: Bools
    flagged: Bools
    noted: Bools
    guideline_version: Ints
    read_left: Floats
    read_right: Floats
    guesses: Mapping[str, str]

    def __len__(self) -> int:
        """Count the judgments."""
        return len(self.ids)

    @property
    def timed(self) -> Bools:
        """Tell whose times are known; those of some imported judgments are not."""
        return np.asarray(self.active_ms >= 0)


@dataclass(slots=True)
class _Places:
    """Where each id stands in a list that only grows."""

    known: dict[str, int] = field(default_factory=dict)

    def of(self, ids: Iterable[str]) -> Ints:
        known = self.known
        return np.array([known.setdefault(one, len(known)) for one in ids], dtype=np.int64)


def columns_of(rows: Sequence[Judged], before: Columns | None = None) -> Columns:
    """Put judgments in columns, after those of `before`; a later number of a presentation replaces an earlier one.

    Rows may come in any order.
    """
    fresh = _newest(rows)
    parts = list(zip(*fresh, strict=True)) or [()] * len(Judged._fields)
    given = dict(zip(Judged._fields, parts, strict=True))
    places = {name: _Places() for name in ("people", "items", "pairs", "arms", "responses")}
    if before is not None:
        for name, place in places.items():
            place.known = {one: at for at, one in enumerate(getattr(before, name))}
    values: dict[str, npt.NDArray[Any]] = {
        "ids": np.array(given["presentation_id"], dtype=np.str_),
        "number": np.array(given["number"], dtype=np.int64),
        "who": places["people"].of(given["annotator_id"]),
        "item": places["items"].of(given["item_id"]),
        "pair": places["pairs"].of(given["pair_id"]),
        "left": places["arms"].of(given["left_arm_id"]),
        "right": places["arms"].of(given["right_arm_id"]),
        "left_response": places["responses"].of(given["left_response_id"]),
        "right_response": places["responses"].of(given["right_response_id"]),
        "preference": np.array([_CODE[one] for one in given["preference"]], dtype=np.int64),
        "active_ms": np.array(given["active_ms"], dtype=np.int64),
        "submitted": _microseconds(given["submitted_at"]),
        "recognised": np.array(given["recognised"], dtype=np.bool_),
        "flagged": np.array(given["flagged"], dtype=np.bool_),
        "noted": np.array(given["noted"], dtype=np.bool_),
        "guideline_version": np.array(given["guideline_version"], dtype=np.int64),
        # None becomes nan, which no mean counts.
        "read_left": np.array(given["read_left"], dtype=np.float64),
        "read_right": np.array(given["read_right"], dtype=np.float64),
    }
    guesses = {row.presentation_id: row.guess for row in fresh if row.guess.strip()}
    if before is not None:
        kept = ~np.isin(before.ids, values["ids"])
        values = {name: np.concatenate([getattr(before, name)[kept], new]) for name, new in values.items()}
        again = {row.presentation_id for row in fresh}
        guesses |= {key: guess for key, guess in before.guesses.items() if key not in again}
    order = np.lexsort((values["ids"], values["submitted"]))
    named: dict[str, Any] = {name: tuple(place.known) for name, place in places.items()}
    named |= {name: value[order] for name, value in values.items()}
    return Columns(guesses=guesses, **named)


def _newest(rows: Sequence[Judged]) -> list[Judged]:
    newest: dict[str, Judged] = {}
    for row in rows:
        stands = newest.get(row.presentation_id)
        if stands is None or stands.number < row.number:
            newest[row.presentation_id] = row
    return list(newest.values())


def _microseconds(moments: Sequence[datetime]) -> Ints:
    # numpy knows no zones; all of these are UTC.
    return np.array([one.replace(tzinfo=None) for one in moments], dtype="datetime64[us]").astype(np.int64)


def microseconds(moment: datetime) -> int:
    """Count the microseconds of a UTC moment as the columns do."""
    return int(_microseconds([moment])[0])


@dataclass(frozen=True, slots=True)
class KnownItem:
    """What an item is: its kind, and of a practice or gold item the answer that is expected."""

    kind: str
    expected: str = ""


@dataclass(frozen=True, slots=True)
class Sheet:
    """Columns with what they mean. `side` is 0 left, 1 right, else -1; `longer` the side of the longer text, or -1.

    `chosen` is the arm preferred by its place, -1 for a tie or none. `right_answer` tells of gold items alone.
    """

    columns: Columns
    regular: Bools
    gold: Bools
    judged: Bools
    side: Ints
    chosen: Ints
    longer: Ints
    right_answer: Bools


def sheet_of(
    columns: Columns, items: Mapping[str, KnownItem], lengths: Mapping[str, int], better_arm_id: str = ""
) -> Sheet:
    """Say what columns mean, from what items are and how long responses are; unknown responses have length 0."""
    kinds = [items[item_id].kind for item_id in columns.items]
    regular, gold = (np.array([kind == one for kind in kinds], dtype=np.bool_)[columns.item] for one in (REGULAR, GOLD))
    side = np.where(columns.preference < len(SIDES), columns.preference, NOBODY)
    chosen = np.select([side == 0, side == 1], [columns.left, columns.right], NOBODY)
    long = np.array([lengths.get(response_id, 0) for response_id in columns.responses], dtype=np.int64)
    left, right = long[columns.left_response], long[columns.right_response]
    expected = [items[item_id].expected for item_id in columns.items]
    better = columns.arms.index(better_arm_id) if better_arm_id in columns.arms else NOBODY - 1
    wants_better = np.array([one == "better" for one in expected], dtype=np.bool_)[columns.item]
    wants = np.array([_CODE.get(one, NOBODY) for one in expected], dtype=np.int64)[columns.item]
    return Sheet(
        columns=columns,
        regular=regular,
        gold=gold,
        judged=regular & (columns.preference != _SKIP),
        side=side,
        chosen=chosen,
        longer=np.select([left > right, right > left], [0, 1], NOBODY),
        right_answer=gold & np.where(wants_better, chosen == better, columns.preference == wants),
    )
