"""Trace a response to a tuning set: spans, neighbours and the borrowed summary in one call."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.provenance.borrowed import Borrowed, borrowed_of
from app.provenance.index import Index
from app.provenance.neighbours import K, Neighbour, nearest_to
from app.provenance.reading import read
from app.provenance.spans import Span, spans_of
from app.provenance.tokens import TokenRange


@dataclass(frozen=True, slots=True)
class Trace:
    """Where a response may come from: verbatim spans (rare first), nearest instances (best first), borrowed tokens."""

    spans: tuple[Span, ...]
    neighbours: tuple[Neighbour, ...]
    borrowed: Borrowed


def trace(index: Index, response: str, tokens: Sequence[TokenRange] = (), *, k: int = K) -> Trace:
    """Search a tuning set for a response; `tokens` carry its shift classes, where it was scored."""
    reading = read(index, response)
    spans = spans_of(index, reading)
    neighbours = nearest_to(index, reading, spans, tokens, k=k)
    positions = [neighbour.position for neighbour in neighbours]
    return Trace(spans, neighbours, borrowed_of(index, reading, tokens, positions))
