"""What going through our engine costs against calling the same vLLM server directly.

Pairs of greedy streams of one prompt, alternating who goes first, medians. Direct is the leanest client there is: one
connection kept open, no log-probabilities asked, bytes only counted. Bars: >= 0.97 of its tokens/s, first token <= 15
ms later. Usage: python -m tests.bench.bench_vllm [--pairs N] [--tokens N]
"""

import argparse
import asyncio
import re
import statistics
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import httpx2

from app.engines.protocol import Decoding, Request
from app.engines.tokenizer import load_tokenizer
from app.engines.vllm.engine import VllmEngine
from app.serving.plan import plan
from app.serving.serve import find_vllm, free_ports
from app.serving.supervise import available_cores, running
from tests.bench.report import Spent, Stopwatch, emit
from tests.engine.vllm_servers import demo_registry, vllm_python

PROMPT = "Describe, step by step and at length, how a letter travels from one country to another."
RATE_BAR, ADDED_MS_BAR = 0.97, 15.0


@dataclass(frozen=True)
class Run:
    """Seconds to the first bytes or token and to the last, processor seconds of this process, tokens streamed."""

    first: float
    spent: Spent
    tokens: int


async def direct(client, url, prompt_ids, tokens):
    body = {"model": "base", "prompt": list(prompt_ids), "max_tokens": tokens, "temperature": 0, "stream": True}
    watch, first, received = Stopwatch(), None, b""
    request = body | {"stream_options": {"include_usage": True}}
    async with client.stream("POST", f"{url}/completions", json=request) as response:
        async for part in response.aiter_bytes():
            first = first or watch.spent.wall
            received += part
    spent = watch.spent
    # A busy server puts several tokens into one event, so events are no count.
    return Run(first, spent, int(re.findall(rb'"completion_tokens":(\d+)', received)[-1]))


async def through_us(engine, prompt_ids, tokens):
    request = Request(checkpoint="base", prompt_ids=prompt_ids, decoding=Decoding(max_tokens=tokens))
    watch, first, count = Stopwatch(), None, 0
    async for _ in engine.stream(request):
        first = first or watch.spent.wall
        count += 1
    return Run(first, watch.spent, count)


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


def median(values, *, digits=1):
    return round(statistics.median(values), digits)


def report(ours, theirs):
    assert {run.tokens for run in ours} == {run.tokens for run in theirs}, "the two did not stream the same answer"
    rate = median((other.spent.wall / mine.spent.wall for mine, other in zip(ours, theirs, strict=True)), digits=3)
    added_ms = median(1000 * (mine.first - other.first) for mine, other in zip(ours, theirs, strict=True))
    sides = {
        f"{side}_{what}": value
        for side, runs in (("direct", theirs), ("through", ours))
        for what, value in (
            ("tokens_per_s", median(run.tokens / run.spent.wall for run in runs)),
            ("first_token_ms", median(1000 * run.first for run in runs)),
            ("client_cpu_us_per_token", median(1e6 * run.spent.cpu / run.tokens for run in runs)),
        )
    }
    counts = {"pairs": len(ours), "tokens": ours[0].tokens}
    emit(bench="vllm", figure="rate_ratio", value=rate, bar=RATE_BAR, met=rate >= RATE_BAR, **counts, **sides)
    emit(bench="vllm", figure="added_first_token_ms", value=added_ms, bar=ADDED_MS_BAR, met=added_ms <= ADDED_MS_BAR)


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
