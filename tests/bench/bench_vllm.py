"""What going through our engine costs against calling the same vLLM server directly.

Pairs of greedy streams of one prompt, alternating who goes first, medians. Direct is the leanest client there is: one
connection kept open, no log-probabilities asked, bytes only counted. Bars: >= 0.97 of its tokens/s, first token <= 15
ms later. Usage: python -m tests.bench.bench_vllm [--pairs N] [--tokens N]
"""

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import httpx2

from app.engines.protocol import Decoding, Request
from app.engines.tokenizer import load_tokenizer
from app.engines.vllm.engine import VllmEngine
from app.serving.plan import plan
from app.serving.serve import find_vllm, free_ports
from app.serving.supervise import available_cores, running
from tests.engine.vllm_servers import demo_registry, vllm_python

PROMPT = "Describe, step by step and at length, how a letter travels from one country to another."
RATE_BAR, ADDED_MS_BAR = 0.97, 15.0


async def direct(client, url, prompt_ids, tokens):
    """Seconds to the first event and to the last, and how many events carried a token."""
    body = {"model": "base", "prompt": list(prompt_ids), "max_tokens": tokens, "temperature": 0, "stream": True}
    started, first, received = time.perf_counter(), None, b""
    async with client.stream("POST", f"{url}/completions", json=body) as response:
        async for part in response.aiter_bytes():
            first = first or time.perf_counter() - started
            received += part
    return first, time.perf_counter() - started, received.count(b'"finish_reason"')


async def through_us(engine, prompt_ids, tokens):
    request = Request(checkpoint="base", prompt_ids=prompt_ids, decoding=Decoding(max_tokens=tokens))
    started, first, count = time.perf_counter(), None, 0
    async for _ in engine.stream(request):
        first = first or time.perf_counter() - started
        count += 1
    return first, time.perf_counter() - started, count


async def measure(engine, url, prompt_ids, *, pairs, tokens):
    ours, theirs = [], []
    async with httpx2.AsyncClient(timeout=120, trust_env=False) as client:
        for pair in range(-1, pairs):
            sides = [(ours, through_us, (engine,)), (theirs, direct, (client, url))]
            for results, call, where in sides if pair % 2 else reversed(sides):
                result = await call(*where, prompt_ids, tokens)
                if pair >= 0:  # the first pair warms both
                    results.append(result)
    return ours, theirs


def report(ours, theirs):
    assert {count for *_, count in ours} == {count for *_, count in theirs}, "the two did not stream the same answer"
    added = [1000 * (mine[0] - other[0]) for mine, other in zip(ours, theirs, strict=True)]
    rates = [other[1] / mine[1] for mine, other in zip(ours, theirs, strict=True)]
    figures = {
        "bench": "vllm",
        "pairs": len(ours),
        "tokens": ours[0][2],
        "load_average": round(os.getloadavg()[0], 2),
        "direct_tokens_per_s": round(statistics.median(count / total for _, total, count in theirs), 1),
        "through_tokens_per_s": round(statistics.median(count / total for _, total, count in ours), 1),
        "direct_first_token_ms": round(1000 * statistics.median(first for first, *_ in theirs), 1),
        "through_first_token_ms": round(1000 * statistics.median(first for first, *_ in ours), 1),
        "rate_ratio": round(statistics.median(rates), 3),
        "rate_bar": RATE_BAR,
        "added_first_token_ms": round(statistics.median(added), 1),
        "added_first_token_ms_bar": ADDED_MS_BAR,
    }
    met = figures["rate_ratio"] >= RATE_BAR and figures["added_first_token_ms"] <= ADDED_MS_BAR
    print(json.dumps(figures | {"met": met}))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--tokens", type=int, default=128)
    options = parser.parse_args()
    vllm, base = find_vllm(vllm_python()), replace(demo_registry().get("base"), engine="local")
    # One core computes, so that client and server do not share it.
    (planned,) = plan(
        [base], python=vllm.python, cpu=vllm.cpu, ports=free_ports(), dtype="float32", cores=available_cores()[:1]
    )
    with tempfile.TemporaryDirectory() as folder, running([planned], logs=Path(folder)):
        engine = VllmEngine([replace(base, engine=planned.url)])
        prompt_ids = load_tokenizer(base.tokenizer).render(PROMPT, template="chat")
        found = measure(engine, planned.url, prompt_ids, pairs=options.pairs, tokens=options.tokens)
        report(*asyncio.run(found))


if __name__ == "__main__":
    main()
