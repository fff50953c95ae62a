"""The public JSON line of a scored response: what `tuneshift score` writes and other programs read.

Keys are only ever added. Log-probabilities, KL and entropies are in nats; ranks are 1-based; null means the number does
not exist (the base has never seen the id) or the engine cannot know it.
"""

import math
from collections.abc import Sequence
from typing import Any

from app.engines.protocol import Scores
from app.shift.align import Top
from app.shift.summary import Part, Summary, summarise
from app.shift.trace import TokenShift


def score_record(
    record_id: str | int, prompt_ids: Sequence[int], scores: Scores, pieces: Sequence[tuple[str, bytes]]
) -> dict[str, Any]:
    """Build the line of one response; `pieces` are (text it adds, its bytes), one per token of `scores`."""
    return {
        "id": record_id,
        "engine": scores.engine,
        "engine_version": scores.engine_version,
        "dtype": scores.dtype,
        "border_width": scores.border_width,
        "kl_kind": scores.kl_kind,
        "prompt_ids": list(prompt_ids),
        "summary": summary_dict(summarise(scores.tokens)),
        "tokens": [
            token_record(index, token, text, raw)
            for index, (token, (text, raw)) in enumerate(zip(scores.tokens, pieces, strict=True))
        ],
    }


def token_record(index: int, token: TokenShift, text: str, raw: bytes) -> dict[str, Any]:
    """Build the entry of one token: `text` is what it adds to the response, `raw` its own bytes."""
    return {
        "i": index,
        "id": token.id,
        "text": text,
        "bytes_hex": raw.hex(),
        "base_rank": token.base_rank,
        "base_logprob": token.base_logprob,
        "tuned_rank": token.tuned_rank,
        "tuned_logprob": token.tuned_logprob,
        "kl_tuned_base": token.kl_tuned_base,
        "kl_base_tuned": token.kl_base_tuned,
        "class": token.shift_class.value,
        "ties": token.ties,
        "near_border": token.near_border,
        "base_entropy": token.base_entropy,
        "tuned_entropy": token.tuned_entropy,
        "top_base": _top(token.top_base),
        "top_tuned": _top(token.top_tuned),
    }


def summary_dict(summary: Summary) -> dict[str, Any]:
    """Spell out a summary: counts, mean KL, and the same for the first 5 % and the last 95 % of tokens."""
    return {**_part(summary), "first5": _part(summary.first5), "last95": _part(summary.last95)}


def _part(part: Part) -> dict[str, Any]:
    return {
        "unshifted": part.unshifted,
        "marginal": part.marginal,
        "shifted": part.shifted,
        "n": part.n,
        "mean_kl_tuned_base": part.mean_kl_tuned_base,
        "mean_kl_base_tuned": part.mean_kl_base_tuned,
    }


def _top(top: Top) -> list[list[int | float | None]]:
    # JSON has no infinity: an id without any probability has no log-probability.
    return [[token, logprob if math.isfinite(logprob) else None] for token, logprob in top]
