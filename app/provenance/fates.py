"""Where the tokens of a response are found: in a verbatim span, elsewhere in its neighbours, or nowhere near.

Shift and provenance on one text: the same tokens counted by their shift class and by what was found of them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from app.provenance.index import Index
from app.provenance.presence import holders, units_of
from app.provenance.reading import read
from app.provenance.spans import Span
from app.provenance.tokens import TokenRange
from app.shift.classes import ShiftClass


@dataclass(frozen=True, slots=True)
class Counts:
    """Tokens by shift class."""

    unshifted: int
    marginal: int
    shifted: int

    @property
    def n(self) -> int:
        """All of them."""
        return self.unshifted + self.marginal + self.shifted


@dataclass(frozen=True, slots=True)
class Fates:
    """Tokens that hold a word: in a verbatim span; else in a neighbour's answer; else in neither."""

    verbatim: Counts
    near: Counts
    nowhere: Counts

    @property
    def n(self) -> int:
        """All tokens that hold a word."""
        return self.verbatim.n + self.near.n + self.nowhere.n


def counts(tokens: Sequence[TokenRange]) -> Counts:
    """Count tokens by shift class."""
    by_class = [sum(token.shift is shift for token in tokens) for shift in ShiftClass]
    return Counts(*by_class)


def fates(
    index: Index, text: str, tokens: Sequence[TokenRange], spans: Sequence[Span], positions: Sequence[int]
) -> Fates:
    """Tell each token's fate, given the spans of the response and its neighbours' positions in the set."""
    near = np.zeros(len(index), dtype=bool)
    near[np.asarray(positions, dtype=np.int64)] = True
    reading = read(index, text)
    wordy = list(_wordy(tokens, [(symbol.start, symbol.end) for symbol in reading.symbols if symbol.weight]))
    units = units_of(reading, wordy)
    known: dict[tuple[object, ...], bool] = {}
    found: dict[str, list[TokenRange]] = {"verbatim": [], "near": [], "nowhere": []}
    for token, unit in zip(wordy, units, strict=True):
        if any(token.start < span.end and token.end > span.start for span in spans):
            found["verbatim"].append(token)
            continue
        if unit.key not in known:
            known[unit.key] = bool(near[holders(index, unit)].any())
        found["near" if known[unit.key] else "nowhere"].append(token)
    return Fates(**{name: counts(those) for name, those in found.items()})


def _wordy(tokens: Sequence[TokenRange], words: Sequence[tuple[int, int]]) -> Iterator[TokenRange]:
    """Yield the tokens that wrote some of a word, in order."""
    at = 0
    for token in sorted(tokens, key=lambda token: token.start):
        while at < len(words) and words[at][1] <= token.start:
            at += 1
        if at < len(words) and words[at][0] < token.end and token.end > token.start:
            yield token
