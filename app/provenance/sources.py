"""Places in the answers of a tuning set, as a person reads them: which instance, which characters, what around."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.provenance.index import Index
from app.provenance.words import bounds

# Characters of context on each side of a quote.
CONTEXT = 80


@dataclass(frozen=True, slots=True)
class Source:
    """One place in an answer: `answers[turn][start:end]` of instance `instance` is `quote` (code points).

    `position` is the instance's place in the tuning set; `before` and `after` are the text around the quote, cut at
    white space where there is some.
    """

    instance: str
    position: int
    turn: int
    start: int
    end: int
    before: str
    quote: str
    after: str

    @property
    def snippet(self) -> str:
        """The quote with what stands around it."""
        return f"{self.before}{self.quote}{self.after}"


def passages_at(index: Index, positions: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return the passage of each position in the corpus."""
    return np.searchsorted(index.starts, positions, side="right") - 1


def instances_at(index: Index, positions: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the distinct instances at positions in the corpus, ascending."""
    return np.unique(index.owners[passages_at(index, positions)])


def sources_at(index: Index, positions: NDArray[np.int32], length: int, *, limit: int) -> tuple[Source, ...]:
    """Describe the first place of `length` symbols in each instance, in the tuning set's order, at most `limit`."""
    ordered = np.sort(positions)
    passages = passages_at(index, ordered)
    _, first = np.unique(index.owners[passages], return_index=True)
    return tuple(
        _source(index, int(passages[at]), int(ordered[at] - index.starts[passages[at]]), length) for at in first[:limit]
    )


def _source(index: Index, passage: int, symbol: int, length: int) -> Source:
    answer = index.answers.text(passage)
    found = bounds(answer, symbol + length)
    start, end = found[symbol][0], found[-1][1]
    owner = int(index.owners[passage])
    return Source(
        instance=index.ids.text(owner),
        position=owner,
        turn=passage - int(index.firsts[owner]),
        start=start,
        end=end,
        before=_before(answer, start),
        quote=answer[start:end],
        after=_after(answer, end),
    )


def _before(answer: str, start: int) -> str:
    if start <= CONTEXT:
        return answer[:start]
    context = answer[start - CONTEXT : start]
    _, space, rest = context.partition(" ")
    return rest if space else context


def _after(answer: str, end: int) -> str:
    context = answer[end : end + CONTEXT]
    if end + CONTEXT >= len(answer):
        return context
    kept, space, _ = context.rpartition(" ")
    return kept if space else context
