"""Verbatim spans: the longest runs of words a response shares with an answer of the tuning set.

The pipeline is OLMoTrace's (Liu et al. 2025, "OLMoTrace: Tracing Language Model Outputs Back to Trillions of Training
Tokens"): longest match from every word, maximal ones only, rare wording first. Definitions: docs/provenance.md.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.provenance.index import Index
from app.provenance.reading import Reading, read
from app.provenance.sources import Source, instances_at, passages_at, sources_at

MIN_WORDS = 5
MAX_INSTANCES = 50
SOURCES = 10
# A word in more than a tenth of all answers is common, in more than half very common; few answers tell neither.
COMMON_SHARE, VERY_COMMON_SHARE, COMMON_FROM = 0.1, 0.5, 20
_BYTES = 4
# Symbols compared at first: few matches are longer, and comparing whole responses makes long ones slow.
_WINDOW, _WIDER = 256, 8
_HALF = 2


@dataclass(frozen=True, slots=True)
class Span:
    """A run of words found verbatim: `text[start:end]` of the response (code points).

    `words` is its length; `logprob` the sum of its words' unigram log-probabilities in the tuning set (nats: the lower,
    the rarer); `instances` how many hold it; `sources` the first of those, in the set's order; `passages` its answers.
    """

    start: int
    end: int
    text: str
    words: float
    logprob: float
    instances: int
    sources: tuple[Source, ...]
    passages: tuple[int, ...]


def verbatim_spans(
    index: Index,
    text: str,
    *,
    min_words: int = MIN_WORDS,
    max_instances: int = MAX_INSTANCES,
    sources: int = SOURCES,
) -> tuple[Span, ...]:
    """Find the maximal verbatim spans of a response, rare wording first.

    Left out: spans of fewer than `min_words`, spans in more than `max_instances` instances, and spans of fewer than
    twice `min_words` in which every word is very common.
    """
    return spans_of(index, read(index, text), min_words=min_words, max_instances=max_instances, sources=sources)


def spans_of(
    index: Index,
    reading: Reading,
    *,
    min_words: int = MIN_WORDS,
    max_instances: int = MAX_INSTANCES,
    sources: int = SOURCES,
) -> tuple[Span, ...]:
    """Find the spans of a response that was read already."""
    found = []
    for start, end in maximal(index, reading, min_words):
        if _says_nothing(index, reading, start, end, min_words):
            continue
        span = _span(index, reading, (start, end), max_instances=max_instances, sources=sources)
        if span:
            found.append(span)
    return tuple(sorted(found, key=lambda span: (span.logprob, span.start)))


def is_common(index: Index, symbol: int, share: float = COMMON_SHARE) -> bool:
    """Tell whether a symbol is a mark, or a word in more than `share` of all answers."""
    if not index.weights[symbol]:
        return True
    return index.frequency(symbol) > max(COMMON_FROM, share * index.passages)


def _says_nothing(index: Index, reading: Reading, start: int, end: int, min_words: int) -> bool:
    """Tell whether a run is short and of very common words alone; a long run of them is still a loan."""
    if sum(symbol.weight for symbol in reading.symbols[start:end]) >= 2 * _HALF * min_words:
        return False
    return all(is_common(index, int(symbol), VERY_COMMON_SHARE) for symbol in reading.ids[start:end])


def maximal(index: Index, reading: Reading, min_words: int) -> list[tuple[int, int]]:
    """List maximal matches as symbol ranges, in order; each begins and ends with a word, none lies in another."""
    half_words = np.concatenate([[0], np.cumsum([symbol.weight for symbol in reading.symbols], dtype=np.int64)])
    candidates = []
    for start, symbol in enumerate(reading.symbols):
        if not symbol.weight:
            continue
        end = start + longest_match(index, reading, start)
        end = _word_end(reading, start, end)
        end = _cut_tail(reading, start, end, half_words, _HALF * min_words)
        long_enough = half_words[end] - half_words[start] >= _HALF * min_words
        if long_enough and not _loose_head(reading, start, end, half_words, _HALF * min_words):
            candidates.append((start, end))
    kept: list[tuple[int, int]] = []
    for start, end in candidates:
        if not kept or end > kept[-1][1]:
            kept.append((start, end))
    return kept


def longest_match(index: Index, reading: Reading, start: int) -> int:
    """Return how many symbols from `start` on stand somewhere in the tuning set, in a row."""
    size = _WINDOW
    while (length := _match(index, reading.ids[start : start + size])) == size:
        size *= _WIDER
    return length


def _match(index: Index, ids: NDArray[np.uint32]) -> int:
    """Return how many of the first `ids` stand somewhere in a row: the suffixes next to their place in order tell."""
    wanted = ids.astype(">u4")
    if not len(wanted) or wanted[0] >= len(index.weights):
        return 0
    suffixes = index.suffixes.data
    at = bisect_left(suffixes, wanted.tobytes(), key=_reader(index, wanted.nbytes))
    return max(_common_prefix(index, wanted, suffixes[near]) for near in (at - 1, at) if 0 <= near < len(suffixes))


def occurrences(index: Index, reading: Reading, start: int, end: int) -> NDArray[np.int32]:
    """Return the positions in the corpus where symbols `start:end` of the response stand, unsorted."""
    wanted = reading.ids[start:end].astype(">u4").tobytes()
    suffixes, key = index.suffixes.data, _reader(index, len(wanted))
    low = bisect_left(suffixes, wanted, key=key)
    return index.suffixes[low : bisect_right(suffixes, wanted, lo=low, key=key)]


def _reader(index: Index, size: int) -> Callable[[int], bytes]:
    """Return what reads `size` bytes of the corpus from a symbol on; big-endian, so they compare as the ids do."""
    raw = index.corpus.view(np.uint8).data
    return lambda position: raw[_BYTES * position : _BYTES * position + size].tobytes()


def _common_prefix(index: Index, wanted: NDArray[np.uint32], position: int) -> int:
    found = index.corpus[position : position + len(wanted)]
    differs = found != wanted[: len(found)]
    return int(differs.argmax()) if differs.any() else len(found)


def _word_end(reading: Reading, start: int, end: int) -> int:
    while end > start and not reading.symbols[end - 1].weight:
        end -= 1
    return end


def _cut_tail(reading: Reading, start: int, end: int, half_words: NDArray[np.int64], least: int) -> int:
    """Drop the beginning of a last sentence or line when it is short: "... the Moon. The" ends at the full stop."""
    if end == start or reading.segments[start] == reading.segments[end - 1]:
        return end
    first = bisect_left(reading.segments, reading.segments[end - 1])
    after = bisect_right(reading.segments, reading.segments[end - 1])
    whole = half_words[after] == half_words[end]
    short = half_words[end] - half_words[first] < least
    return _word_end(reading, start, first) if short and not whole else end


def _loose_head(reading: Reading, start: int, end: int, half_words: NDArray[np.int64], least: int) -> bool:
    """Tell whether a match begins with the short end of a sentence or line; a later match begins after it."""
    if reading.segments[start] == reading.segments[end - 1]:
        return False
    first = bisect_left(reading.segments, reading.segments[start])
    after = bisect_right(reading.segments, reading.segments[start])
    whole = half_words[first] == half_words[start]
    return not whole and bool(half_words[after] - half_words[start] < least)


def _span(index: Index, reading: Reading, bounds: tuple[int, int], *, max_instances: int, sources: int) -> Span | None:
    start, end = bounds
    positions = occurrences(index, reading, start, end)
    instances = instances_at(index, positions)
    if len(instances) > max_instances:
        return None
    symbols = reading.symbols[start:end]
    return Span(
        start=symbols[0].start,
        end=symbols[-1].end,
        text=reading.text[symbols[0].start : symbols[-1].end],
        words=sum(symbol.weight for symbol in symbols) / _HALF,
        logprob=unigram_logprob(index, reading.ids[start:end]),
        instances=len(instances),
        sources=sources_at(index, positions, end - start, limit=sources),
        passages=tuple(np.unique(passages_at(index, positions)).tolist()),
    )


def unigram_logprob(index: Index, ids: NDArray[np.uint32]) -> float:
    """Sum ln(count / all words of the tuning set) over the words among `ids` (nats); marks count for nothing."""
    words = ids[index.weights[ids] > 0]
    total = int(index.lengths.sum(dtype=np.int64))
    return float(np.sum(np.log(index.counts[words] / total)))
