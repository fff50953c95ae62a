"""The training loop both methods share: what comes in which order, the loss, and the optimiser's steps."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from app.errors import InvalidInputError
from app.finetune.encode import Encoded
from app.finetune.recipe import Recipe

Progress = Callable[[float, float, str], None]

# Batches that are sorted by length together: more saves padding, fewer keeps the order more random.
_WINDOW = 8
# Widths are rounded up to this many tokens: CPU kernels are compiled anew for every shape they meet.
_SHAPES = 16


class FinetuneError(InvalidInputError):
    """A tuning run that cannot start or go on: says what was wrong and what would be right."""


@dataclass(frozen=True)
class Step:
    """One optimiser step: its instances, 0-based epoch and learning rate."""

    batch: tuple[Encoded, ...]
    epoch: int
    lr: float


@dataclass(frozen=True)
class StepLoss:
    """Mean loss of one step, in nats per learned token."""

    epoch: int
    loss: float


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


def plan(encoded: Sequence[Encoded], recipe: Recipe) -> list[Step]:
    """Every step of a run. It depends on data, batch, epochs and seed alone, so both methods see the same."""
    generator = torch.Generator().manual_seed(recipe.seed)
    order = [
        (epoch, batch)
        for epoch in range(recipe.epochs)
        for batch in _batches(encoded, size=recipe.batch, generator=generator)
    ]
    return [
        Step(tuple(encoded[i] for i in batch), epoch, learning_rate(step, steps=len(order), recipe=recipe))
        for step, (epoch, batch) in enumerate(order)
    ]


def _rounded(tokens: int) -> int:
    return -(-tokens // _SHAPES) * _SHAPES


def batch_loss(model: Any, batch: Sequence[Encoded], *, dtype: torch.dtype) -> torch.Tensor:
    """Mean negative log-likelihood, in nats, of the learned tokens of `batch`."""
    device = next(model.parameters()).device
    width = _rounded(max(len(item.ids) for item in batch))
    # Padding stands on the right, where causal attention never looks: no mask is needed and id 0 is as good as any.
    ids = torch.tensor([item.ids + (0,) * (width - len(item.ids)) for item in batch], device=device)
    learned = torch.tensor([item.learned + (False,) * (width - len(item.ids)) for item in batch], device=device)
    # Logits are by far the widest tensor: compute them from the first answer's first token on.
    keep = min(width, _rounded(width - min(item.learned.index(True) for item in batch) + 1))
    with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
        logits = model(input_ids=ids, use_cache=False, logits_to_keep=keep).logits[:, :-1]
    wanted = learned[:, -logits.shape[1] :]
    targets = ids[:, -logits.shape[1] :]
    return torch.nn.functional.cross_entropy(logits[wanted].float(), targets[wanted])


def fit(
    model: Any, encoded: Sequence[Encoded], recipe: Recipe, *, dtype: torch.dtype, progress: Progress
) -> list[StepLoss]:
    """Train the parameters of `model` that require gradients; returns the loss of every step, before its update.

    `progress` gets (tokens done, tokens in all, message). Raises FinetuneError when the loss is no longer finite.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=recipe.lr, weight_decay=recipe.weight_decay, fused=True)
    total = recipe.epochs * sum(len(item.ids) for item in encoded)
    done = 0
    losses: list[StepLoss] = []
    model.train()
    progress(0, total, "epoch 1")
    for step in plan(encoded, recipe):
        loss = batch_loss(model, step.batch, dtype=dtype)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise FinetuneError(f"The loss is {value} at step {len(losses) + 1}.", remedy=f"Lower lr ({recipe.lr}).")
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, recipe.clip)
        for group in optimiser.param_groups:
            group["lr"] = step.lr
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        losses.append(StepLoss(step.epoch, value))
        done += sum(len(item.ids) for item in step.batch)
        progress(done, total, f"epoch {step.epoch + 1}, loss {value:.2f}")
    return losses
