"""Tokens per second of a three-column comparison, every token with its exact shift, against plain generation.

Plain generation is transformers' `generate` of the same three models one after the other, with the same tokens, dtype
and threads, and without any shift. Above 1 the comparison is faster although it also scores every token under base.
"""

import asyncio
import statistics

import torch

from app.engines.local import LocalEngine
from app.engines.protocol import Decoding, Request
from app.engines.registry import load_registry
from app.engines.tokenizer import load_tokenizer
from app.settings import Settings
from tests.bench.bench_score import plain_model
from tests.bench.report import Spent, Stopwatch, emit

NAMES = ("base", "lft", "sft")
PROMPTS = (
    "Explain how a glacier moves and how it shapes the valley below it.",
    "Write a short guide to baking bread for someone who never did.",
    "Why is the sky blue, and why are sunsets red?",
)
TOKENS = 64
ROUNDS = 2


async def compare(engine: LocalEngine, prompt: tuple[int, ...]) -> tuple[list[int], Spent, float]:
    """Return tokens per column, seconds, and seconds to the first token."""
    watch, first = Stopwatch(), []

    async def column(name: str) -> int:
        asked = Request(checkpoint=name, prompt_ids=prompt, decoding=Decoding(max_tokens=TOKENS), reference="base")
        count = 0
        async for token in engine.stream(asked):
            if not first:
                first.append(watch.spent.wall)
            count += 1
            assert token.shift is not None
        return count

    counts = await asyncio.gather(*map(column, NAMES))
    return list(counts), watch.spent, first[0]


@torch.inference_mode()
def generate(model, prompt: tuple[int, ...], tokens: int) -> Spent:
    watch = Stopwatch()
    out = model.generate(
        input_ids=torch.tensor([prompt]),
        attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
        do_sample=False,
        min_new_tokens=tokens,
        max_new_tokens=tokens,
    )
    assert out.shape[1] == len(prompt) + tokens
    return watch.spent


async def measure() -> None:
    registry = load_registry(Settings().resolved_checkpoints)
    tokenizer = load_tokenizer(registry.get("base").tokenizer)
    engine = LocalEngine(registry)
    models = [plain_model(registry, name) for name in NAMES]
    ratios, cpu_ratios, ours_tps, theirs_tps, firsts = [], [], [], [], []
    await compare(engine, tokenizer.render("Hello", template="chat"))
    for n in range(ROUNDS * len(PROMPTS)):
        prompt = tokenizer.render(PROMPTS[n % len(PROMPTS)], template="chat")
        counts, ours, first = await compare(engine, prompt)
        theirs = sum((generate(*each) for each in zip(models, [prompt] * 3, counts, strict=True)), Spent(0, 0))
        ratios.append(theirs.wall / ours.wall)
        cpu_ratios.append(theirs.cpu / ours.cpu)
        ours_tps.append(sum(counts) / ours.wall)
        theirs_tps.append(sum(counts) / theirs.wall)
        firsts.append(first)
    emit(
        bench="stream",
        columns=NAMES,
        max_tokens=TOKENS,
        median_speedup=round(statistics.median(ratios), 3),
        median_cpu_speedup=round(statistics.median(cpu_ratios), 3),
        tokens_per_s=round(statistics.median(ours_tps), 1),
        generate_tokens_per_s=round(statistics.median(theirs_tps), 1),
        first_token_s=round(statistics.median(firsts), 3),
        threads=torch.get_num_threads(),
    )
    await engine.aclose()


def main() -> None:
    asyncio.run(measure())


if __name__ == "__main__":
    main()
