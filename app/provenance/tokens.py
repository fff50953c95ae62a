"""The tokens of a response as ranges of its text, each with its shift class."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from app.provenance.words import Symbol
from app.shift.classes import ShiftClass

# How much more a word counts in the search when tuning chose it: the loan is sought where the tuning shows.
EMPHASIS = {ShiftClass.UNSHIFTED: 1.0, ShiftClass.MARGINAL: 2.0, ShiftClass.SHIFTED: 3.0}


@dataclass(frozen=True, slots=True)
class TokenRange:
    """One token of a response: the code points it wrote (`start == end` when none) and its shift class."""

    start: int
    end: int
    shift: ShiftClass


def place(texts: Iterable[str], classes: Iterable[ShiftClass]) -> tuple[TokenRange, ...]:
    """Lay tokens side by side: each text begins where the one before ended."""
    ranges, position = [], 0
    for text, shift in zip(texts, classes, strict=True):
        ranges.append(TokenRange(position, position + len(text), shift))
        position += len(text)
    return tuple(ranges)


def emphasis(symbols: Sequence[Symbol], tokens: Sequence[TokenRange]) -> list[float]:
    """Weigh each symbol by the strongest class among the tokens that share a character with it; 1 without tokens."""
    weights = [1.0] * len(symbols)
    position = 0
    for token in sorted(tokens, key=lambda token: token.start):
        while position < len(symbols) and symbols[position].end <= token.start:
            position += 1
        at = position
        while at < len(symbols) and symbols[at].start < token.end:
            weights[at] = max(weights[at], EMPHASIS[token.shift])
            at += 1
    return weights
