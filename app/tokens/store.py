"""Responses and traces in the database: added once, read back without any model."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import Any, cast

from sqlmodel import Session, col, select

from app.engines.protocol import Scores
from app.errors import NotFoundError
from app.shift.packing import Packed, open_packed, pack
from app.shift.summary import summarise
from app.shift.trace import KlKind, TokenShift
from app.tokens.aggregates import aggregate_row
from app.tokens.answer import Answer
from app.tokens.lexicon import current_lexicon
from models import BasePrompt, Origin, Response, RunState, Trace

NamesIds = Callable[[int], bytes | None]


@dataclass(frozen=True, slots=True)
class Reading:
    """How a checkpoint read a response: what it and its reference (which saw `base_prompt`) were given, and found."""

    checkpoint: str
    reference: str
    base_prompt: BasePrompt
    prompt_ids: tuple[int, ...]
    reference_prompt_ids: tuple[int, ...]
    scores: Scores


def add_response(  # noqa: PLR0913 - a row has as many facts as it has
    session: Session,
    *,
    checkpoint: str,
    prompt: str,
    prompt_ids: Sequence[int],
    ids: Sequence[int],
    texts: Sequence[str],
    finish: str,
    run: Mapping[str, Any],
    origin: Origin = Origin.GENERATED,
    parent_id: str | None = None,
    fork_index: int | None = None,
    created_by: str | None = None,
) -> Response:
    """Keep a response; `texts[i]` is what token i adds to its text."""
    text = "".join(texts)
    response = Response(
        checkpoint=checkpoint,
        origin=origin,
        prompt=prompt,
        prompt_ids=list(prompt_ids),
        text=text,
        text_sha256=hashlib.sha256(text.encode()).hexdigest(),
        token_ids=list(ids),
        finish=finish,
        # Where one token's text ends and the next begins, so that a replay needs no tokenizer.
        run=dict(run) | {"text_lengths": [len(text) for text in texts]},
        parent_id=parent_id,
        fork_index=fork_index,
        created_by=created_by,
    )
    session.add(response)
    session.flush()
    return response


def add_trace(session: Session, response: Response, reading: Reading, name: NamesIds) -> Trace:
    """Keep how a checkpoint read a response, with the bytes of every id that occurs, so that it replays alone.

    The row that sums it up is kept with it.
    """
    scores = reading.scores
    summary = summarise(scores.tokens)
    shown = {token for shift in scores.tokens for token, _ in (*shift.top_base, *shift.top_tuned)}
    names = {token: raw for token in sorted(shown | set(response.token_ids)) if (raw := name(token)) is not None}
    trace = Trace(
        response_id=response.id,
        checkpoint=reading.checkpoint,
        reference=reading.reference,
        base_prompt=reading.base_prompt,
        prompt_ids={"own": list(reading.prompt_ids), "reference": list(reading.reference_prompt_ids)},
        engine=scores.engine,
        engine_version=scores.engine_version,
        kl_kind=scores.kl_kind,
        dtype=scores.dtype,
        border_width=scores.border_width,
        n=summary.n,
        unshifted=summary.unshifted,
        marginal=summary.marginal,
        shifted=summary.shifted,
        mean_kl_tuned_base=summary.mean_kl_tuned_base,
        mean_kl_base_tuned=summary.mean_kl_base_tuned,
        tokens=pack(scores.tokens, names),
    )
    session.add(trace)
    session.flush()
    session.add(aggregate_row(response, trace, scores.tokens, texts_of(response), current_lexicon(session)))
    session.flush()
    return trace


def get_response(session: Session, response_id: str) -> Response:
    """Load a response. Raises NotFoundError."""
    response = session.get(Response, response_id)
    if response is None:
        raise NotFoundError("There is no such response.", remedy="Check the link.")
    return response


def traces_of(session: Session, response_id: str) -> list[Trace]:
    """List every reading of a response, oldest first."""
    traces = select(Trace).where(Trace.response_id == response_id)
    return list(session.exec(traces.order_by(col(Trace.created_at), col(Trace.id))))


def answer_of(response: Response, trace: Trace | None, *, position: int = 0, index: int | None = None) -> Answer:
    """Show a stored response as `trace` reads it; without one every token is pending.

    With an `index` only that token's shift is read and the others stay None: what a panel needs of a long response.
    """
    opened = _opened(trace.tokens) if trace else None
    ids = tuple(response.token_ids)
    shifts = _shifts(opened.packed, index) if opened else ()
    return Answer(
        position=position,
        checkpoint=trace.checkpoint if trace else response.checkpoint,
        role=str(response.run.get("role") or ""),
        reference=trace.reference if trace else "",
        state=RunState.DONE,
        name=opened.names.get if opened else _nameless,
        finish=response.finish,
        ids=ids,
        texts=texts_of(response),
        shifts=(*shifts, *[None] * (len(ids) - len(shifts))),
        kl_kind=cast("KlKind", trace.kl_kind) if trace else "lower_bound",
        run=response.run,
        response_id=response.id,
        prefix=0 if response.fork_index is None else response.fork_index + 1,
    )


@dataclass(frozen=True, slots=True)
class _Opened:
    packed: Packed
    names: dict[int, bytes]


# Traces never change, so their bytes are their key. Inflating one of 2,000 tokens takes longer than drawing its panel.
@lru_cache(maxsize=8)
def _opened(data: bytes) -> _Opened:
    packed = open_packed(data)
    return _Opened(packed, packed.names())


def _shifts(packed: Packed, index: int | None) -> tuple[TokenShift | None, ...]:
    if index is None:
        return packed.tokens()
    if not 0 <= index < len(packed):
        return ()
    return (*[None] * index, packed.token(index), *[None] * (len(packed) - index - 1))


def texts_of(response: Response) -> tuple[str, ...]:
    """Cut the text of a response into what each token adds to it; nothing where its run does not tell."""
    lengths: list[int] = response.run.get("text_lengths", [])
    return tuple(response.text[start:end] for start, end in pairwise(accumulate(lengths, initial=0)))


def _nameless(_token: int) -> bytes | None:
    return None
