"""A response as the index sees it: its symbols, their ids, and where its sentences and lines end."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.provenance.index import Index
from app.provenance.words import Symbol, split

_SENTENCE_ENDS = frozenset(".!?\u2026\u061f\u0964")
_FULL_STOPS = frozenset("\u3002\uff01\uff1f")


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """Symbols of `text`, their ids (S,) uint32 (an id beyond the vocabulary for what the set never has), and segments.

    `segments[i]` numbers the line or sentence symbol i stands in, from 0; `known[i]` is its id or None.
    """

    text: str
    symbols: tuple[Symbol, ...]
    ids: NDArray[np.uint32]
    segments: tuple[int, ...]

    known: tuple[int | None, ...]

    def __len__(self) -> int:
        return len(self.symbols)


def read(index: Index, text: str) -> Reading:
    """Split a response and look its symbols up."""
    symbols = tuple(split(text))
    unknown = len(index.weights)
    forms = list({symbol.form for symbol in symbols})
    known = dict(zip(forms, index.symbols(forms), strict=True))
    found = tuple(known[symbol.form] for symbol in symbols)
    ids = np.asarray([unknown if at is None else at for at in found], dtype=np.uint32)
    return Reading(text, symbols, ids, _segments(text, symbols), found)


def _segments(text: str, symbols: tuple[Symbol, ...]) -> tuple[int, ...]:
    """Number lines and sentences: a new one begins after a line break, or a full stop that white space follows."""
    numbers, number = [], 0
    for position, symbol in enumerate(symbols):
        if position and _parts(text, symbols[position - 1], symbol):
            number += 1
        numbers.append(number)
    return tuple(numbers)


def _parts(text: str, before: Symbol, after: Symbol) -> bool:
    gap = text[before.end : after.start]
    mark = text[before.start]
    return mark in _FULL_STOPS or (bool(gap) and mark in _SENTENCE_ENDS) or "\n" in gap or "\r" in gap
