"""The local engine on CUDA, on random weights as wide as a 7B model: streaming, exact KL, memory, and the roofline.

Two ceilings are measured on the device first, with plain torch: memory bandwidth by copying, arithmetic by multiplying
matrices. Decoding one token reads every weight once, so tokens/s cannot exceed bandwidth / bytes of weights; scoring
multiplies, so tokens/s cannot exceed arithmetic / (2 x parameters) for each of the two models that read.

`python -m tests.bench.bench_gpu`, on a machine with CUDA; `--tiny` runs the same on a CPU with a two-layer model, which
shows that the script works and nothing else. Prints JSON lines.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

from app.engines.local import LocalEngine
from app.engines.protocol import Decoding, Request
from app.engines.registry import load_registry
from tests.bench.report import emit
from tests.unit.tiny_models import sorted_alphabet, write_tokenizer

NO_CUDA = "This bench needs CUDA, and torch sees no CUDA device here. Use --tiny to try the script on a CPU.\n"
RANK = 16


@dataclass(frozen=True)
class Size:
    """A model and what is measured on it; `copy_bytes` and `side` are large enough to fill the device."""

    name: str
    config: dict
    dtype: str
    streams: tuple[int, ...]
    new_tokens: int
    scored_tokens: int
    copy_bytes: int
    side: int


WIDE = Size(
    name="7B",
    config={
        "vocab_size": 128_256, "hidden_size": 4096, "intermediate_size": 14_336, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 8, "max_position_embeddings": 4096,
    },
    dtype="bfloat16", streams=(1, 8), new_tokens=128, scored_tokens=1000, copy_bytes=2**32, side=8192,
)  # fmt: skip
TINY = Size(
    name="tiny",
    config={
        "vocab_size": 300, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256,
    },
    dtype="float32", streams=(1, 2), new_tokens=8, scored_tokens=40, copy_bytes=2**24, side=256,
)  # fmt: skip


@dataclass(frozen=True)
class Ceiling:
    """What the device can do at most: bytes moved and floating-point operations, per second."""

    bytes_per_s: float
    flops: float


def best_seconds(device: str, work, *, times: int = 5) -> float:
    """Return the shortest of some runs, the device waited for."""
    spent = []
    for _ in range(times + 1):
        began = time.perf_counter()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
        spent.append(time.perf_counter() - began)
    return min(spent[1:])


def ceiling(size: Size, device: str) -> Ceiling:
    """Measure both ceilings with plain torch."""
    dtype = getattr(torch, size.dtype)
    source = torch.empty(size.copy_bytes // 2, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    copied = best_seconds(device, lambda: target.copy_(source))
    a = torch.randn(size.side, size.side, dtype=dtype, device=device)
    multiplied = best_seconds(device, lambda: a @ a)
    # A copy reads and writes each byte.
    return Ceiling(bytes_per_s=2 * source.numel() / copied, flops=2 * size.side**3 / multiplied)


def save_checkpoints(folder: Path, size: Size, device: str) -> int:
    """Write a base of random weights and a LoRA of it with their registry; returns the number of parameters."""
    torch.manual_seed(0)
    config = LlamaConfig(
        **size.config, tie_word_embeddings=False, bos_token_id=0, eos_token_id=1, pad_token_id=1, initializer_range=0.02
    )
    previous = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, size.dtype))
    try:
        with torch.device(device):
            model = LlamaForCausalLM(config)
    finally:
        torch.set_default_dtype(previous)
    parameters = sum(tensor.numel() for tensor in model.parameters())
    model.save_pretrained(folder / "base")
    spelt = {"<s>": 0, "</s>": 1} | {char: n + 2 for n, char in enumerate(sorted_alphabet())}
    write_tokenizer(folder / "base", vocabulary=spelt)
    model.name_or_path = str(folder / "base")
    targets = ["q_proj", "v_proj", "down_proj"]
    lora = LoraConfig(r=RANK, lora_alpha=RANK, target_modules=targets, init_lora_weights=False, task_type="CAUSAL_LM")
    get_peft_model(model, lora).save_pretrained(folder / "lft", save_embedding_layers=False)
    entries = [
        {"name": "base", "role": "base", "model": "base", "template": "none"},
        {"name": "lft", "role": "lft", "base": "base", "adapter": "lft", "template": "none"},
    ]
    text = "".join(
        "[[checkpoint]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in entry.items())
        for entry in entries
    )
    (folder / "checkpoints.toml").write_text(text)
    return parameters


async def streamed(engine: LocalEngine, size: Size, streams: int, *, reference: str | None) -> float:
    """Return the tokens per second of some streams of the adapter at once."""

    async def one(n: int) -> int:
        decoding = Decoding(max_tokens=size.new_tokens, temperature=1.0, seed=n)
        request = Request(checkpoint="lft", prompt_ids=(5, 6, 7, 8 + n), decoding=decoding, reference=reference)
        async with aclosing(engine.stream(request)) as tokens:
            return len([token async for token in tokens])

    began = time.perf_counter()
    counts = await asyncio.gather(*(one(n) for n in range(streams)))
    return sum(counts) / (time.perf_counter() - began)


async def measure(size: Size, device: str, engine: LocalEngine, parameters: int) -> None:
    """Print the figures of streaming, scoring and memory."""
    top = ceiling(size, device)
    weight_bytes = parameters * getattr(torch, size.dtype).itemsize
    about = {
        "model": size.name, "parameters": parameters, "dtype": size.dtype, "device": _name(device),
        "bytes_per_s": round(top.bytes_per_s), "flops": round(top.flops),
    }  # fmt: skip
    await streamed(engine, size, 1, reference=None)  # loads and warms up
    for streams in size.streams:
        for reference in (None, "base"):
            found = await streamed(engine, size, streams, reference=reference)
            # With a reference the base reads every token too, with the same weights: two passes a step.
            passes = 1 if reference is None else 2
            limit = streams * top.bytes_per_s / (passes * weight_bytes)
            emit(
                bench="gpu stream", streams=streams, shifts_live=reference is not None, tokens_per_s=round(found, 2),
                roofline_tokens_per_s=round(limit, 2), ratio=float(f"{found / limit:.4g}"), **about,
            )  # fmt: skip
    response = tuple(10 + n % 200 for n in range(size.scored_tokens))
    seconds, scores = [], None
    for _ in range(4):
        began = time.perf_counter()
        scores = await engine.score((5, 6, 7), response, 100, checkpoint="lft", reference="base")
        seconds.append(time.perf_counter() - began)
    found, limit = size.scored_tokens / min(seconds[1:]), top.flops / (2 * 2 * parameters)
    emit(
        bench="gpu score", tokens=size.scored_tokens, top_k=100, kl=scores.kl_kind, tokens_per_s=round(found, 2),
        roofline_tokens_per_s=round(limit, 2), ratio=float(f"{found / limit:.4g}"),
        mean_kl=sum(token.kl_tuned_base for token in scores.tokens) / len(scores.tokens), **about,
    )  # fmt: skip
    peak = torch.cuda.max_memory_allocated() if device == "cuda" else None
    emit(bench="gpu memory", weight_bytes=weight_bytes, peak_bytes=peak, **about)


def _name(device: str) -> str:
    return torch.cuda.get_device_name() if device == "cuda" else "cpu"


async def run(size: Size, device: str) -> None:
    """Build the checkpoints, measure, and remove them."""
    with tempfile.TemporaryDirectory() as folder:
        parameters = save_checkpoints(Path(folder), size, device)
        if device == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        engine = LocalEngine(load_registry(Path(folder) / "checkpoints.toml"), dtype=size.dtype, device=device)
        try:
            await measure(size, device, engine, parameters)
        finally:
            await engine.aclose()


def main() -> int:
    """Run on CUDA, or with --tiny on a CPU; 2 where there is no CUDA."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true", help="a two-layer model on the CPU: tries the script only")
    tiny = parser.parse_args().tiny
    if not tiny and not torch.cuda.is_available():
        sys.stderr.write(NO_CUDA)
        return 2
    asyncio.run(run(TINY, "cpu") if tiny else run(WIDE, "cuda"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
