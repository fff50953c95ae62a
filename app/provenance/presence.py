"""Which instances hold what a token wrote: its word, or the part of a longer word that the token is."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from app.provenance.index import Index
from app.provenance.reading import Reading
from app.provenance.subwords import grams_of
from app.provenance.tokens import TokenRange
from app.provenance.words import Symbol
from app.shift.classes import ShiftClass


@dataclass(frozen=True, slots=True)
class Unit:
    """A token that wrote (part of) a word: the word's folded form and symbol, and the characters of it, if a part."""

    shift: ShiftClass
    form: str
    symbol: int | None
    part: tuple[int, int] | None

    @property
    def key(self) -> tuple[object, ...]:
        """What decides where the unit is held: all but its class."""
        return self.form, self.part


def units_of(reading: Reading, tokens: Sequence[TokenRange]) -> list[Unit]:
    """Turn tokens into units, in order; tokens that wrote no part of a word (marks, space, nothing) give none."""
    units, first = [], 0
    known = reading.known
    for token in sorted(tokens, key=lambda token: token.start):
        while first < len(reading) and reading.symbols[first].end <= token.start:
            first += 1
        at, most, overlap = first, -1, 0
        while at < len(reading) and reading.symbols[at].start < token.end:
            symbol = reading.symbols[at]
            shared = min(token.end, symbol.end) - max(token.start, symbol.start)
            if symbol.weight and shared > overlap:
                most, overlap = at, shared
            at += 1
        if overlap:
            symbol = reading.symbols[most]
            units.append(Unit(token.shift, symbol.form, known[most], _part(symbol, token)))
    return units


def holders(index: Index, unit: Unit) -> NDArray[np.int32]:
    """Return the instances whose answers hold the unit's word, or a word with its part; may repeat, unsorted."""
    words = [] if unit.symbol is None else [unit.symbol]
    if unit.part is not None:
        words += _words_with(index, unit.form, unit.part)
    if not words:
        return np.zeros(0, dtype=np.int32)
    passages = index.passages_of(np.asarray(words, dtype=np.int64)) if len(words) > 1 else index.postings(words[0])[0]
    # With one answer each, passages are instances.
    return passages if index.passages == len(index) else np.take(index.owners, passages)


def _part(symbol: Symbol, token: TokenRange) -> tuple[int, int] | None:
    """Return the characters of the folded word that the token wrote, or None for the whole of it."""
    start, end = max(token.start - symbol.start, 0), min(token.end, symbol.end) - symbol.start
    whole = (start, end) == (0, symbol.end - symbol.start)
    # Where folding changed the length, characters of the word as written are not those of its form.
    return None if whole or len(symbol.form) != symbol.end - symbol.start else (start, end)


def _words_with(index: Index, form: str, part: tuple[int, int]) -> list[int]:
    """List the words of the tuning set that have every sub-word lying in `form[start:end]`; none when there is none."""
    start, end = part
    inside = [gram for gram in grams_of(form, index.encoder) if start <= gram.start and gram.end <= end]
    lists = index.words_with([gram.key for gram in inside])
    if not lists or len(lists) < len(inside):
        return []
    return list(reduce(lambda one, other: np.intersect1d(one, other, assume_unique=True), lists).tolist())
