"""Turn instances into token ids, with the loss on what the assistant says and nowhere else."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.tuning_sets.read import DataError, Example, Message


@dataclass(frozen=True)
class Encoded:
    """Ids of one instance. `learned[i]` says whether predicting `ids[i]` counts in the loss."""

    ids: tuple[int, ...]
    learned: tuple[bool, ...]
    truncated: bool


def _render(tokenizer: Any, messages: Sequence[Message], *, ask: bool) -> str:
    turns = [{"role": message.role, "content": message.content} for message in messages]
    return str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=ask))


def _segments(tokenizer: Any, example: Example) -> list[tuple[str, bool]]:
    """The rendered conversation cut into pieces, each said by the assistant (True) or given to it (False)."""
    pieces: list[tuple[str, bool]] = []
    so_far = ""
    for position, message in enumerate(example.messages):
        if message.role != "assistant":
            continue
        before = so_far
        asked = _render(tokenizer, example.messages[:position], ask=True)
        said = _render(tokenizer, example.messages[: position + 1], ask=False)
        if not (asked.startswith(before) and said.startswith(asked)):
            raise DataError(
                f"{example.where}: the chat template rewrites earlier turns, so the answer cannot be told apart.",
                remedy="Use single-turn instances with this tokenizer.",
            )
        end = said.rfind(tokenizer.eos_token, len(asked))
        so_far = said if end < 0 else said[: end + len(tokenizer.eos_token)]
        pieces += [(asked[len(before) :], False), (so_far[len(asked) :], True)]
    return pieces


def _ids(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def encode(example: Example, *, tokenizer: Any, max_tokens: int) -> Encoded:
    """Encode one instance with the tokenizer's own chat template; answers end in its end-of-sequence token.

    Prompt and answer are tokenised apart, exactly as they meet when the model generates. Instances longer than
    `max_tokens` lose their end. Raises DataError when nothing of an answer would be left.
    """
    ids: list[int] = []
    learned: list[bool] = []
    for text, said in _segments(tokenizer, example):
        piece = _ids(tokenizer, text)
        if said and piece[-1:] != [tokenizer.eos_token_id]:
            piece.append(tokenizer.eos_token_id)
        ids += piece
        learned += [said] * len(piece)
    if not any(learned[:max_tokens]):
        raise DataError(
            f"{example.where}: the prompt fills all {max_tokens} tokens.",
            remedy="Raise max_tokens or shorten the record.",
        )
    return Encoded(tuple(ids[:max_tokens]), tuple(learned[:max_tokens]), truncated=len(ids) > max_tokens)
