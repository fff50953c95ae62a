"""The public JSON line of a traced response: what `tuneshift trace` writes. Keys are only ever added."""

from dataclasses import asdict
from typing import Any

from app.provenance.borrowed import Borrowed
from app.provenance.neighbours import Neighbour
from app.provenance.shared import Shared
from app.provenance.sources import Source
from app.provenance.spans import Span
from app.provenance.trace import Trace


def trace_record(record_id: str | int, trace: Trace) -> dict[str, Any]:
    """Build the line of one response; offsets are code points, log-probabilities nats."""
    return {
        "id": record_id,
        "spans": [_span(span) for span in trace.spans],
        "neighbours": [_neighbour(neighbour) for neighbour in trace.neighbours],
        "borrowed": borrowed_record(trace.borrowed),
    }


def borrowed_record(borrowed: Borrowed) -> dict[str, Any]:
    """Spell out a borrowed summary; a rate without a number says why in `reason`."""
    return asdict(borrowed)


def _span(span: Span) -> dict[str, Any]:
    return {
        "start": span.start,
        "end": span.end,
        "text": span.text,
        "words": span.words,
        "logprob": span.logprob,
        "count": span.instances,
        "instances": [_source(source) for source in span.sources],
    }


def _source(source: Source) -> dict[str, Any]:
    return {
        "instance": source.instance,
        "position": source.position,
        "turn": source.turn,
        "start": source.start,
        "end": source.end,
        "text": source.quote,
        "snippet": source.snippet,
    }


def _neighbour(neighbour: Neighbour) -> dict[str, Any]:
    return {
        "instance": neighbour.instance,
        "score": neighbour.score,
        "position": neighbour.position,
        "turn": neighbour.turn,
        "bm25": neighbour.bm25,
        "reasons": [asdict(reason) for reason in neighbour.reasons],
        "shared": [_shared(shared) for shared in neighbour.shared],
    }


def _shared(shared: Shared) -> dict[str, Any]:
    """Give the first place in both texts as start and end, then all of them."""
    (start, end), (instance_start, instance_end) = shared.response[0], shared.answer[0]
    return {
        "kind": shared.kind,
        "text": shared.text,
        "start": start,
        "end": end,
        "instance_text": shared.other,
        "instance_start": instance_start,
        "instance_end": instance_end,
        "weight": shared.rarity,
        "response": [list(place) for place in shared.response],
        "answer": [list(place) for place in shared.answer],
    }
