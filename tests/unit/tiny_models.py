"""Tiny model, adapter and tokenizer folders written by hand: headers and shapes are real, sizes are not."""

import json
import struct
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers

HIDDEN = 4


def write_safetensors(file: Path, shapes: dict[str, tuple[int, ...]]) -> None:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in shapes.items():
        size = 4
        for length in shape:
            size *= length
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    raw = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(raw)) + raw + b"\0" * end)


def write_model(folder: Path, *, vocabulary: dict[str, int] | None = None) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", "eos_token_id": 1}))
    write_safetensors(
        folder / "model.safetensors",
        {
            "model.embed_tokens.weight": (300, HIDDEN),
            "model.layers.0.self_attn.q_proj.weight": (HIDDEN, HIDDEN),
            "model.layers.0.mlp.up_proj.weight": (6, HIDDEN),
        },
    )
    write_tokenizer(folder, vocabulary=vocabulary)
    return folder


def sorted_alphabet() -> list[str]:
    """The 256 characters that spell bytes in a byte-level vocabulary."""
    return sorted(pre_tokenizers.ByteLevel.alphabet())


def write_tokenizer(folder: Path, *, vocabulary: dict[str, int] | None = None) -> None:
    """Write a byte-level tokenizer without merges: every byte is a token, two specials stand in front."""
    if vocabulary is None:
        vocabulary = {"<s>": 0, "</s>": 1} | {char: n + 2 for n, char in enumerate(sorted_alphabet())}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([token for token in vocabulary if token.startswith("<") and len(token) > 1])
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "</s>"}))


def write_adapter(
    folder: Path,
    base: Path,
    *,
    config: dict[str, Any] | None = None,
    shapes: dict[str, tuple[int, ...]] | None = None,
) -> Path:
    folder.mkdir(parents=True)
    settings = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "bias": "none", "base_model_name_or_path": str(base)}
    (folder / "adapter_config.json").write_text(json.dumps(settings | (config or {})))
    q = "base_model.model.model.layers.0.self_attn.q_proj"
    up = "base_model.model.model.layers.0.mlp.up_proj"
    usual = {
        f"{q}.lora_A.weight": (2, HIDDEN),
        f"{q}.lora_B.weight": (HIDDEN, 2),
        f"{up}.lora_A.weight": (2, HIDDEN),
        f"{up}.lora_B.weight": (6, 2),
    }
    write_safetensors(folder / "adapter_model.safetensors", usual | (shapes or {}))
    return folder
