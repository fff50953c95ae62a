"""Which instances of a tuning set stand beside a marked span: retrieved ones, decoys drawn by a key, and their order.

Pure: an index, a text and a study's seed in, positions out. Definitions: docs/evidence.md.
"""

import hashlib
import hmac
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.provenance.index import Index
from app.provenance.neighbours import nearest
from app.provenance.selection import find_selection
from app.provenance.spans import MAX_INSTANCES
from app.provenance.tokens import TokenRange
from app.shift.classes import ShiftClass

VERBATIM, NEAREST = "verbatim", "nearest"
# Code points of the response on either side of the span that take part in the search.
CONTEXT = 300
# A decoy is drawn among the answers nearest in length: this share of the set on either side, at least and at most so
# many. Near the longest and the shortest there are fewer on one side, so fewer are taken on both, down to the fewest.
_ALIKE_SHARE, _ALIKE_LEAST, _ALIKE_MOST, _ALIKE_FEWEST = 0.01, 10, 500, 5


@dataclass(frozen=True, slots=True)
class Retrieved:
    """An instance found for a span: its position in the set, how it was found, its score where the search has one."""

    position: int
    origin: str
    score: float | None


@dataclass(frozen=True, slots=True)
class Retrieval:
    """What is shown for a span, best first, and every position the search found: none of those can be a decoy."""

    shown: tuple[Retrieved, ...]
    related: frozenset[int]


@dataclass(frozen=True, slots=True)
class DrawKey:
    """What a draw depends on: the study's seed, and the span it is for, in code points."""

    seed: str
    presentation_id: str
    side: str
    start: int
    end: int

    def of(self, what: str, position: int) -> str:
        """Hash one candidate: HMAC-SHA256 under the seed, 64 hexadecimal digits."""
        # A JSON list keeps ("a", "bc") and ("ab", "c") apart.
        parts = [what, self.presentation_id, self.side, self.start, self.end, position]
        message = json.dumps(parts, ensure_ascii=True, separators=(",", ":"))
        return hmac.new(self.seed.encode(), message.encode(), hashlib.sha256).hexdigest()


@dataclass(frozen=True, slots=True)
class Placed:
    """An instance in the order it is shown; `place` counts from 1. A decoy has neither origin nor score."""

    place: int
    position: int
    is_decoy: bool
    origin: str = ""
    score: float | None = None


def retrieve(index: Index, text: str, start: int, end: int, *, k: int) -> Retrieval:
    """Find the k instances for `text[start:end]` (code points): those that hold its words in a row, then the nearest.

    The nearest are sought with the words around the span, those of the span weighing three times. Words in more than 50
    instances are a set phrase and hold nobody's place; among those that hold them the nearest come first.
    """
    exact = find_selection(index, text, start, end, sources=MAX_INSTANCES).exact
    holders = exact.sources if exact and exact.instances <= MAX_INSTANCES else ()
    first, last = _around(text, start, end)
    emphasised = TokenRange(start - first, end - first, ShiftClass.SHIFTED)
    near = nearest(index, text[first:last], [emphasised], k=k + len(holders))
    scores = {neighbour.position: neighbour.score for neighbour in near}
    verbatim = sorted((one.position for one in holders), key=lambda at: (-scores.get(at, 0.0), at))
    others = [position for position in scores if position not in verbatim]
    found = [Retrieved(at, VERBATIM, scores.get(at)) for at in verbatim]
    found += [Retrieved(at, NEAREST, scores[at]) for at in others]
    return Retrieval(tuple(found[:k]), frozenset([*verbatim, *others]))


def _around(text: str, start: int, end: int) -> tuple[int, int]:
    """Widen a span by its context, whole words only where white space tells."""
    first, last = max(0, start - CONTEXT), min(len(text), end + CONTEXT)
    while 0 < first < start and not text[first - 1].isspace():
        first += 1
    while end < last < len(text) and not text[last].isspace():
        last -= 1
    return first, last


def place(
    index: Index, retrieval: Retrieval, key: DrawKey, *, wanted: int, before: Mapping[int, bool]
) -> tuple[Placed, ...]:
    """Fill up with decoys to `wanted` instances and put all in an order drawn by the key.

    `before` says what was shown for other spans of the presentation, as position -> is it a decoy. As many decoys come
    back as retrieved instances do, so that coming back tells nothing.
    """
    shown = {one.position: Placed(0, one.position, False, one.origin, one.score) for one in retrieval.shown}
    again = sum(position in before for position in shown)
    used = [at for at, is_decoy in before.items() if is_decoy and at not in retrieval.related]
    decoys = sorted(used, key=lambda at: key.of("decoy", at))[: min(again, max(0, wanted - len(shown)))]
    missing = wanted - len(shown) - len(decoys)
    decoys += _fresh(index, tuple(shown), key, number=missing, barred={*before, *retrieval.related})
    entries = [*shown.values(), *(Placed(0, at, is_decoy=True) for at in decoys)]
    entries.sort(key=lambda one: key.of("place", one.position))
    return tuple(
        Placed(at, one.position, one.is_decoy, one.origin, one.score) for at, one in enumerate(entries, start=1)
    )


def _fresh(index: Index, models: tuple[int, ...], key: DrawKey, *, number: int, barred: Collection[int]) -> list[int]:
    """Draw decoys never shown before, each among the answers about as long as that of one retrieved instance."""
    lengths = answer_lengths(index)
    free = np.setdiff1d(np.arange(len(index)), np.fromiter(barred, dtype=np.int64, count=len(barred)))
    texts = {index.instance(position).answers for position in models}
    drawn: list[int] = []
    for at in range(number):
        target = int(lengths[models[at % len(models)]]) if models else None
        for position in sorted(_alike(lengths, free, target), key=lambda one: key.of("decoy", one)):
            # The same answer twice in a set would be a decoy that was retrieved.
            answers = index.instance(position).answers
            if answers not in texts:
                drawn.append(position)
                texts.add(answers)
                free = free[free != position]
                break
    return drawn


def _alike(lengths: NDArray[np.int64], free: NDArray[np.int64], target: int | None) -> list[int]:
    """List the free positions nearest in length by rank, as many shorter as longer where there are."""
    if target is None:
        return [int(position) for position in free]
    ordered = free[np.argsort(lengths[free], kind="stable")]
    sides = [int(np.searchsorted(lengths[ordered], target, side)) for side in ("left", "right")]
    at = sum(sides) // 2
    half = int(min(_ALIKE_MOST, max(_ALIKE_LEAST, _ALIKE_SHARE * len(ordered))))
    half = max(_ALIKE_FEWEST, min(half, at, len(ordered) - at))
    low = max(0, min(at - half, len(ordered) - 2 * half))
    return [int(position) for position in ordered[low : low + 2 * half]]


def answer_lengths(index: Index) -> NDArray[np.int64]:
    """Return how long the answers of each instance are, (n,) in bytes of UTF-8."""
    each = np.diff(np.asarray(index.answers.ends, dtype=np.int64), prepend=0)
    return np.add.reduceat(each, np.asarray(index.firsts)) if len(index) else np.zeros(0, np.int64)
