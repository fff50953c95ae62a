"""Which vLLM servers a registry needs, down to the command line. Nothing is started here.

One server per full checkpoint; its adapters ride on it. Each flag is explained in docs/serving.md.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.engines.registry import Checkpoint
from app.engines.tokenizer import read_json
from app.engines.weight_files import AdapterFacts, check_adapter
from app.errors import ConfigurationError

HOST = "127.0.0.1"
ENTRY = "vllm.entrypoints.launchers.api_server.entry"
MAX_MODEL_LEN = 4096
MAX_LOGPROBS = 200
MAX_BATCHED_TOKENS = 2048
GPU_SHARE = 0.9
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
_KV_FLOOR_BYTES = 256 * 2**20
_KV_UNKNOWN_BYTES = 2**30
_BYTES = {"float32": 4, "bfloat16": 2}


@dataclass(frozen=True, slots=True)
class ServerPlan:
    """One server: the checkpoints it serves (the full one first, under their own names) and how to start it."""

    served: tuple[str, ...]
    port: int
    command: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]

    @property
    def name(self) -> str:
        """The full checkpoint's name; logs are called after it."""
        return self.served[0]

    @property
    def url(self) -> str:
        """What the registry calls `engine`."""
        return f"http://{HOST}:{self.port}/v1"


def plan(
    checkpoints: Iterable[Checkpoint],
    *,
    python: Path,
    cpu: bool,
    ports: Iterator[int],
    dtype: str,
    cores: Sequence[int] = (),
) -> tuple[ServerPlan, ...]:
    """Plan the servers for the in-process checkpoints given; those that have a server already are left alone.

    `cores` are the CPU's core numbers to share out. Reads model and adapter headers; raises ConfigurationError for
    an adapter without its base or one that vLLM would misread.
    """
    local = [checkpoint for checkpoint in checkpoints if checkpoint.is_local]
    full = [checkpoint for checkpoint in local if checkpoint.adapter is None]
    adapters = {base.name: [c for c in local if c.adapter is not None and c.base == base.name] for base in full}
    for checkpoint in local:
        if checkpoint.adapter is not None and checkpoint.base not in adapters:
            raise ConfigurationError(
                f"Adapter {checkpoint.name!r} runs on {checkpoint.base!r}, which is not served beside it.",
                remedy="Serve both or neither.",
            )
    shares = share_cores(cores, len(full)) if cpu else [""] * len(full)
    return tuple(
        ServerPlan(
            served=(base.name, *(adapter.name for adapter in adapters[base.name])),
            port=port,
            command=(
                *(str(python), "-m", ENTRY, "--host", HOST, "--port", str(port)),
                *_model_flags(base, dtype),
                *(_cpu_flags(Path(base.model), dtype) if cpu else _gpu_flags(len(full))),
                *_adapter_flags(base, adapters[base.name]),
            ),
            environment=_environment(share),
        )
        for base, port, share in zip(full, ports, shares, strict=False)
    )


def share_cores(cores: Sequence[int], servers: int) -> list[str]:
    """Give each server cores of its own, as vLLM writes them; with plenty, one stays free for the app.

    Two servers on the same core would wait for each other at every step.
    """
    usable = list(cores[1:]) if len(cores) > 2 * servers else list(cores)
    if len(usable) < servers:
        return ["nobind"] * servers
    size, rest = divmod(len(usable), servers)
    shares = []
    for index in range(servers):
        start = index * size + min(index, rest)
        shares.append(",".join(map(str, usable[start : start + size + (index < rest)])))
    return shares


def _environment(share: str) -> tuple[tuple[str, str], ...]:
    quiet = (("HF_HUB_OFFLINE", "1"), ("VLLM_NO_USAGE_STATS", "1"), ("DO_NOT_TRACK", "1"))
    return (*quiet, ("VLLM_CPU_OMP_THREADS_BIND", share)) if share else quiet


def _model_flags(checkpoint: Checkpoint, dtype: str) -> tuple[str, ...]:
    return (
        *("--model", checkpoint.model, "--served-model-name", checkpoint.name),
        *(("--revision", checkpoint.revision) if checkpoint.revision else ()),
        *("--dtype", dtype, "--max-model-len", str(_context(Path(checkpoint.model)))),
        *("--max-logprobs", str(MAX_LOGPROBS), "--max-num-batched-tokens", str(MAX_BATCHED_TOKENS)),
        *("--generation-config", "vllm"),
    )


def _cpu_flags(model: Path, dtype: str) -> tuple[str, ...]:
    return ("--enforce-eager", "--kv-cache-memory-bytes", str(_kv_bytes(model, dtype)))


def _gpu_flags(servers: int) -> tuple[str, ...]:
    return ("--gpu-memory-utilization", f"{GPU_SHARE / servers:.2f}")


def _adapter_flags(base: Checkpoint, adapters: Sequence[Checkpoint]) -> tuple[str, ...]:
    if not adapters:
        return ()
    facts = [_facts(base, adapter) for adapter in adapters]
    rank = max(fact.rank for fact in facts)
    modules = dict.fromkeys(FUSED.get(target, target) for fact in facts for target in sorted(fact.targets))
    return (
        *("--enable-lora", "--max-loras", str(len(adapters) + 1)),
        *("--max-lora-rank", str(min((known for known in LORA_RANKS if known >= rank), default=rank))),
        *("--lora-target-modules", *modules),
        *("--lora-modules", *(json.dumps({"name": a.name, "path": str(a.adapter)}) for a in adapters)),
    )


def _facts(base: Checkpoint, adapter: Checkpoint) -> AdapterFacts:
    assert adapter.adapter is not None  # noqa: S101  the caller has sorted them
    facts = check_adapter(adapter.adapter, Path(base.model), base_name=base.model)
    if facts.rank > LORA_RANKS[-1] or "lm_head" in facts.targets:
        raise ConfigurationError(
            f"vLLM cannot serve adapter {adapter.name!r}: it changes lm_head or has rank {facts.rank}.",
            remedy="Use the local engine for it, or merge it and register the result.",
        )
    return facts


def _context(model: Path) -> int:
    longest = read_json(model / "config.json").get("max_position_embeddings")
    return min(longest, MAX_MODEL_LEN) if isinstance(longest, int) else MAX_MODEL_LEN


def _kv_bytes(model: Path, dtype: str) -> int:
    """Room for two full contexts: keys and values of every layer and head, where the configuration tells them."""
    config: dict[str, Any] = read_json(model / "config.json")
    try:
        heads = config.get("num_key_value_heads") or config["num_attention_heads"]
        width = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
        per_token = 2 * config["num_hidden_layers"] * heads * width * _BYTES[dtype]
    except (KeyError, TypeError):
        return _KV_UNKNOWN_BYTES
    return max(_KV_FLOOR_BYTES, int(per_token) * 2 * _context(model))
