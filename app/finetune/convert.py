"""Turn a quantised GGUF file into a folder that every engine can load."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from gguf import GGUFReader
from tokenizers import pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.utils import logging as transformers_logging

from app.finetune.publish import publishing

# Raise it whenever the same GGUF would convert to other bytes: the demo rebuilds on a change.
CONVERTER = "1"

Progress = Callable[[float, float, str], None]


def _pre_tokenizer_name(gguf: Path) -> str:
    field = GGUFReader(gguf).get_field("tokenizer.ggml.pre")
    return "" if field is None else str(field.contents())


def _tokenizer(gguf: Path, *, context: int) -> PreTrainedTokenizerFast:
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    if not tokenizer.chat_template:
        raise ValueError(f"{gguf} carries no chat template; only chat models can be converted")
    if _pre_tokenizer_name(gguf) == "smollm":
        # transformers rebuilds a plain byte-level splitter and forgets that SmolLM splits digits first.
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False),
            ]
        )
    tokenizer.model_max_length = context
    return tokenizer


def _plain(config: PretrainedConfig) -> PretrainedConfig:
    """The same architecture without the traces of quantisation, which would refuse to save."""
    values = config.to_dict()
    for key in ("quantization_config", "_name_or_path", "_model_name_or_path"):
        values.pop(key, None)
    return type(config).from_dict(values)


def _model(gguf: Path) -> PreTrainedModel:
    quantised = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    model = type(quantised)(_plain(quantised.config)).to(torch.float32)
    model.load_state_dict(quantised.state_dict(), strict=True)
    model.tie_weights()
    model.generation_config = quantised.generation_config
    return model


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.enable_progress_bar()


def convert_gguf(gguf: Path, out: Path, *, progress: Progress) -> None:
    """Write `gguf` as a checkpoint folder `out`: float32 safetensors, config, tokenizer, chat template.

    Weights are dequantised, not restored: they are the quantised values written at full width. `progress` gets
    (done, total, message) in stages. `out` appears whole or not at all. Raises ValueError for a file without a
    chat template, and BusyError when another process writes `out`.
    """
    with _quiet(), publishing(out) as folder:
        progress(0, 3, "dequantising the weights")
        model = _model(gguf)
        progress(1, 3, "rebuilding the tokenizer")
        tokenizer = _tokenizer(gguf, context=model.config.max_position_embeddings)
        progress(2, 3, "writing safetensors")
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    progress(3, 3, "converted")
