"""The rows of one model in memory, decoded as one batch.

A view is one model reading one request. Views whose adapter and ids so far are the same share a slot of the batch: a
prompt that all columns share is read once, and a base stream stays one row with the references that agree with it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from transformers import DynamicCache

from app.engines.local.weights import Floats, Reader, Weights

# Columns of a prompt read per step, so that a long prompt does not hold up other cohorts.
PREFILL_COLUMNS = 512


class Reading(Protocol):
    """What a batch needs to know of a request: whether anyone still wants it, and the id it emitted last."""

    @property
    def live(self) -> bool:
        """Whether its rows should go on."""
        ...

    @property
    def last(self) -> int:
        """The id to feed next."""
        ...


@dataclass(slots=True, eq=False)
class View:
    """One model reading one request. `logits` are for the next token, `[V]`."""

    reader: Reader
    prompt: tuple[int, ...]
    run: Reading
    slot: int = 0
    batch: "Batch | None" = None

    @property
    def logits(self) -> Floats:
        """What the model thinks comes next; valid after a prefill or an advance."""
        assert self.batch is not None, "a view belongs to a batch before it is read"  # noqa: S101
        row: Floats = self.batch.logits[self.slot]
        return row


class Batch:
    """Views on the same weights: `prefill` once, `advance` after each token. Finished runs leave by themselves."""

    def __init__(self, weights: Weights, views: list[View]) -> None:
        """Order the views so that rows of one adapter stand together."""
        self.views = sorted(views, key=lambda view: view.reader.adapter)
        self.logits: Floats = np.empty((0, 0), dtype=np.float32)
        self._weights = weights
        self._cache = DynamicCache(config=weights.model.config)
        self._adapters: list[str] = []
        # Real tokens of each slot, and which columns of it are not padding (None: no slot is padded).
        self._lengths = torch.empty(0, dtype=torch.long)
        self._mask: torch.Tensor | None = None
        for view in self.views:
            view.batch = self

    def prefill(self) -> Iterator[None]:
        """Read every distinct prompt, left-padded, a block of columns per step."""
        slots: dict[tuple[str, tuple[int, ...]], int] = {}
        for view in self.views:
            view.slot = slots.setdefault((view.reader.adapter, view.prompt), len(slots))
        self._adapters = [adapter for adapter, _ in slots]
        prompts = [prompt for _, prompt in slots]
        self._lengths = torch.tensor([len(prompt) for prompt in prompts])
        width = int(self._lengths.max())
        ids = torch.tensor([[0] * (width - len(prompt)) + list(prompt) for prompt in prompts])
        positions = torch.arange(width) - (width - self._lengths)[:, None]
        if int(self._lengths.min()) < width:
            self._mask = (positions >= 0).long()
        for start in range(0, width, PREFILL_COLUMNS):
            if not any(view.run.live for view in self.views):
                return
            block = slice(start, min(start + PREFILL_COLUMNS, width))
            self._forward(ids[:, block], positions[:, block].clamp(min=0), seen=block.stop)
            yield

    def advance(self) -> None:
        """Feed each view the id its run emitted. Slots split where runs part and go where no live view is left."""
        self.views = [view for view in self.views if view.run.live]
        slots: dict[tuple[int, int], int] = {}
        for view in self.views:
            key = (view.slot, view.reader.known(view.run.last))
            view.slot = slots.setdefault(key, len(slots))
        if not slots:
            self._cache = DynamicCache(config=self._weights.model.config)
            return
        self._select([parent for parent, _ in slots])
        if self._mask is not None:
            self._mask = torch.cat([self._mask, torch.ones(len(slots), 1, dtype=torch.long)], dim=1)
        ids = torch.tensor([[token] for _, token in slots])
        self._forward(ids, self._lengths[:, None], seen=-1)
        self._lengths = self._lengths + 1

    def _select(self, parents: list[int]) -> None:
        if parents == list(range(len(self._adapters))):
            return
        index = torch.tensor(parents)
        self._cache.batch_select_indices(index.to(self._weights.device))
        self._adapters = [self._adapters[parent] for parent in parents]
        self._lengths = self._lengths[index]
        if self._mask is not None:
            self._mask = self._mask[index]

    def _forward(self, ids: torch.Tensor, positions: torch.Tensor, *, seen: int) -> None:
        mask = self._mask
        if mask is not None:
            mask = (mask if seen < 0 else mask[:, :seen]).to(self._weights.device)
        logits = self._weights.forward(
            ids,
            self._adapters,
            keep=1,
            past_key_values=self._cache,
            use_cache=True,
            attention_mask=mask,
            position_ids=positions.to(self._weights.device),
        )
        self.logits = logits[:, 0]
