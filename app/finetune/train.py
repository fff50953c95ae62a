"""Tune a checkpoint: LoRA matrices (LFT) or every parameter (SFT), from the same data by the same loop."""

import importlib.metadata
import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from app.finetune.encode import Encoded, encode
from app.finetune.hashing import weights_sha256
from app.finetune.loop import FinetuneError, Progress, StepLoss, fit
from app.finetune.publish import publishing
from app.finetune.recipe import Recipe, RecipeError
from app.finetune.versions import TRAINER
from app.tuning_sets.read import DataError, TuningData, read_data

RECORD = "tuneshift.json"

# Up to this many tokens plain attention beats the fused CPU kernel, whose backward pass is slow.
_SHORT = 256


@dataclass(frozen=True)
class Report:
    """What a finished run did. `losses` holds the mean nats per learned token of every optimiser step."""

    method: str
    out: str
    instances: int
    truncated: int
    tokens: int
    learned_tokens: int
    steps: int
    losses: tuple[float, ...]
    epoch_losses: tuple[float, ...]
    dtype: str
    device: str
    threads: int
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """The record as JSON values."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _dtype(recipe: Recipe, *, device: torch.device) -> torch.dtype:
    """bfloat16 only where the hardware multiplies it natively: emulated, it is slower than float32."""
    if recipe.dtype != "auto":
        return torch.bfloat16 if recipe.dtype == "bfloat16" else torch.float32
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    capabilities = torch.cpu.get_capabilities()
    native = capabilities.get("avx512_bf16") or capabilities.get("amx_bf16")
    return torch.bfloat16 if native else torch.float32


def _load(base: Path) -> tuple[Any, Any]:
    if not (base / "config.json").is_file():
        raise FinetuneError(f"{base} has no config.json.", remedy="Give the folder of a whole checkpoint as base.")
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, local_files_only=True)
    tokenizer = AutoTokenizer.from_pretrained(base, local_files_only=True)
    if not tokenizer.chat_template or tokenizer.eos_token_id is None:
        raise FinetuneError(
            f"The tokenizer of {base} has no chat template or no end-of-sequence token.",
            remedy="Use a base that has both.",
        )
    return model, tokenizer


def _with_adapter(model: Any, recipe: Recipe) -> Any:
    names = {name.rsplit(".", 1)[-1] for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    missing = [target for target in recipe.targets if target not in names]
    if missing:
        raise RecipeError(
            f"recipe: targets names {', '.join(missing)}, which this model has not.",
            remedy=f"Its linear layers are {', '.join(sorted(names))}.",
        )
    config = LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        target_modules=list(recipe.targets),
        lora_dropout=0.0,
        bias="none",
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, config)


def _encode_all(data: TuningData, *, tokenizer: Any, recipe: Recipe, rows: int) -> list[Encoded]:
    encoded = [encode(example, tokenizer=tokenizer, max_tokens=recipe.max_tokens) for example in data.examples]
    for example, item in zip(data.examples, encoded, strict=True):
        if max(item.ids) >= rows:
            raise DataError(
                f"{example.where}: token id {max(item.ids)} is beyond the {rows} rows of the model's embedding.",
                remedy="Use the tokenizer that the base was trained with.",
            )
    return encoded


def _save(model: Any, tokenizer: Any, *, method: str, base: Path, out: Path, folder: Path) -> None:
    model.eval()
    if method == "lft":
        # A path relative to the adapter: the folder can move together with its base, and no machine is named.
        model.peft_config["default"].base_model_name_or_path = os.path.relpath(base.resolve(), out.absolute())
        # The library keeps a set, whose order differs from run to run.
        model.peft_config["default"].target_modules = sorted(model.peft_config["default"].target_modules)
        model.save_pretrained(folder, save_embedding_layers=False)
        (folder / "README.md").unlink(missing_ok=True)  # a form of the library with nothing filled in
        return
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _report(
    recipe: Recipe,
    *,
    out: Path,
    encoded: Sequence[Encoded],
    losses: Sequence[StepLoss],
    dtype: torch.dtype,
    device: torch.device,
    seconds: float,
) -> Report:
    by_epoch = [[step.loss for step in losses if step.epoch == wanted] for wanted in range(recipe.epochs)]
    return Report(
        method=recipe.method,
        out=out.name,
        instances=len(encoded),
        truncated=sum(item.truncated for item in encoded),
        tokens=recipe.epochs * sum(len(item.ids) for item in encoded),
        learned_tokens=recipe.epochs * sum(sum(item.learned) for item in encoded),
        steps=len(losses),
        losses=tuple(round(step.loss, 6) for step in losses),
        epoch_losses=tuple(round(sum(values) / len(values), 6) for values in by_epoch),
        dtype=str(dtype).removeprefix("torch."),
        device=device.type,
        threads=torch.get_num_threads(),
        seconds=round(seconds, 1),
    )


def _record(recipe: Recipe, *, data: TuningData, base: Path, report: Report) -> str:
    packages = ("torch", "transformers", "peft", "tokenizers", "safetensors")
    record = {
        "recipe": recipe.as_dict(),
        "trainer": TRAINER,
        "data": {"file": data.path.name, "sha256": data.sha256},
        "base": {"weights_sha256": weights_sha256(base)},
        "saved_as": "float32 safetensors",
        "versions": {name: importlib.metadata.version(name) for name in packages},
        "report": report.as_dict(),
    }
    return json.dumps(record, indent=2, sort_keys=True) + "\n"


def finetune(*, base: Path, data: Path, out: Path, recipe: Recipe, progress: Progress) -> Report:
    """Tune `base` on `data` and write the checkpoint folder `out`: an adapter for LFT, a whole model for SFT.

    Weights are saved in float32; `tuneshift.json` beside them records recipe, hashes, versions and losses. The same
    recipe on the same machine, libraries and thread count gives the same weights. `progress` gets (tokens done,
    tokens in all, message). `out` appears whole or not at all. Raises DataError, RecipeError, FinetuneError, and
    BusyError when another process writes `out`.
    """
    started = time.monotonic()
    instances = read_data(data)
    transformers_logging.disable_progress_bar()
    with publishing(out) as folder, torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        model, tokenizer = _load(base)
        encoded = _encode_all(
            instances, tokenizer=tokenizer, recipe=recipe, rows=model.get_input_embeddings().num_embeddings
        )
        device = _device()
        if device.type == "cpu" and max(len(item.ids) for item in encoded) <= _SHORT:
            model.set_attn_implementation("eager")
        dtype = _dtype(recipe, device=device)
        tuned = _with_adapter(model, recipe) if recipe.method == "lft" else model
        losses = fit(tuned.to(device), encoded, recipe, dtype=dtype, progress=progress)
        _save(tuned, tokenizer, method=recipe.method, base=base, out=out, folder=folder)
        seconds = time.monotonic() - started
        report = _report(recipe, out=out, encoded=encoded, losses=losses, dtype=dtype, device=device, seconds=seconds)
        (folder / RECORD).write_text(_record(recipe, data=instances, base=base, report=report), encoding="utf-8")
    return report
