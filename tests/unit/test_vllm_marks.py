"""What a vLLM server is told about who asks, so that its log can be held beside ours."""

import asyncio
import json
from pathlib import Path

import httpx2
import pytest
import structlog

from app.engines.protocol import Decoding, Request
from app.engines.registry import Checkpoint
from app.engines.vllm.engine import VllmEngine

BASE = Checkpoint(
    name="base", role="base", model="m", adapter=None, base="base", revision=None, engine="http://one.example:8001/v1",
    served_name="base", template="none", tuning_set=None, tokenizer=Path("/nowhere"),
)  # fmt: skip
CHOICE = {"token_ids": [5], "logprobs": {"token_logprobs": [-1.0]}, "finish_reason": "length"}
STREAM = f"data: {json.dumps({'choices': [CHOICE]})}\n\ndata: [DONE]\n\n".encode()
SCORED = {"choices": [{"prompt_logprobs": [None, {"3": {"logprob": -0.5, "rank": 1}}]}]}


def marks(**known):
    """Stream twice and score once under what the log knows; returns the ids that the server was given."""
    seen = []

    def answer(request):
        if request.url.path == "/version":
            return httpx2.Response(200, json={"version": "0.32.0"})
        seen.append(request.headers.get("x-request-id"))
        if json.loads(request.content).get("stream"):
            return httpx2.Response(200, content=STREAM, headers={"content-type": "text/event-stream"})
        return httpx2.Response(200, json=SCORED)

    engine = VllmEngine([BASE], api_key="k", transport=httpx2.MockTransport(answer))
    request = Request(checkpoint="base", prompt_ids=(1, 2), decoding=Decoding(max_tokens=1))

    async def stream():
        return [token async for token in engine.stream(request)]

    async def ask():
        with structlog.contextvars.bound_contextvars(**known):
            # Tasks, as a comparison has one for each column.
            await asyncio.gather(*(asyncio.create_task(stream()) for _ in range(2)))
        with structlog.contextvars.bound_contextvars(**known):
            await engine.score((1,), (3,), 1, checkpoint="base", reference="base")

    asyncio.run(ask())
    assert len(seen) == 3
    return seen


@pytest.mark.parametrize(
    ("known", "mark"),
    [
        ({"request_id": "9f0c41d2b7aa"}, "9f0c41d2b7aa"),
        ({"run": "0123456789abcdef"}, "0123456789abcdef"),
        ({"request_id": "9f0c41d2b7aa", "run": "0123456789abcdef"}, "9f0c41d2b7aa"),
    ],
)
def test_every_call_bears_the_id_of_its_request_and_an_ending_of_its_own(known, mark):
    found = marks(**known)
    assert {one.rpartition("-")[0] for one in found} == {mark}
    assert len(set(found)) == 3


def test_a_call_for_nobody_bears_none():
    assert marks() == [None] * 3
