"""What each column of a comparison will be asked, in token ids, decided before any engine starts."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.engines.open import Engines
from app.engines.prompts import base_prompt_ids, own_prompt_ids
from app.engines.protocol import Decoding, Request
from app.engines.registry import Checkpoint
from models import BasePrompt


@dataclass(frozen=True, slots=True)
class ColumnPlan:
    """One checkpoint's part: what it sees, and what its reference (a base; its own for a base) sees instead.

    Its answer starts with `prefix_ids`, which are given; the engine goes on from there.
    """

    checkpoint: Checkpoint
    prompt_ids: tuple[int, ...]
    reference_prompt_ids: tuple[int, ...]
    prefix_ids: tuple[int, ...] = ()

    def request(self, decoding: Decoding, *, top_k: int) -> Request:
        """Build the engine's request for this column."""
        return Request(
            checkpoint=self.checkpoint.name,
            prompt_ids=self.prompt_ids + self.prefix_ids,
            decoding=decoding,
            reference=self.checkpoint.base,
            reference_prompt_ids=self.reference_prompt_ids + self.prefix_ids,
            top_k=top_k,
        )


@dataclass(frozen=True, slots=True)
class Fork:
    """Where a plan leaves the stored response `of`: token `index` becomes `token_id`.

    `rest` is what the response said from that token on; `ended`: its last id is an end of sequence.
    """

    of: str
    index: int
    token_id: int
    rest: tuple[int, ...]
    ended: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole comparison: its columns in the order they are shown, and how tokens are drawn."""

    prompt: str
    base_prompt: BasePrompt
    columns: tuple[ColumnPlan, ...]
    decoding: Decoding
    fork: Fork | None = None


def build_plan(
    engines: Engines, prompt: str, names: Sequence[str], *, base_prompt: BasePrompt, decoding: Decoding
) -> Plan:
    """Turn a prompt and checkpoint names into columns.

    Raises NotFoundError for an unknown name, InvalidInputError for text no tokenizer can read.
    """
    checkpoints = [engines.registry.get(name) for name in names]
    own_ids = {checkpoint.name: own_prompt_ids(engines, prompt, checkpoint) for checkpoint in checkpoints}
    columns = []
    for checkpoint in checkpoints:
        same_ids = own_ids[_same_ids_as(checkpoint, checkpoints)]
        seen_by_base = base_prompt_ids(engines, prompt, checkpoint.base, base_prompt, same_ids=same_ids)
        prompt_ids = seen_by_base if checkpoint.role == "base" else own_ids[checkpoint.name]
        columns.append(ColumnPlan(checkpoint, prompt_ids, seen_by_base))
    return Plan(prompt, base_prompt, tuple(columns), decoding)


def _same_ids_as(checkpoint: Checkpoint, checkpoints: Sequence[Checkpoint]) -> str:
    """Name whose ids the base sees: the tuned checkpoint's; a base's own column follows the first one tuned from it."""
    if checkpoint.role != "base":
        return checkpoint.name
    tuned = (other.name for other in checkpoints if other.base == checkpoint.name and other.role != "base")
    return next(tuned, checkpoint.name)
