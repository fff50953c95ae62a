"""A study's judgments as columns: what the monitor counts with, sorted once and counted many times. Pure.

Rows are indices into the columns. Ids are kept once each and stand in columns as their place in a list, so that a
judgment takes about 100 bytes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from app.monitor.facts import GOLD, REGULAR, SIDES, SKIP

Ints = npt.NDArray[np.integer[Any]]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ids = npt.NDArray[np.bytes_]

ANSWERED = ("left", "right", "tie_good", "tie_bad", SKIP)
CODE = {answer: code for code, answer in enumerate(ANSWERED)}
_SKIP = CODE[SKIP]
NOBODY = -1
_WORD = 8


class Judged(NamedTuple):
    """A submitted revision of one presentation, as it comes from the database. `noted`: anything in words, or flagged.

    `submitted` is in microseconds, or a text `YYYY-MM-DD HH:MM:SS.ffffff`, UTC.
    """

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
    submitted: int | str
    recognised: bool
    guess: str
    flagged: bool
    noted: bool
    guideline_version: int
    read_left: float | None
    read_right: float | None


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Columns:
    """Judgments in the order they were first submitted, ids breaking ties. `submitted` is in microseconds, UTC.

    `guesses` are by presentation id.
    """

    ids: Ids
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

    def id_of(self, row: int) -> str:
        """Name the presentation that was judged."""
        return bytes(self.ids[row]).decode("ascii")


def words_of(ids: Ids, width: int = 0) -> list[npt.NDArray[np.uint64]]:
    """Read ids, as if of `width` bytes at least, as numbers in the same order, which are sorted much faster."""
    count = -(-max(ids.dtype.itemsize, width) // _WORD)
    table = ids.astype(f"S{count * _WORD}").view(">u8").reshape(len(ids), count)
    return [table[:, at].astype(np.uint64) for at in range(count)]


def microseconds(moment: datetime) -> int:
    """Count the microseconds of a UTC moment as the columns do."""
    # numpy knows no zones.
    return int(np.datetime64(moment.replace(tzinfo=None), "us").astype(np.int64))


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
    chosen = np.where(side == 0, columns.left, np.where(side == 1, columns.right, NOBODY))
    long = np.array([lengths.get(response_id, 0) for response_id in columns.responses], dtype=np.int32)
    left, right = long[columns.left_response], long[columns.right_response]
    expected = [items[item_id].expected for item_id in columns.items]
    better = columns.arms.index(better_arm_id) if better_arm_id in columns.arms else NOBODY - 1
    wants_better = np.array([one == "better" for one in expected], dtype=np.bool_)[columns.item]
    wants = np.array([CODE.get(one, NOBODY) for one in expected], dtype=np.int8)[columns.item]
    return Sheet(
        columns=columns,
        regular=regular,
        gold=gold,
        judged=regular & (columns.preference != _SKIP),
        side=side,
        chosen=chosen,
        longer=np.where(left == right, NOBODY, right > left).astype(np.int8),
        right_answer=gold & np.where(wants_better, chosen == better, columns.preference == wants),
    )
