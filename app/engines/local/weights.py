"""Models in memory: loaded once per distinct base, with every LoRA adapter of it attached to the same weights.

A batch may mix rows of the base and of several adapters. Rows of one adapter stand together, so an adapted module adds
its low-rank product to a slice of its output and the base's rows are exactly the base's.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import structlog
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import AutoModelForCausalLM
from transformers.utils import logging as transformers_logging

from app.engines.registry import Checkpoint
from app.engines.tokenizer import load_tokenizer, read_json
from app.engines.weight_files import check_adapter, lora_scale
from app.errors import AppError, EngineError, EngineUnavailableError, InvalidInputError

Floats = NDArray[np.float32]

_log = structlog.get_logger(__name__)

_SIDES = (".lora_A.weight", ".lora_B.weight")


class _LowRank(nn.Module):  # type: ignore[misc]
    """A module with the low-rank products of its adapters: y = W x, plus B A x on the rows of each adapter."""

    def __init__(self, inner: nn.Module, segments: list[tuple[str, int, int]]) -> None:
        super().__init__()
        self.inner = inner
        self.segments = segments
        self.matrices: dict[str, tuple[Tensor, Tensor]] = {}

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.inner(x)
        for adapter, start, end in self.segments:
            if adapter in self.matrices:
                a, b = self.matrices[adapter]
                y[start:end] += nn.functional.linear(nn.functional.linear(x[start:end], a), b)
        return y


@dataclass(slots=True, eq=False)
class Weights:
    """One base in memory. `context` is its longest sequence, `vocabulary` its number of ids."""

    model: Any
    context: int
    vocabulary: int
    adapters: set[str] = field(default_factory=set)
    _segments: list[tuple[str, int, int]] = field(default_factory=list)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        device: torch.device = self.model.device
        return device

    def forward(self, ids: Tensor, adapters: Sequence[str], *, keep: int, **options: Any) -> Floats:
        """Run rows `[B, S]` and return logits `[B, keep, V]` of the last positions as float32 on the host.

        `adapters` names each row's adapter ("" is the base); rows of one adapter stand together.
        """
        self._segments[:] = _runs(adapters)
        with torch.inference_mode():
            out = self.model(input_ids=ids.to(self.device), logits_to_keep=keep, **options)
            logits: Floats = out.logits.float().cpu().numpy()
        return logits

    def attach(self, name: str, folder: Path) -> None:
        """Add an adapter from its folder. Its files must have passed `check_adapter`."""
        config = read_json(folder / "adapter_config.json")
        tensors = load_file(folder / "adapter_model.safetensors")
        for key in tensors:
            if not key.endswith(_SIDES[0]):
                continue
            module = key.removesuffix(_SIDES[0]).removeprefix("base_model.model.")
            a, b = tensors[key], tensors[key.removesuffix(_SIDES[0]) + _SIDES[1]] * lora_scale(config, module)
            self._adapted(module).matrices[name] = (self._placed(a), self._placed(b))
        self.adapters.add(name)

    def _placed(self, matrix: Tensor) -> Tensor:
        return matrix.to(device=self.device, dtype=self.model.dtype)

    def _adapted(self, module: str) -> _LowRank:
        inner = self.model.get_submodule(module)
        if isinstance(inner, _LowRank):
            return inner
        adapted = _LowRank(inner, self._segments)
        self.model.set_submodule(module, adapted)
        return adapted


def _runs(adapters: Sequence[str]) -> list[tuple[str, int, int]]:
    runs, start = [], 0
    for name, rows in groupby(adapters):
        end = start + sum(1 for _ in rows)
        if name:
            runs.append((name, start, end))
        start = end
    return runs


@dataclass(frozen=True, slots=True, eq=False)
class Reader:
    """One checkpoint ready to read ids: its weights, its adapter on them ("" for none), the ids that end a response."""

    name: str
    weights: Weights
    adapter: str
    eos_ids: frozenset[int]

    def check_prompt(self, prompt_ids: Sequence[int], *, response: int = 1) -> None:
        """Refuse, with InvalidInputError, a prompt that is empty, unknown to the model or too long for a response."""
        if not prompt_ids:
            raise InvalidInputError("The prompt is empty.", remedy="Type a prompt.")
        self._check_known(prompt_ids, where="prompt_ids", remedy="Give it a prompt in its own template.")
        if len(prompt_ids) + response > self.weights.context:
            raise InvalidInputError(
                f"A prompt of {len(prompt_ids)} tokens and a response of {response} do not fit {self.name}, "
                f"which reads at most {self.weights.context}.",
                remedy="Shorten the prompt.",
            )

    def check_response(self, response_ids: Sequence[int]) -> None:
        """Refuse, with InvalidInputError, ids this model cannot have emitted."""
        self._check_known(response_ids, where="response_ids", remedy="Score ids made with its tokenizer.")

    def _check_known(self, ids: Sequence[int], *, where: str, remedy: str) -> None:
        unknown = next((token for token in ids if not 0 <= token < self.weights.vocabulary), None)
        if unknown is not None:
            raise InvalidInputError(
                f"{self.name} has never seen token id {unknown}; it knows ids below {self.weights.vocabulary}.",
                remedy=remedy,
                where=where,
            )

    def known(self, token: int) -> int:
        """Return what to feed for an emitted id: itself, or, where the model has no such id, an end of sequence."""
        return token if token < self.weights.vocabulary else min(self.eos_ids, default=0)


class Store:
    """Everything loaded so far."""

    def __init__(self, *, dtype: str, device: str | None) -> None:
        """Choose the number type (`float32`, `bfloat16`) and device (None: CUDA when there is one)."""
        self._dtype = getattr(torch, dtype)
        self._device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self._weights: dict[str, Weights] = {}
        self._readers: dict[str, Reader] = {}

    def reader(self, checkpoint: Checkpoint) -> Reader:
        """Return a checkpoint ready to read, loading what is missing. Raises EngineError or ConfigurationError."""
        if checkpoint.name not in self._readers:
            with explained(f"{checkpoint.name} could not be loaded"):
                self._readers[checkpoint.name] = self._load(checkpoint)
        return self._readers[checkpoint.name]

    def _load(self, checkpoint: Checkpoint) -> Reader:
        weights = self._weights.get(checkpoint.model)
        if weights is None:
            weights = self._weights[checkpoint.model] = load_weights(
                Path(checkpoint.model), dtype=self._dtype, device=self._device
            )
        adapter = ""
        if checkpoint.adapter is not None:
            adapter = checkpoint.name
            check_adapter(checkpoint.adapter, Path(checkpoint.model), base_name=checkpoint.model)
            weights.attach(adapter, checkpoint.adapter)
        eos_ids = load_tokenizer(checkpoint.tokenizer).eos_ids
        return Reader(name=checkpoint.name, weights=weights, adapter=adapter, eos_ids=eos_ids)


def load_weights(folder: Path, *, dtype: torch.dtype, device: str) -> Weights:
    """Load a model folder. Raises EngineError when its weights are not exactly those its architecture needs."""
    transformers_logging.disable_progress_bar()
    model, info = AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, local_files_only=True, use_safetensors=True, output_loading_info=True
    )
    for what in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if info.get(what):
            raise EngineError(
                f"{folder}: {len(info[what])} {what.replace('_', ' ')} (first: {min(map(str, info[what]))}).",
                remedy="The weights do not belong to this config.json; copy the folder again.",
            )
    model.eval().requires_grad_(requires_grad=False)
    vocabulary = model.get_input_embeddings().weight.shape[0]
    context = getattr(model.config.get_text_config(), "max_position_embeddings", None) or vocabulary
    return Weights(model=model.to(device), context=context, vocabulary=vocabulary)


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn what loading and running models raises into an EngineError that starts with `what`."""
    try:
        yield
    except AppError:
        raise
    except Exception as error:
        _log.warning("model failed", what=what, exc_info=True)
        raise _explain(error, what) from error


def _explain(error: Exception, what: str) -> EngineError:
    """Say in one sentence why a model failed, and what would help."""
    text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "allocate memory" in text:
        return EngineUnavailableError(
            f"{what}: out of memory.",
            remedy="Stop other comparisons, shorten the prompt, choose bfloat16, or serve the model with vLLM.",
        )
    if isinstance(error, OSError):
        return EngineUnavailableError(f"{what}: {text}.", remedy="Check that the files of the checkpoint are there.")
    return EngineError(f"{what}: {text}.", remedy="The log has the details.")
