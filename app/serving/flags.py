"""The flags of one vLLM server. Each is explained in docs/serving.md."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from app.engines.registry import Checkpoint
from app.engines.tokenizer import read_json
from app.engines.weight_files import AdapterFacts, check_adapter, model_shapes
from app.errors import ConfigurationError

MAX_MODEL_LEN = 4096
MAX_LOGPROBS = 200
MAX_BATCHED_TOKENS = 2048
# vLLM reserves memory by rank and knows these.
LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
# vLLM fuses these linear layers of Llama-like models and knows them by the fused name.
FUSED = {
    "q_proj": "qkv_proj",
    "k_proj": "qkv_proj",
    "v_proj": "qkv_proj",
    "gate_proj": "gate_up_proj",
    "up_proj": "gate_up_proj",
}
# What adapters that are loaded later may change: every linear layer of a block, not the output layer.
_BLOCK = ("qkv_proj", "o_proj", "gate_up_proj", "down_proj")
_KV_FLOOR_BYTES = 256 * 2**20
_KV_UNKNOWN_BYTES = 2**30
_BYTES = {"float32": 4, "bfloat16": 2}


def model_flags(checkpoint: Checkpoint, dtype: str) -> tuple[str, ...]:
    """Name the model, its number type and the limits that keep scoring within memory."""
    return (
        *("--model", checkpoint.model, "--served-model-name", checkpoint.name),
        *(("--revision", checkpoint.revision) if checkpoint.revision else ()),
        *("--dtype", dtype, "--max-model-len", str(context(Path(checkpoint.model)))),
        *("--max-logprobs", str(MAX_LOGPROBS), "--max-num-batched-tokens", str(MAX_BATCHED_TOKENS)),
        *("--generation-config", "vllm"),
    )


def cpu_flags(model: Path, dtype: str) -> tuple[str, ...]:
    """Start fast, and keep a cache of known size instead of a share of all memory."""
    return ("--enforce-eager", "--kv-cache-memory-bytes", str(kv_bytes(model, dtype)))


def gpu_flags(share: float) -> tuple[str, ...]:
    """Take a share of the whole card."""
    return ("--gpu-memory-utilization", f"{share:.2f}")


def adapter_flags(
    base: Checkpoint, adapters: Sequence[Checkpoint], *, more: int = 0, more_rank: int = 0
) -> tuple[str, ...]:
    """Serve adapters beside their base, with room for `more` of rank `more_rank` that are loaded later.

    Raises ConfigurationError for an adapter that vLLM would misread.
    """
    if not adapters and not more:
        return ()
    facts = [_facts(base, adapter) for adapter in adapters]
    rank = max([more_rank if more else 1, *(fact.rank for fact in facts)])
    targets = [FUSED.get(target, target) for fact in facts for target in sorted(fact.targets)]
    modules = dict.fromkeys([*targets, *(_BLOCK if more else ())])
    return (
        *("--enable-lora", "--max-loras", str(len(adapters) + more + 1)),
        *("--max-lora-rank", str(min((known for known in LORA_RANKS if known >= rank), default=rank))),
        *("--lora-target-modules", *modules),
        *(("--lora-modules", *(_named(adapter) for adapter in adapters)) if adapters else ()),
    )


def _named(adapter: Checkpoint) -> str:
    return json.dumps({"name": adapter.name, "path": str(adapter.adapter)})


def _facts(base: Checkpoint, adapter: Checkpoint) -> AdapterFacts:
    assert adapter.adapter is not None  # noqa: S101  the caller has sorted them
    facts = check_adapter(adapter.adapter, Path(base.model), base_name=base.model)
    if facts.rank > LORA_RANKS[-1] or "lm_head" in facts.targets:
        raise ConfigurationError(
            f"vLLM cannot serve adapter {adapter.name!r}: it changes lm_head or has rank {facts.rank}.",
            remedy=f"Merge it (--merge {adapter.name}), or use the local engine for it.",
        )
    return facts


def weight_bytes(model: Path, dtype: str) -> int:
    """Bytes of a model's weights in the number type it is served in, from the headers of its files."""
    return sum(math.prod(shape) for shape in model_shapes(model).values()) * _BYTES[dtype]


def context(model: Path) -> int:
    """Tokens a request may have: the model's own limit, or ours where that is less."""
    longest = read_json(model / "config.json").get("max_position_embeddings")
    return min(longest, MAX_MODEL_LEN) if isinstance(longest, int) else MAX_MODEL_LEN


def kv_bytes(model: Path, dtype: str) -> int:
    """Room for two full contexts: keys and values of every layer and head, where the configuration tells them."""
    config: dict[str, Any] = read_json(model / "config.json")
    try:
        heads = config.get("num_key_value_heads") or config["num_attention_heads"]
        width = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
        per_token = 2 * config["num_hidden_layers"] * heads * width * _BYTES[dtype]
    except (KeyError, TypeError):
        return _KV_UNKNOWN_BYTES
    return max(_KV_FLOOR_BYTES, int(per_token) * 2 * context(model))
