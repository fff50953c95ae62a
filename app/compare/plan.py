"""What each column of a comparison will be asked, in token ids, decided before any engine starts."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.engines.open import Engines
from app.engines.protocol import Decoding, Request
from app.engines.registry import Checkpoint
from models import BasePrompt

# A base model continues text, so two answered questions show it what an answer looks like.
FEW_SHOT = (
    "Each question below is followed by a helpful, accurate answer.\n\n"
    "Question: Why does bread rise?\n"
    "Answer: Yeast eats the sugar in the dough and gives off carbon dioxide. Gluten traps the gas in bubbles, "
    "so the dough swells, and the heat of the oven sets it.\n\n"
    "Question: Name three things to check before a long drive.\n"
    "Answer: 1. Tyre pressure, including the spare.\n2. Oil and coolant levels.\n3. That every light works.\n\n"
    "Question: {prompt}\n"
    "Answer:"
)


@dataclass(frozen=True, slots=True)
class ColumnPlan:
    """One checkpoint's part: what it sees, and what its reference (a base; its own for a base) sees instead."""

    checkpoint: Checkpoint
    prompt_ids: tuple[int, ...]
    reference_prompt_ids: tuple[int, ...]

    def request(self, decoding: Decoding, *, top_k: int) -> Request:
        """Build the engine's request for this column."""
        return Request(
            checkpoint=self.checkpoint.name,
            prompt_ids=self.prompt_ids,
            decoding=decoding,
            reference=self.checkpoint.base,
            reference_prompt_ids=self.reference_prompt_ids,
            top_k=top_k,
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole comparison: its columns in the order they are shown, and how tokens are drawn."""

    prompt: str
    base_prompt: BasePrompt
    columns: tuple[ColumnPlan, ...]
    decoding: Decoding


def build_plan(
    engines: Engines, prompt: str, names: Sequence[str], *, base_prompt: BasePrompt, decoding: Decoding
) -> Plan:
    """Turn a prompt and checkpoint names into columns.

    Raises NotFoundError for an unknown name, InvalidInputError for text no tokenizer can read.
    """
    checkpoints = [engines.registry.get(name) for name in names]
    own_ids = {
        checkpoint.name: engines.tokenizer_for(checkpoint.name).render(prompt, template=checkpoint.template)
        for checkpoint in checkpoints
    }
    columns = []
    for checkpoint in checkpoints:
        seen_by_base = _seen_by_base(engines, prompt, checkpoint, checkpoints, own_ids, base_prompt)
        prompt_ids = seen_by_base if checkpoint.role == "base" else own_ids[checkpoint.name]
        columns.append(ColumnPlan(checkpoint, prompt_ids, seen_by_base))
    return Plan(prompt, base_prompt, tuple(columns), decoding)


def _seen_by_base(
    engines: Engines,
    prompt: str,
    checkpoint: Checkpoint,
    checkpoints: Sequence[Checkpoint],
    own_ids: dict[str, tuple[int, ...]],
    base_prompt: BasePrompt,
) -> tuple[int, ...]:
    if base_prompt is BasePrompt.SAME_IDS:
        return own_ids[_same_ids_as(checkpoint, checkpoints)]
    text = prompt if base_prompt is BasePrompt.PLAIN else FEW_SHOT.format(prompt=prompt)
    return engines.tokenizer_for(checkpoint.base).render(text, template="none")


def _same_ids_as(checkpoint: Checkpoint, checkpoints: Sequence[Checkpoint]) -> str:
    """Name whose ids the base sees: the tuned checkpoint's; a base's own column follows the first one tuned from it."""
    if checkpoint.role != "base":
        return checkpoint.name
    tuned = (other.name for other in checkpoints if other.base == checkpoint.name and other.role != "base")
    return next(tuned, checkpoint.name)
