"""Add a LoRA adapter to its base once and for all: a full checkpoint that answers as both did together."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from app.engines.weight_files import check_adapter
from app.errors import ConfigurationError
from app.finetune.hashing import file_sha256, weights_sha256
from app.finetune.publish import publishing

_RECORD = "merged.json"
_NOT_WEIGHTS = ("tokenizer*", "*.jinja", "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt")


def merge_name(base: Path, adapter: Path, dtype: str) -> str:
    """Name a merged checkpoint by what it is made of, so that none is taken for another."""
    parts = (weights_sha256(base), weights_sha256(adapter), file_sha256(adapter / "adapter_config.json"), dtype)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def merge_adapter(base: Path, adapter: Path, out: Path, *, dtype: str, say: Callable[[str], None]) -> None:
    """Write base + adapter as a checkpoint folder `out`, added up in float32 and stored as `dtype`.

    A folder that is there already is kept: its name says what is in it. It appears whole or not at all. Raises
    ConfigurationError for an adapter that does not fit, or that changes an output layer its base shares with the input.
    """
    facts = check_adapter(adapter, base)
    if (out / _RECORD).is_file():
        return
    say(f"Merging {adapter} into {base}")
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    if "lm_head" in facts.targets and model.config.tie_word_embeddings:
        raise ConfigurationError(
            f"{adapter} changes lm_head, which {base} shares with its input embedding, so it cannot be merged.",
            remedy="Use the local engine for it.",
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    merged = PeftModel.from_pretrained(model, adapter).merge_and_unload()
    with publishing(out) as folder:
        merged.to(getattr(torch, dtype)).save_pretrained(folder)
        for pattern in _NOT_WEIGHTS:
            for file in base.glob(pattern):
                shutil.copyfile(file, folder / file.name)
        (folder / _RECORD).write_text(json.dumps({"base": str(base), "adapter": str(adapter), "dtype": dtype}) + "\n")
