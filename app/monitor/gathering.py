"""Judgments put in columns block by block, so that no more than a block of rows is ever in memory. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from app.monitor.columns import CODE, Bools, Columns, Ids, Ints, Judged, words_of

_Values = dict[str, npt.NDArray[Any]]
# Which list of ids each column has its places in.
_LISTS = {
    "who": "people",
    "item": "items",
    "pair": "pairs",
    "left": "arms",
    "right": "arms",
    "left_response": "responses",
    "right_response": "responses",
}
_NUMBERS: dict[str, Any] = {
    "number": np.int32,
    "active_ms": np.int64,
    "recognised": np.bool_,
    "flagged": np.bool_,
    "noted": np.bool_,
    "guideline_version": np.int32,
    # None becomes nan, which no mean counts.
    "read_left": np.float64,
    "read_right": np.float64,
}


class _Places(dict[str, int]):
    """Where each id stands in a list that only grows."""

    def __missing__(self, one: str) -> int:
        self[one] = place = len(self)
        return place

    def of(self, ids: Sequence[str]) -> Ints:
        return np.fromiter(map(self.__getitem__, ids), np.int32, count=len(ids))


@dataclass(slots=True)
class _Gathered:
    """The columns of the blocks so far; `guesses` are (presentation id, number of the revision, guess)."""

    places: Mapping[str, _Places]
    parts: dict[str, list[npt.NDArray[Any]]] = field(default_factory=dict)
    guesses: list[tuple[str, int, str]] = field(default_factory=list)

    def add(self, rows: Sequence[Judged]) -> None:
        """Put a block of rows in columns."""
        parts = list(zip(*rows, strict=True)) or [()] * len(Judged._fields)
        given = dict(zip(Judged._fields, parts, strict=True))
        named = dict(zip(_LISTS, Judged._fields[2:9], strict=True))
        values = {
            "ids": np.array(given["presentation_id"], dtype=np.bytes_),
            "preference": np.fromiter(map(CODE.__getitem__, given["preference"]), np.int8, count=len(rows)),
            "submitted": _microseconds(given["submitted"]),
            **{name: self.places[_LISTS[name]].of(given[column]) for name, column in named.items()},
            **{name: np.array(given[name], dtype=kind) for name, kind in _NUMBERS.items()},
        }
        for name, value in values.items():
            self.parts.setdefault(name, []).append(value)
        if any(given["guess"]):
            said = zip(given["presentation_id"], given["number"], given["guess"], strict=True)
            self.guesses.extend(one for one in said if one[2].strip())


def _microseconds(moments: Sequence[int | str]) -> Ints:
    if moments and isinstance(moments[0], str):
        return np.array(moments, dtype="datetime64[us]").astype(np.int64)
    return np.array(moments, dtype=np.int64)


def columns_of(blocks: Iterable[Sequence[Judged]], before: Columns | None = None) -> Columns:
    """Put judgments in columns, beside those of `before`; a later number of a presentation replaces an earlier one.

    Rows may come in any order, in blocks of any size.
    """
    places = {name: _Places() for name in _LISTS.values()}
    if before is not None:
        for name, place in places.items():
            place.update((one, at) for at, one in enumerate(getattr(before, name)))
    gathered = _Gathered(places)
    gathered.add([])
    for block in blocks:
        if block:
            gathered.add(block)
    values = {name: _joined(gathered.parts.pop(name)) for name in list(gathered.parts)}
    order = _finals(values["ids"], values["number"])
    guesses = _final_guesses(gathered.guesses, values["ids"][order], values["number"][order])
    # These are in the order of their ids, which a stable sort keeps among those of one moment.
    order = order[np.argsort(values["submitted"][order], kind="stable")]
    for name in values:
        values[name] = values[name][order]
    if before is not None:
        changed = set(values["ids"].astype(np.str_).tolist())
        guesses |= {key: guess for key, guess in before.guesses.items() if key not in changed}
        values = _merged(before, values)
    named: dict[str, Any] = {name: tuple(place) for name, place in places.items()} | values
    return Columns(guesses=guesses, **named)


def _joined(parts: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    whole = np.concatenate(parts)
    parts.clear()
    return whole


def _finals(ids: Ids, number: Ints) -> Ints:
    """Find the row of the last revision of each presentation, in the order of the ids."""
    order = np.lexsort((number, *reversed(words_of(ids))))
    in_order = ids[order]
    last: Ints = order[np.append(in_order[1:] != in_order[:-1], np.ones(min(1, len(ids)), dtype=np.bool_))]
    return last


def _final_guesses(guesses: Sequence[tuple[str, int, str]], ids: Ids, number: Ints) -> dict[str, str]:
    said = np.array([one[0] for one in guesses], dtype=np.bytes_)
    final = number[np.searchsorted(ids, said)] if guesses else ()
    return {key: guess for (key, at, guess), last in zip(guesses, final, strict=True) if at == last}


def _merged(before: Columns, fresh: _Values) -> _Values:
    """Put fresh rows in their places among those of before, which are in order, instead of the same presentations'."""
    old = {name: getattr(before, name) for name in fresh}
    again = _is_in(before.ids, fresh["ids"])
    if again.any():
        old = {name: value[~again] for name, value in old.items()}
    where = _places_among(old["ids"], old["submitted"], fresh["ids"], fresh["submitted"])
    width = max(old["ids"].dtype.itemsize, fresh["ids"].dtype.itemsize)
    old["ids"] = old["ids"].astype(f"S{width}")
    return {name: np.insert(old.pop(name), where, value) for name, value in fresh.items()}


def _is_in(ids: Ids, few: Ids) -> Bools:
    width = max(ids.dtype.itemsize, few.dtype.itemsize)
    first, sought = words_of(ids, width)[0], words_of(few, width)[0]
    found = np.isin(first, sought)
    found[found] = np.isin(ids[found], few)
    return found


def _places_among(ids: Ids, submitted: Ints, new_ids: Ids, new_submitted: Ints) -> Ints:
    first, after = (np.searchsorted(submitted, new_submitted, side=side) for side in ("left", "right"))
    for at in np.flatnonzero(first < after):
        first[at] += np.searchsorted(ids[first[at] : after[at]], new_ids[at])
    return first
