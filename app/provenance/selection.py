"""Where selected words of a response stand in a tuning set; and if nowhere, which part of them does."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.provenance.index import Index
from app.provenance.reading import Reading, read
from app.provenance.sources import Source, instances_at, sources_at
from app.provenance.spans import longest_match, occurrences

SOURCES = 10


@dataclass(frozen=True, slots=True)
class Found:
    """Words of a response found in a row: `text` is `response[start:end]` (code points).

    `words` counts them; `places` and `instances` say how often and in how many instances they stand; `sources` are the
    first of those, in the set's order.
    """

    start: int
    end: int
    text: str
    words: float
    places: int
    instances: int
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class Selection:
    """What was asked, widened to whole words: `text` is `response[start:end]` (code points), empty without a word.

    `exact` is None where the words never stand in a row; `longest` is then their longest part that does, None where
    not one of them occurs.
    """

    start: int
    end: int
    text: str
    words: float
    exact: Found | None = None
    longest: Found | None = None


def find_selection(index: Index, text: str, start: int, end: int, *, sources: int = SOURCES) -> Selection:
    """Find `text[start:end]` (code points), widened to whole words, in every answer of a tuning set.

    Case, quotes' shapes and white space make no difference, as everywhere in this package.
    """
    whole = read(index, text)
    inside = [at for at, symbol in enumerate(whole.symbols) if symbol.start < end and symbol.end > start]
    if not inside:
        return Selection(start, start, "", 0)
    first, last = inside[0], inside[-1] + 1
    bounds = whole.symbols[first].start, whole.symbols[last - 1].end
    selection = Selection(*bounds, text[slice(*bounds)], _words(whole, first, last))
    exact = _found(index, whole, first, last, sources)
    if exact:
        return Selection(*bounds, selection.text, selection.words, exact=exact)
    return Selection(*bounds, selection.text, selection.words, longest=_longest(index, whole, first, last, sources))


def _longest(index: Index, whole: Reading, first: int, last: int, sources: int) -> Found | None:
    """Find the part with most words, the first of equals; it begins and ends with a word."""
    best: tuple[float, int, int] | None = None
    for start in range(first, last):
        if not whole.symbols[start].weight:
            continue
        end = min(last, start + longest_match(index, whole, start))
        while end > start and not whole.symbols[end - 1].weight:
            end -= 1
        words = _words(whole, start, end)
        if words and (best is None or words > best[0]):
            best = (words, start, end)
    return _found(index, whole, best[1], best[2], sources) if best else None


def _found(index: Index, whole: Reading, first: int, last: int, sources: int) -> Found | None:
    if int(whole.ids[first:last].max()) >= len(index.weights):
        return None
    positions: NDArray[np.int32] = occurrences(index, whole, first, last)
    if not len(positions):
        return None
    start, end = whole.symbols[first].start, whole.symbols[last - 1].end
    return Found(
        start=start,
        end=end,
        text=whole.text[start:end],
        words=_words(whole, first, last),
        places=len(positions),
        instances=len(instances_at(index, positions)),
        sources=sources_at(index, positions, last - first, limit=sources),
    )


def _words(whole: Reading, first: int, last: int) -> float:
    return sum(symbol.weight for symbol in whole.symbols[first:last]) / 2
