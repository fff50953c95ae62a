"""Tune a checkpoint: LoRA matrices (LFT) or every parameter (SFT), from the same data by the same loop."""

import importlib.metadata
import json
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from app.finetune.data import DataError, TuningData, read_data
from app.finetune.encode import Encoded, encode
from app.finetune.hashing import weights_sha256
from app.finetune.publish import publishing
from app.finetune.recipe import Recipe, RecipeError

# Raise it whenever the same recipe on the same data would give other weights: the demo trains again on a change.
TRAINER = "1"
RECORD = "tuneshift.json"

# Batches that are sorted by length together: more saves padding, fewer keeps the order more random.
_WINDOW = 8

Progress = Callable[[float, float, str], None]


class FinetuneError(ValueError):
    """A tuning run that cannot start or go on: says what was wrong and what would be right."""


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


@dataclass(frozen=True)
class _Step:
    batch: tuple[Encoded, ...]
    epoch: int
    lr: float


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
        raise FinetuneError(f"{base} is not a checkpoint folder: it has no config.json. Give the folder of the base")
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, local_files_only=True)
    tokenizer = AutoTokenizer.from_pretrained(base, local_files_only=True)
    if not tokenizer.chat_template or tokenizer.eos_token_id is None:
        raise FinetuneError(
            f"the tokenizer of {base} has no chat template or no end-of-sequence token. Use a base that has both"
        )
    model.config.use_cache = False
    return model, tokenizer


def _with_adapter(model: Any, recipe: Recipe) -> Any:
    names = {name.rsplit(".", 1)[-1] for name, _ in model.named_modules()}
    missing = [target for target in recipe.targets if target not in names]
    if missing:
        raise RecipeError(f"recipe: targets names {', '.join(missing)}, which this model has not")
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
                f"{example.where}: token id {max(item.ids)} is beyond the {rows} rows of the model's embedding. "
                "The tokenizer has tokens that the model never learned; use the tokenizer it was trained with"
            )
    return encoded


def learning_rate(step: int, *, steps: int, recipe: Recipe) -> float:
    """Rate of 0-based `step`: linear warm-up to `recipe.lr`, then a half cosine that reaches zero after the last."""
    warm = math.ceil(recipe.warmup * steps)
    if step < warm:
        return recipe.lr * (step + 1) / warm
    return recipe.lr * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def _batches(encoded: Sequence[Encoded], *, size: int, generator: torch.Generator) -> list[list[int]]:
    """One epoch in random order, with instances of similar length together so that little is spent on padding."""
    order = torch.randperm(len(encoded), generator=generator).tolist()
    batches = []
    for start in range(0, len(order), _WINDOW * size):
        window = sorted(order[start : start + _WINDOW * size], key=lambda i: len(encoded[i].ids))
        batches += [window[i : i + size] for i in range(0, len(window), size)]
    return [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]


def _plan(encoded: Sequence[Encoded], recipe: Recipe) -> list[_Step]:
    """Every step of the run. It depends on data, batch, epochs and seed alone, so both methods see the same."""
    generator = torch.Generator().manual_seed(recipe.seed)
    plan = [
        (epoch, batch)
        for epoch in range(recipe.epochs)
        for batch in _batches(encoded, size=recipe.batch, generator=generator)
    ]
    return [
        _Step(tuple(encoded[i] for i in batch), epoch, learning_rate(step, steps=len(plan), recipe=recipe))
        for step, (epoch, batch) in enumerate(plan)
    ]


def _loss(model: Any, batch: Sequence[Encoded], *, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """Mean negative log-likelihood, in nats, of the learned tokens of `batch`."""
    width = max(len(item.ids) for item in batch)
    # Padding stands on the right, where causal attention never looks: no mask is needed and id 0 is as good as any.
    ids = torch.tensor([item.ids + (0,) * (width - len(item.ids)) for item in batch], device=device)
    learned = torch.tensor([item.learned + (False,) * (width - len(item.ids)) for item in batch], device=device)
    keep = width - min(item.learned.index(True) for item in batch) + 1
    with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
        logits = model(input_ids=ids, logits_to_keep=keep).logits[:, :-1]
    wanted = learned[:, -logits.shape[1] :]
    targets = ids[:, -logits.shape[1] :]
    return torch.nn.functional.cross_entropy(logits[wanted].float(), targets[wanted])


def _fit(model: Any, encoded: Sequence[Encoded], recipe: Recipe, *, dtype: torch.dtype, progress: Progress) -> Any:
    device = next(model.parameters()).device
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=recipe.lr, weight_decay=recipe.weight_decay, fused=True)
    total = recipe.epochs * sum(len(item.ids) for item in encoded)
    done = 0
    losses: list[tuple[int, float]] = []
    model.train()
    progress(0, total, "epoch 1")
    for step in _plan(encoded, recipe):
        loss = _loss(model, step.batch, device=device, dtype=dtype)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise FinetuneError(f"the loss is {value} at step {len(losses) + 1}; lower lr (now {recipe.lr})")
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, recipe.clip)
        for group in optimiser.param_groups:
            group["lr"] = step.lr
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        losses.append((step.epoch, value))
        done += sum(len(item.ids) for item in step.batch)
        progress(done, total, f"epoch {step.epoch + 1}, loss {value:.2f}")
    return losses


def _save(model: Any, tokenizer: Any, *, method: str, base: Path, out: Path, folder: Path) -> None:
    model.eval()
    if method == "lft":
        # A path relative to the adapter: the folder can move together with its base, and no machine is named.
        model.peft_config["default"].base_model_name_or_path = os.path.relpath(base.resolve(), out.absolute())
        model.save_pretrained(folder, save_embedding_layers=False)
        (folder / "README.md").unlink(missing_ok=True)  # a form of the library with nothing filled in
        return
    model.config.use_cache = True
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _report(
    recipe: Recipe,
    *,
    out: Path,
    encoded: Sequence[Encoded],
    losses: Any,
    dtype: torch.dtype,
    device: torch.device,
    seconds: float,
) -> Report:
    by_epoch = [[value for epoch, value in losses if epoch == wanted] for wanted in range(recipe.epochs)]
    return Report(
        method=recipe.method,
        out=out.name,
        instances=len(encoded),
        truncated=sum(item.truncated for item in encoded),
        tokens=recipe.epochs * sum(len(item.ids) for item in encoded),
        learned_tokens=recipe.epochs * sum(sum(item.learned) for item in encoded),
        steps=len(losses),
        losses=tuple(round(value, 6) for _, value in losses),
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
        "report": asdict(report),
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
        dtype = _dtype(recipe, device=device)
        tuned = _with_adapter(model, recipe) if recipe.method == "lft" else model
        losses = _fit(tuned.to(device), encoded, recipe, dtype=dtype, progress=progress)
        _save(tuned, tokenizer, method=recipe.method, base=base, out=out, folder=folder)
        seconds = time.monotonic() - started
        report = _report(recipe, out=out, encoded=encoded, losses=losses, dtype=dtype, device=device, seconds=seconds)
        (folder / RECORD).write_text(_record(recipe, data=instances, base=base, report=report), encoding="utf-8")
    return report
