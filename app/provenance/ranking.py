"""Rank answers by the words they share with a response (BM25), and by parts of words (sub-words).

BM25 as in Robertson and Zaragoza 2009, "The Probabilistic Relevance Framework: BM25 and Beyond", with Lucene's inverse
document frequency, which is never negative. Definitions: docs/provenance.md.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.provenance.index import Index
from app.provenance.reading import Reading
from app.provenance.spans import is_common
from app.provenance.subwords import grams_of, least_shared, rarity

K1, B = 1.2, 0.75
# Sub-words are sought for this many words at most, rarest first, in at most so many others each.
SOUGHT, LIKE = 32, 8
LEAST_LIKENESS = 0.5
# Another word held by more than a twentieth of the answers is no trace of a loan.
RARE_SHARE, RARE_FROM = 0.05, 20
_SPARSE = 10


@dataclass(frozen=True, slots=True)
class Term:
    """A distinct word of a response: its symbol (None when the set never has it), largest weight, idf and places.

    `common` as `app.provenance.spans.is_common` says.
    """

    symbol: int | None
    weight: float
    idf: float
    common: bool
    places: tuple[tuple[int, int], ...]

    @property
    def count(self) -> int:
        """How often the response has it."""
        return len(self.places)


@dataclass(frozen=True, slots=True)
class Likeness:
    """A word of the response and another of the tuning set that share a part; `value` in (0, 1]."""

    word: str
    other: int
    value: float
    contribution: float


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """Scores of all passages, float64 (P,), and the ideal: what the response itself would score."""

    scores: NDArray[np.float64]
    ideal: float

    @property
    def shares(self) -> NDArray[np.float64]:
        """Scores over the ideal: 0 for an answer unlike the response, about 1 for one as like it as itself."""
        return self.scores / self.ideal if self.ideal else np.zeros_like(self.scores)


def idf(index: Index, frequencies: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return ln(1 + (P - df + 0.5) / (df + 0.5)), df = number of passages that hold a word."""
    return np.log1p((index.passages - frequencies + 0.5) / (frequencies + 0.5))


def terms(index: Index, reading: Reading, weights: list[float]) -> dict[str, Term]:
    """Return the distinct words of a response by their folded form."""
    rows: dict[str, list[int]] = {}
    for row, symbol in enumerate(reading.symbols):
        if symbol.weight:
            rows.setdefault(symbol.form, []).append(row)
    known = [reading.known[same[0]] for same in rows.values()]
    frequencies = np.array([0 if symbol is None else index.frequency(symbol) for symbol in known], dtype=np.int64)
    return {
        form: Term(
            symbol=symbol,
            weight=max(weights[row] for row in same),
            idf=scarce,
            common=symbol is not None and is_common(index, symbol),
            places=tuple((reading.symbols[row].start, reading.symbols[row].end) for row in same),
        )
        for (form, same), symbol, scarce in zip(rows.items(), known, idf(index, frequencies).tolist(), strict=True)
    }


def bm25(index: Index, words: dict[str, Term]) -> Ranking:
    """Score every passage: sum over distinct words of weight x idf x tf (k1 + 1) / (tf + k1 (1 - b + b length / mean)).

    A word counts once however often the response has it, with its largest weight; lengths in words.
    """
    scores = np.zeros(index.passages)
    mean = max(float(index.lengths.mean()), 1.0) if index.passages else 1.0
    norms = np.asarray(K1 * (1 - B + B * index.lengths / mean), dtype=np.float64)
    for word in words.values():
        if word.symbol is not None:
            passages, counts = index.postings(word.symbol)
            gains = norms.take(passages)
            gains += counts
            np.divide(counts, gains, out=gains)
            gains *= word.weight * word.idf * (K1 + 1)
            _add(scores, passages, gains)
    # What the response would score if it were a passage.
    norm = K1 * (1 - B + B * sum(word.count for word in words.values()) / mean)
    own = (w.weight * w.idf * (K1 + 1) * w.count / (w.count + norm) for w in words.values())
    return Ranking(scores, sum(own))


def _add(scores: NDArray[np.float64], passages: NDArray[np.int32], gains: NDArray[np.float64]) -> None:
    # A long list is faster counted into a whole row than added place by place.
    if len(passages) * _SPARSE > len(scores):
        scores += np.bincount(passages, gains, minlength=len(scores))
    else:
        scores[passages] += gains


def sought(words: dict[str, Term]) -> dict[str, Term]:
    """Choose the words whose parts are sought: those tuning chose, when tokens tell, else all; the rarest SOUGHT."""
    emphasised = any(word.weight > 1 for word in words.values())
    chosen = [(form, word) for form, word in words.items() if word.weight > 1 or not emphasised]
    chosen.sort(key=lambda item: (-item[1].weight * item[1].idf, item[0]))
    return dict(chosen[:SOUGHT])


def subwords(index: Index, words: dict[str, Term]) -> tuple[Ranking, tuple[Likeness, ...]]:
    """Score every passage: sum over the sought words of its best likeness. Returns the likenesses too.

    A likeness contributes weight x value x the smaller idf of both words, where the word itself is not in the passage;
    the ideal is every sought word wholly found.
    """
    scores = np.zeros(index.passages)
    found: list[Likeness] = []
    for form, word in words.items():
        like = _like(index, form, word)
        best = np.zeros(index.passages)
        for one in reversed(like):
            best[index.postings(one.other)[0]] = one.contribution
        if word.symbol is not None:
            best[index.postings(word.symbol)[0]] = 0.0
        scores += best
        found += like
    return Ranking(scores, sum(word.weight * word.idf for word in words.values())), tuple(found)


def _like(index: Index, form: str, word: Term) -> list[Likeness]:
    """List the words most like `form` but not it, best first: rarity of shared sub-words over the smaller word's."""
    keys = {gram.key for gram in grams_of(form, index.encoder)}
    lists = index.words_with(sorted(keys))
    least = least_shared(index.encoder)
    if len(lists) < least:
        return []
    rarities = [rarity(len(index.vocabulary), len(words)) for words in lists]
    others, place = np.unique(np.concatenate(lists), return_inverse=True)
    shared = np.bincount(place, weights=np.repeat(rarities, [len(words) for words in lists]))
    own = sum(rarities) + rarity(len(index.vocabulary), 0) * (len(keys) - len(lists))
    values = np.minimum(shared / np.minimum(own, index.gram_totals[others]), 1.0)
    frequencies = index.posting_offsets[others + 1] - index.posting_offsets[others]
    kept = (values >= LEAST_LIKENESS) & (np.bincount(place) >= least) & (others != (word.symbol or 0))
    kept &= frequencies <= max(RARE_FROM, RARE_SHARE * index.passages)
    gains = word.weight * values * np.minimum(idf(index, frequencies), word.idf)
    best = np.flatnonzero(kept)[np.argsort(-gains[kept], kind="stable")][:LIKE]
    return [Likeness(form, int(others[at]), float(values[at]), float(gains[at])) for at in best]
