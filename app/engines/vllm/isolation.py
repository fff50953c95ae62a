"""Does a server keep its adapters out of the base? Probed, because some versions do not and none says so."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass

from app.engines.protocol import Decoding, Token
from app.engines.vllm.client import completion_body, stream_tokens
from app.engines.vllm.engine import VllmEngine
from app.errors import EngineError

# Long enough that the adapter still decodes while the base is scored beside it.
_STREAM_TOKENS = 512
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Isolation:
    """What the probe of one server found: the largest change of a base log-probability in nats, and a sentence."""

    base: str
    adapter: str
    isolated: bool
    largest_change: float
    detail: str


async def probe_lora_isolation(engine: VllmEngine, *, base: str, adapter: str, ids: tuple[int, ...]) -> Isolation:
    """Score `ids` under the base alone and beside a stream of the adapter on the same server, and compare.

    The engine keeps the result: a leaking server is refused from then on. On a CPU server that wraps its output layer
    for adapters the probe itself ends the server, so run it at start-up. Raises EngineError.
    """
    if engine.server(base) != engine.server(adapter):
        raise ValueError(f"{base!r} and {adapter!r} are on different servers")
    alone = await _base_logprobs(engine, base, ids)
    beside = await _beside(engine, base, adapter, ids)
    change = max(abs(a - b) for a, b in zip(alone, beside, strict=True))
    isolated = change <= _tolerance(engine.dtype)
    detail = (
        f"{base!r} is unchanged beside {adapter!r}."
        if isolated
        else f"The server of {base!r} computes it with {adapter!r} when both are asked at once "
        f"(log-probabilities move by up to {change:.3f} nats)."
    )
    engine.record_isolation(base, leak="" if isolated else detail)
    return Isolation(base=base, adapter=adapter, isolated=isolated, largest_change=change, detail=detail)


def _tolerance(dtype: str) -> float:
    """Nats by which batching alone moves a log-probability."""
    return 1e-4 if dtype == "float32" else 0.25


async def _base_logprobs(engine: VllmEngine, base: str, ids: tuple[int, ...]) -> list[float]:
    scores = await engine.score(ids[:1], ids[1:], 1, checkpoint=base, reference=base)
    return [token.tuned_logprob for token in scores.tokens]


async def _beside(engine: VllmEngine, base: str, adapter: str, ids: tuple[int, ...]) -> list[float]:
    body = completion_body(engine.checkpoints[adapter].served_name, ids[:1], Decoding(max_tokens=_STREAM_TOKENS)) | {
        "ignore_eos": True
    }
    for _ in range(_ATTEMPTS):
        async with aclosing(stream_tokens(engine.server(adapter), body, checkpoint=adapter)) as tokens:
            await anext(tokens)
            counting = asyncio.create_task(_drain(tokens))
            logprobs = await _base_logprobs(engine, base, ids)
            overlapped = not counting.done()
            counting.cancel()
            await asyncio.gather(counting, return_exceptions=True)
        if overlapped:
            return logprobs
    raise EngineError(
        f"The stream of {adapter!r} ended before {base!r} was scored beside it.", remedy="Run the probe again."
    )


async def _drain(tokens: AsyncIterator[Token]) -> None:
    async for _ in tokens:
        pass
