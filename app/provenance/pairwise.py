"""A response and one answer beside each other: the runs of words both have, wherever they stand."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.provenance.words import Symbol, split

# Shorter runs are how everybody writes; single words are marked on their own.
MIN_WORDS = 3
_HALF = 2

Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Run:
    """Words that stand in a row in both: `response[start:end]` and `answer[other_start:other_end]` (code points)."""

    start: int
    end: int
    other_start: int
    other_end: int
    words: float


def common_runs(response: str, answer: str, *, min_words: int = MIN_WORDS) -> tuple[Run, ...]:
    """Find the runs of at least `min_words` words that two texts share, in the order of the response.

    Longest first, each word of the response belongs to one run only; a run begins and ends with a word. Symbols are
    compared folded, as in the index.
    """
    own, other = list(split(response)), list(split(answer))
    taken = [False] * len(own)
    found = []
    for length, end, other_end in sorted(_matches(own, other), key=lambda match: (-match[0], match[1], match[2])):
        bounds = _trim(own, taken, end - length + 1, end)
        if bounds is None:
            continue
        first, last = bounds
        words = sum(symbol.weight for symbol in own[first : last + 1]) / _HALF
        if words < min_words:
            continue
        taken[first : last + 1] = [True] * (last + 1 - first)
        shift = other_end - end
        run = own[first].start, own[last].end, other[first + shift].start, other[last + shift].end
        found.append(Run(*run, words))
    return tuple(sorted(found, key=lambda run: run.start))


def common_words(response: str, answer: str) -> dict[str, tuple[list[Range], list[Range]]]:
    """Find the words two texts share: folded form -> all places in both, (start, end) in code points."""
    own, other = _places(response), _places(answer)
    return {form: (places, other[form]) for form, places in own.items() if form in other}


def _places(text: str) -> dict[str, list[Range]]:
    found: dict[str, list[Range]] = {}
    for symbol in split(text):
        if symbol.weight:
            found.setdefault(symbol.form, []).append((symbol.start, symbol.end))
    return found


def _matches(own: Sequence[Symbol], other: Sequence[Symbol]) -> list[tuple[int, int, int]]:
    """List maximal equal runs as (symbols, last symbol of one, last symbol of the other)."""
    places: dict[str, list[int]] = {}
    for at, symbol in enumerate(other):
        places.setdefault(symbol.form, []).append(at)
    running: dict[int, int] = {}
    ended: list[tuple[int, int, int]] = []
    for at, symbol in enumerate(own):
        following = {place: running.get(place - 1, 0) + 1 for place in places.get(symbol.form, ())}
        ended += [(length, at - 1, place) for place, length in running.items() if place + 1 not in following]
        running = following
    return ended + [(length, len(own) - 1, place) for place, length in running.items()]


def _trim(own: Sequence[Symbol], taken: Sequence[bool], first: int, last: int) -> tuple[int, int] | None:
    """Cut what longer runs have taken, and marks at both ends; None when nothing is left."""
    while first <= last and (taken[first] or not own[first].weight):
        first += 1
    while last >= first and (taken[last] or not own[last].weight):
        last -= 1
    return (first, last) if first <= last and not any(taken[first : last + 1]) else None
