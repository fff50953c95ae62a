"""`score` of 50 responses against one teacher-forced forward per distinct model, in one process, alternated.

The forward is what anyone would write: transformers, the logits of the response's positions only. Bar: 1.15 times.
"""

import asyncio
import statistics

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from app.engines.local import LocalEngine
from app.engines.registry import Registry, load_registry
from app.engines.tokenizer import load_tokenizer
from app.settings import Settings
from tests.bench.report import Spent, Stopwatch, emit

RESPONSES = 50
LENGTHS = (40, 80, 120, 200)
PROMPT = "Explain how steel is made, step by step, and what makes it stronger than iron."
TEXT = (
    "Steel is made by melting iron ore with coke and limestone in a blast furnace, which removes oxygen and leaves "
    "pig iron rich in carbon. Oxygen blown through the melt burns most of that carbon away, and alloying metals such "
    "as chromium or manganese are added before the liquid is cast, rolled and cooled at a controlled rate. "
) * 4


def plain_model(registry: Registry, name: str):
    checkpoint = registry.get(name)
    model = AutoModelForCausalLM.from_pretrained(checkpoint.model, dtype=torch.float32)
    if checkpoint.adapter is not None:
        model = PeftModel.from_pretrained(model, checkpoint.adapter)
    return model.eval()


@torch.inference_mode()
def forward(model, prompt: tuple[int, ...], response: tuple[int, ...]) -> Spent:
    watch = Stopwatch()
    model(input_ids=torch.tensor([[*prompt, *response]]), logits_to_keep=len(response) + 1, use_cache=False)
    return watch.spent


async def measure(tuned: str) -> None:
    registry = load_registry(Settings().resolved_checkpoints)
    tokenizer = load_tokenizer(registry.get("base").tokenizer)
    prompt, ids = tokenizer.render(PROMPT, template="chat"), tokenizer.encode(TEXT)
    engine = LocalEngine(registry)
    models = [plain_model(registry, name) for name in dict.fromkeys((tuned, "base"))]
    pairs = []
    for n in range(RESPONSES + 2):
        # Every response differs, and so does who goes first.
        response = ids[n : n + LENGTHS[n % len(LENGTHS)]]

        async def scored(response=response) -> Spent:
            watch = Stopwatch()
            await engine.score(prompt, response, 20, checkpoint=tuned, reference="base")
            return watch.spent

        if n % 2:
            ours = await scored()
            theirs = sum((forward(model, prompt, response) for model in models), Spent(0, 0))
        else:
            theirs = sum((forward(model, prompt, response) for model in models), Spent(0, 0))
            ours = await scored()
        pairs.append((ours, theirs))
    # The first two load and warm up.
    kept = pairs[2:]
    emit(
        bench="score",
        base="base",
        tuned=tuned,
        responses=len(kept),
        median_ratio=round(statistics.median(ours.wall / theirs.wall for ours, theirs in kept), 3),
        median_cpu_ratio=round(statistics.median(ours.cpu / theirs.cpu for ours, theirs in kept), 3),
        score_s=round(sum(ours.wall for ours, _ in kept), 2),
        forwards_s=round(sum(theirs.wall for _, theirs in kept), 2),
        threads=torch.get_num_threads(),
        bar=1.15,
    )
    await engine.aclose()


def main() -> None:
    for tuned in ("lft", "sft", "base"):
        asyncio.run(measure(tuned))


if __name__ == "__main__":
    main()
