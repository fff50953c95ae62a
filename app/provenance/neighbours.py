"""Nearest instances: answers of the tuning set most like a response, and why each was retrieved.

Three searches meet: words (BM25), parts of words (sub-words), verbatim spans. Each gives an answer a share, 0 to about
1, of what the response itself would get, so that a clear winner of one is not levelled to a rank. The score is the
weighted sum of the shares. Definitions: docs/provenance.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from app.provenance.index import Index
from app.provenance.ranking import Term, bm25, sought, subwords, terms
from app.provenance.reading import Reading, read
from app.provenance.shared import Shared, shared_words
from app.provenance.spans import Span, spans_of
from app.provenance.tokens import TokenRange, emphasis

Kind = Literal["bm25", "span", "subword"]

K = 10
# Words say most; a verbatim run confirms; a part of a word is a hint.
WEIGHTS: dict[Kind, float] = {"bm25": 0.6, "span": 0.25, "subword": 0.15}
_NAMED = 4


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a neighbour was retrieved: the search, its rank there (1 = best), and `detail` for a person."""

    kind: Kind
    rank: int
    detail: str


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A nearest instance: `position` in the set, the `turn` that is near, fused `score`, raw `bm25`, and why."""

    instance: str
    position: int
    turn: int
    score: float
    bm25: float
    shared: tuple[Shared, ...]
    reasons: tuple[Reason, ...]


def nearest(index: Index, text: str, tokens: Sequence[TokenRange] = (), *, k: int = K) -> tuple[Neighbour, ...]:
    """Find the k instances whose answers are most like a response; fewer when fewer share anything with it.

    `tokens` with their classes raise the weight of the words that hold shifted (3) and marginal (2) tokens.
    """
    reading = read(index, text)
    return nearest_to(index, reading, spans_of(index, reading), tokens, k=k)


def nearest_to(
    index: Index, reading: Reading, spans: Sequence[Span], tokens: Sequence[TokenRange], *, k: int
) -> tuple[Neighbour, ...]:
    """Find the nearest instances of a response whose spans were found already."""
    words = terms(index, reading, emphasis(reading.symbols, tokens))
    by_words = bm25(index, words)
    by_parts, like = subwords(index, sought(words))
    shares: dict[Kind, NDArray[np.float64]] = {
        "bm25": by_words.shares,
        "span": _covered(index, words, spans),
        "subword": by_parts.shares,
    }
    fused = sum((WEIGHTS[kind] * share for kind, share in shares.items()), np.zeros(index.passages))
    found = []
    for passage in _best(index, fused, k):
        owner = int(index.owners[passage])
        shared = shared_words(index, reading, passage, words, like)
        found.append(
            Neighbour(
                instance=index.ids.text(owner),
                position=owner,
                turn=passage - int(index.firsts[owner]),
                score=float(fused[passage]),
                bm25=float(by_words.scores[passage]),
                shared=shared,
                reasons=_reasons(passage, shares, shared, spans),
            )
        )
    return tuple(found)


def _covered(index: Index, words: dict[str, Term], spans: Sequence[Span]) -> NDArray[np.float64]:
    """Return, per passage, the share of the response's words that verbatim spans have from it."""
    covered = np.zeros(index.passages)
    length = sum(word.count for word in words.values())
    for span in spans:
        covered[list(span.passages)] += span.words / length
    return np.minimum(covered, 1.0)


def _best(index: Index, scores: NDArray[np.float64], k: int) -> list[int]:
    """Return the best passage of each of the k best instances; of equals, the one that comes first in the set."""
    wanted = k
    while True:
        wanted = min(wanted, index.passages)
        least = np.partition(scores, -wanted)[-wanted] if wanted else np.inf
        near = np.flatnonzero((scores >= least) & (scores > 0))
        ordered = near[np.argsort(-scores[near], kind="stable")]
        _, first = np.unique(index.owners[ordered], return_index=True)
        if len(first) >= k or wanted >= index.passages:
            return [int(passage) for passage in ordered[np.sort(first)][:k]]
        wanted *= 4


def _reasons(
    passage: int, shares: dict[Kind, NDArray[np.float64]], shared: Sequence[Shared], spans: Sequence[Span]
) -> tuple[Reason, ...]:
    details: dict[Kind, str] = {
        "bm25": _listed(shared, "word"),
        "span": next((span.text for span in spans if passage in span.passages), ""),
        "subword": _listed(shared, "part"),
    }
    return tuple(
        Reason(kind, 1 + int((share > share[passage]).sum()), details[kind])
        for kind, share in shares.items()
        if share[passage] > 0
    )


def _listed(shared: Sequence[Shared], kind: str) -> str:
    chosen = [one for one in shared if one.kind == kind]
    return ", ".join(one.text if one.kind == "word" else f"{one.text} ~ {one.other}" for one in chosen[:_NAMED])
