"""Two-layer random models in real files: for how the local engine works, where what it says is not the point."""

import json
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

from tests.unit.tiny_models import sorted_alphabet, write_tokenizer

VOCABULARY = 258
CONTEXT = 128


def save_model(folder: Path, *, seed: int, vocabulary: int = VOCABULARY) -> Path:
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        initializer_range=0.4,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    spelt = {"<s>": 0, "</s>": 1} | {char: n + 2 for n, char in enumerate(sorted_alphabet())}
    extra = {f"<extra{n}>": VOCABULARY + n for n in range(vocabulary - VOCABULARY)}
    write_tokenizer(folder, vocabulary=spelt | extra)
    return folder


def save_adapter(folder: Path, base: Path, *, seed: int, targets: list[str]) -> Path:
    torch.manual_seed(seed)
    model = get_peft_model(
        LlamaForCausalLM.from_pretrained(base),
        LoraConfig(r=4, lora_alpha=8, target_modules=targets, init_lora_weights=False, task_type="CAUSAL_LM"),
    )
    # Otherwise peft adds a copy of the whole output layer to an adapter that changes it.
    model.save_pretrained(folder, save_embedding_layers=False)
    return folder


def save_checkpoints(folder: Path) -> Path:
    """Write a base, two adapters of it, a full tuning and one with two more ids; return the registry."""
    base = save_model(folder / "base", seed=1)
    save_adapter(folder / "lft", base, seed=2, targets=["q_proj", "v_proj", "down_proj"])
    save_adapter(folder / "lft2", base, seed=3, targets=["k_proj", "o_proj", "gate_proj", "up_proj", "lm_head"])
    save_model(folder / "sft", seed=4)
    save_model(folder / "wide", seed=5, vocabulary=VOCABULARY + 2)
    entries = [
        {"name": "base", "role": "base", "model": "base"},
        {"name": "lft", "role": "lft", "base": "base", "adapter": "lft"},
        {"name": "lft2", "role": "lft", "base": "base", "adapter": "lft2"},
        {"name": "sft", "role": "sft", "base": "base", "model": "sft"},
        {"name": "wide", "role": "sft", "base": "base", "model": "wide"},
    ]
    lines = [
        "\n".join(["[[checkpoint]]", *(f"{key} = {json.dumps(value)}" for key, value in entry.items())])
        for entry in entries
    ]
    registry = folder / "checkpoints.toml"
    registry.write_text("\n\n".join(lines))
    return registry
