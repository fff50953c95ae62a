"""Turn a quantised GGUF file into a folder that every engine can load."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
import transformers.modeling_gguf_pytorch_utils as gguf_reader
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

from app.errors import InvalidInputError
from app.finetune.publish import publishing

# Shares of the work, about in seconds: the tensors, then the tokenizer, then writing.
_TENSORS = 2
_STAGES = 4

Progress = Callable[[float, float, str], None]


def _pre_tokenizer_name(gguf: Path) -> str:
    field = GGUFReader(gguf).get_field("tokenizer.ggml.pre")
    return "" if field is None else str(field.contents())


def _tokenizer(gguf: Path, *, context: int) -> PreTrainedTokenizerFast:
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    if not tokenizer.chat_template:
        raise InvalidInputError(f"{gguf.name} carries no chat template.", remedy="Convert a chat model.")
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
def _reporting(progress: Progress) -> Iterator[None]:
    """Show the reader's own tensor count through `progress`; the library offers no other way than its bar."""

    def counted(tensors: Iterable[Any], **_: object) -> Iterator[Any]:
        items = list(tensors)
        for done, item in enumerate(items):
            progress(done * _TENSORS / len(items), _STAGES, "dequantising the weights")
            yield item

    own = gguf_reader.tqdm
    gguf_reader.tqdm = counted
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        gguf_reader.tqdm = own
        transformers_logging.enable_progress_bar()


def convert_gguf(gguf: Path, out: Path, *, progress: Progress) -> None:
    """Write `gguf` as a checkpoint folder `out`: float32 safetensors, config, tokenizer, chat template.

    Weights are dequantised, not restored: they are the quantised values written at full width. `progress` gets
    (done, total, message) in stages. `out` appears whole or not at all. Raises InvalidInputError for a file without
    a chat template, and BusyError when another process writes `out`.
    """
    with _reporting(progress), publishing(out) as folder:
        progress(0, _STAGES, "reading the file")
        model = _model(gguf)
        progress(_TENSORS, _STAGES, "rebuilding the tokenizer")
        tokenizer = _tokenizer(gguf, context=model.config.max_position_embeddings)
        progress(_TENSORS + 1, _STAGES, "writing safetensors")
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    progress(_STAGES, _STAGES, "converted")
