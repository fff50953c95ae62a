"""From a stored response, one of its tokens and another id for it, to the columns that go on from there.

Ids only: what was said before the fork is handed on as it was, never read from text again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

from pydantic import BaseModel, Field

from app.compare.forms import MAX_COLUMNS
from app.compare.plan import ColumnPlan, Fork, Plan
from app.engines.open import Engines
from app.engines.prompts import base_prompt_ids, own_prompt_ids
from app.engines.protocol import Decoding
from app.engines.registry import Checkpoint
from app.engines.tokenizer import Tokenizer, mismatch
from app.errors import InvalidInputError
from app.tokens.store import texts_of
from models import BasePrompt, Response, Trace

MORE_TOKENS = 64
_LONGEST_NUMBER = 12


class ForkInput(BaseModel):
    """The fields as sent; `max_tokens`, `base_prompt` and `checkpoints` may be left out."""

    index: str = ""
    token_id: str = ""
    checkpoints: Annotated[list[str], Field(default_factory=list)]
    max_tokens: str = ""
    base_prompt: str = ""


@dataclass(frozen=True, slots=True)
class _Original:
    """The response that is left, the readings there are of it, and which of those count: `base_prompt`."""

    response: Response
    traces: Sequence[Trace]
    base_prompt: BasePrompt
    prefix_ids: tuple[int, ...]


def plan_fork(
    engines: Engines, fork: Fork, response: Response, traces: Sequence[Trace], sent: ForkInput, *, limit: int
) -> Plan:
    """Plan every chosen checkpoint to go on from `fork`, at most `limit` tokens each, drawn as the original was.

    Raises InvalidInputError in words for whatever cannot be continued, NotFoundError for an unknown checkpoint.
    """
    prefix_ids = (*response.token_ids[: fork.index], fork.token_id)
    original = _Original(response, traces, _base_prompt(sent, response, traces), prefix_ids)
    checkpoints = [engines.registry.get(name) for name in _names(engines, original, sent.checkpoints)]
    origin = _origin(engines, original)
    for checkpoint in checkpoints:
        _check_ids(engines, checkpoint, original, origin)
    columns = tuple(replace(_column(engines, original, one), prefix_ids=prefix_ids) for one in checkpoints)
    decoding = _decoding(response, _max_tokens(sent, len(fork.rest), limit))
    return Plan(response.prompt, original.base_prompt, columns, decoding, fork)


def read_place(response: Response, sent: ForkInput) -> tuple[int, int]:
    """Return token index and chosen id. Raises InvalidInputError for a token that is not there."""
    n = len(response.token_ids)
    if not n:
        raise InvalidInputError("This response has no token ids.", remedy="Only a response with tokens can be forked.")
    index, token_id = _whole(sent.index), _whole(sent.token_id)
    if index is None or index >= n:
        raise InvalidInputError(
            f"index: this response has no token {sent.index[:20]!r}.", remedy=f"It has tokens 0 to {n - 1}."
        )
    if token_id is None:
        raise InvalidInputError(
            f"token_id: {sent.token_id[:20]!r} is not a token id.", remedy="Give a whole number from 0 up."
        )
    return index, token_id


def _whole(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _LONGEST_NUMBER else None


def _base_prompt(sent: ForkInput, response: Response, traces: Sequence[Trace]) -> BasePrompt:
    if sent.base_prompt:
        if sent.base_prompt not in set(BasePrompt):
            raise InvalidInputError(
                f"base_prompt: {sent.base_prompt[:20]!r} is none.", remedy=f"Choose one of {', '.join(BasePrompt)}."
            )
        return BasePrompt(sent.base_prompt)
    own = next((trace for trace in traces if trace.checkpoint == response.checkpoint), None)
    recorded = own.base_prompt if own else response.run.get("base_prompt")
    return BasePrompt(recorded) if recorded in set(BasePrompt) else BasePrompt.SAME_IDS


def _names(engines: Engines, original: _Original, sent: Sequence[str]) -> tuple[str, ...]:
    """Return who goes on, as listed in the registry: who was chosen, or whoever wrote or read the response."""
    known = engines.registry.checkpoints
    for name in sent:
        engines.registry.get(name)
    readers = {trace.checkpoint for trace in original.traces}
    references = {trace.reference for trace in original.traces}
    wanted = set(sent) or {original.response.checkpoint, *readers, *references}
    if not sent and original.response.checkpoint in known:
        wanted.add(known[original.response.checkpoint].base)
    names = tuple(name for name in known if name in wanted)
    if not names:
        raise InvalidInputError(
            "checkpoints: whoever wrote or read this response is no longer in the registry.", remedy="Choose others."
        )
    if len(names) > MAX_COLUMNS:
        raise InvalidInputError(f"checkpoints: {len(names)} are too many.", remedy=f"Choose at most {MAX_COLUMNS}.")
    return names


def _origin(engines: Engines, original: _Original) -> str | None:
    """Name a checkpoint whose tokenizer made the ids: who wrote the response, or whoever has read it."""
    names = [original.response.checkpoint, *(trace.checkpoint for trace in original.traces)]
    return next((name for name in names if name in engines.registry.checkpoints), None)


def _check_ids(engines: Engines, checkpoint: Checkpoint, original: _Original, origin: str | None) -> None:
    tokenizer = engines.tokenizer_for(checkpoint.name)
    if origin is not None:
        theirs = engines.tokenizer_for(origin)
        difference = mismatch(tokenizer, theirs, names=(checkpoint.name, origin))
        if difference:
            raise InvalidInputError(
                f"{checkpoint.name} has another tokenizer than {origin}: {difference}.",
                remedy=f"Choose checkpoints that share the token ids of {origin}.",
            )
    unknown = next((token for token in original.prefix_ids if token >= tokenizer.size), None)
    if unknown is not None:
        raise InvalidInputError(
            f"{checkpoint.name} has no token id {unknown}.", remedy=f"Its vocabulary ends at {tokenizer.size - 1}."
        )
    if original.prefix_ids[-1] in tokenizer.eos_ids:
        raise InvalidInputError(
            f"Token id {original.prefix_ids[-1]} ends the sequence, so {checkpoint.name} would say nothing after it.",
            remedy="Choose another token.",
        )
    if origin is None:
        _check_text(checkpoint, tokenizer, original)


def _check_text(checkpoint: Checkpoint, tokenizer: Tokenizer, original: _Original) -> None:
    """Where nobody knows which tokenizer made the ids, they must at least spell the text."""
    kept = len(original.prefix_ids) - 1
    spelt = "".join(piece.text for piece in tokenizer.pieces(original.prefix_ids[:kept]))
    said = "".join(texts_of(original.response)[:kept])
    # An unfinished character at the cut reads as a replacement here and as nothing in the stored text.
    if spelt.removesuffix("\ufffd").replace("\x00", "\ufffd") != said:
        raise InvalidInputError(
            f"{checkpoint.name} has another tokenizer: to it the first {kept} ids do not spell this response.",
            remedy="Choose a checkpoint with the tokenizer the response was made with.",
        )


def _column(engines: Engines, original: _Original, checkpoint: Checkpoint) -> ColumnPlan:
    """Give a checkpoint, and its base, the prompt they read before the original; a new one its own template."""
    response, base = original.response, checkpoint.base
    own, same = _read(original, checkpoint.name, base)
    if own and same:
        return ColumnPlan(checkpoint, own, same)
    if checkpoint.role == "base":
        seen = next((ids for trace in original.traces if (ids := _reference_ids(original, trace, base))), None)
        seen = seen or base_prompt_ids(
            engines, response.prompt, base, original.base_prompt, same_ids=_written(engines, response, checkpoint)
        )
        return ColumnPlan(checkpoint, seen, seen)
    own = _written(engines, response, checkpoint) if checkpoint.name == response.checkpoint else ()
    own = own or own_prompt_ids(engines, response.prompt, checkpoint)
    same = base_prompt_ids(engines, response.prompt, base, original.base_prompt, same_ids=own)
    return ColumnPlan(checkpoint, own, same)


def _read(original: _Original, name: str, base: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    for trace in original.traces:
        if (trace.checkpoint, trace.reference, trace.base_prompt) == (name, base, original.base_prompt):
            return tuple(trace.prompt_ids.get("own", ())), tuple(trace.prompt_ids.get("reference", ()))
    return (), ()


def _reference_ids(original: _Original, trace: Trace, base: str) -> tuple[int, ...]:
    if (trace.reference, trace.base_prompt) != (base, original.base_prompt):
        return ()
    return tuple(trace.prompt_ids.get("reference", ()))


def _written(engines: Engines, response: Response, checkpoint: Checkpoint) -> tuple[int, ...]:
    return tuple(response.prompt_ids) or own_prompt_ids(engines, response.prompt, checkpoint)


def _max_tokens(sent: ForkInput, rest: int, limit: int) -> int:
    if not sent.max_tokens.strip():
        return min(limit, rest + MORE_TOKENS)
    asked = _whole(sent.max_tokens)
    if asked is None or not 1 <= asked <= limit:
        raise InvalidInputError(
            f"max_tokens: {sent.max_tokens[:20]!r} cannot be used.", remedy=f"Write a whole number from 1 to {limit:,}."
        )
    return asked


def _decoding(response: Response, max_tokens: int) -> Decoding:
    drawn = response.run.get("decoding") or {}
    return Decoding(max_tokens, float(drawn.get("temperature", 0.0)), int(drawn.get("seed", 0)))
