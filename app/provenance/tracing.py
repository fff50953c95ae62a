"""A stored response, as one checkpoint read it, traced to a tuning set: what pages and studies share."""

from dataclasses import dataclass

from app.engines.open import Engines
from app.errors import AppError
from app.provenance.fates import Fates, fates
from app.provenance.index import Encoder, Index
from app.provenance.placed import PlacedTokens, place_tokens
from app.provenance.trace import Trace as Traced
from app.provenance.trace import trace as trace_response
from app.tokens.store import answer_of
from models import Response, Trace


@dataclass(frozen=True, slots=True)
class Search:
    """What was found for a whole response."""

    traced: Traced
    fates: Fates


def tokens_of(response: Response, trace: Trace | None) -> PlacedTokens:
    """Lay the tokens of a response over its text, with the classes of a reading; none where it has no tokens."""
    if "text_lengths" not in response.run:
        return PlacedTokens()
    answer = answer_of(response, trace)
    return place_tokens(answer.texts, [shift.shift_class if shift else None for shift in answer.shifts])


def encoder_of(engines: Engines, checkpoint: str) -> Encoder | None:
    """Return the tokenizer that cut a checkpoint's responses, or None where the registry does not know it."""
    try:
        return engines.tokenizer_for(checkpoint)
    except AppError:
        return None


def search(index: Index, text: str, tokens: PlacedTokens) -> Search:
    """Trace a whole response."""
    traced = trace_response(index, text, tokens.ranges)
    positions = [neighbour.position for neighbour in traced.neighbours]
    return Search(traced, fates(index, text, tokens.ranges, traced.spans, positions))
