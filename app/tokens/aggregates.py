"""The row that sums a trace up: made where a trace is stored, and again when the lexicon has changed."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict

from app.shift.aggregate import aggregate
from app.shift.lexicon import LexiconWords, categorise
from app.shift.token_types import pack_types
from app.shift.trace import TokenShift
from models import Response, Trace, TraceAggregate


def aggregate_row(
    response: Response, trace: Trace, tokens: Sequence[TokenShift], texts: Sequence[str], words: LexiconWords
) -> TraceAggregate:
    """Sum up a trace of a response; `tokens` is what the trace packs, `texts` what each token of the response adds.

    Where the texts are not known, the numbers that need words are None.
    """
    categories = categorise(texts, words)[: len(tokens)]
    whole = len(categories) == len(tokens)
    return TraceAggregate(
        trace_id=trace.id,
        response_id=response.id,
        checkpoint=trace.checkpoint,
        base_prompt=trace.base_prompt,
        prompt_sha256=prompt_key(response),
        lexicon_sha256=words.sha256,
        token_types=pack_types(tokens, categories) if whole else b"",
        **asdict(aggregate(tokens, categories if whole else None)),
    )


def prompt_key(response: Response) -> str:
    """Name the prompt, 64 hex digits: its text, or its ids where nobody kept the text."""
    words = response.prompt or json.dumps(response.prompt_ids)
    return hashlib.sha256(words.encode("utf-8", "surrogatepass")).hexdigest()
