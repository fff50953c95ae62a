"""What a checkpoint needs to read a stored response: what comes before the ids, and that they mean the same to it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from app.engines.open import Engines
from app.engines.prompts import base_prompt_ids, own_prompt_ids
from app.engines.protocol import Scores
from app.engines.registry import Checkpoint
from app.engines.tokenizer import mismatch, read_json
from app.errors import InvalidInputError
from app.tokens.store import Reading
from models import BasePrompt, Response

# As many alternatives as a comparison keeps: enough for a bound on KL close to the exact value.
TOP_K = 100


@dataclass(frozen=True, slots=True)
class Written:
    """A stored response as far as reading it goes. `tokenizer_of` names whose tokenizer made the ids.

    `same_ids` says whether `prompt_ids` are in the writer's own template, not in what a base was given instead.
    """

    id: str
    prompt: str
    prompt_ids: tuple[int, ...]
    ids: tuple[int, ...]
    text: str
    checkpoint: str
    tokenizer_of: str
    same_ids: bool


@dataclass(frozen=True, slots=True)
class ReadingPlan:
    """One reading to make: who reads, what it is given before the response, and what its base is given."""

    checkpoint: Checkpoint
    base_prompt: BasePrompt
    prompt_ids: tuple[int, ...]
    reference_prompt_ids: tuple[int, ...]
    ids: tuple[int, ...]


def written(response: Response) -> Written:
    """Take from a row what reading it needs."""
    run = response.run
    given_otherwise = run.get("role") == "base" and run.get("base_prompt", BasePrompt.SAME_IDS) != BasePrompt.SAME_IDS
    return Written(
        id=response.id,
        prompt=response.prompt,
        prompt_ids=tuple(response.prompt_ids),
        ids=tuple(response.token_ids),
        text=response.text,
        checkpoint=response.checkpoint,
        tokenizer_of=run.get("tokenizer_of") or response.checkpoint,
        same_ids=not given_otherwise,
    )


def plan_reading(engines: Engines, response: Written, name: str, base_prompt: BasePrompt) -> ReadingPlan:
    """Say what a checkpoint and its base will be given.

    A tuned checkpoint reads the prompt in its own template, the writer the very ids it was given; a base as its own
    reading is given what a base is given everywhere. Raises NotFoundError for an unknown checkpoint, InvalidInputError
    where the response cannot be read: it has no tokens, another tokenizer made them, or nothing comes before them.
    """
    checkpoint = engines.registry.get(name)
    if not response.ids:
        raise InvalidInputError("This response has no tokens, so there is nothing to read.")
    _check_tokenizer(engines, response, name)
    same_ids = _same_ids(engines, response, checkpoint)
    by_base = base_prompt_ids(engines, response.prompt, checkpoint.base, base_prompt, same_ids=same_ids)
    own = by_base if checkpoint.role == "base" else same_ids
    for reader, ids in ((name, own), (checkpoint.base, by_base)):
        check_room(engines.registry.get(reader), ids, len(response.ids))
    return ReadingPlan(checkpoint, base_prompt, own, by_base, response.ids)


async def read(engines: Engines, plan: ReadingPlan) -> Reading:
    """Score the response under the checkpoint and its base, one forward pass each. Raises AppError."""
    scores: Scores = await engines.for_checkpoint(plan.checkpoint.name).score(
        plan.prompt_ids,
        plan.ids,
        TOP_K,
        checkpoint=plan.checkpoint.name,
        reference=plan.checkpoint.base,
        reference_prompt_ids=plan.reference_prompt_ids,
    )
    return Reading(
        checkpoint=plan.checkpoint.name,
        reference=plan.checkpoint.base,
        base_prompt=plan.base_prompt,
        prompt_ids=plan.prompt_ids,
        reference_prompt_ids=plan.reference_prompt_ids,
        scores=scores,
    )


def names_of(engines: Engines, name: str) -> Callable[[int], bytes | None]:
    """Give the bytes of ids as a checkpoint knows them."""
    return engines.tokenizer_for(name).token_bytes


def check_room(checkpoint: Checkpoint, prompt_ids: tuple[int, ...], n: int) -> None:
    """Refuse, with InvalidInputError, what a model cannot hold, before it is asked."""
    if not prompt_ids:
        raise InvalidInputError(
            f"{checkpoint.name} would read nothing before this response, so its first token has no probability.",
            remedy="Give the response a prompt, or let base read another one.",
        )
    context = context_of(checkpoint)
    if context is not None and len(prompt_ids) + n > context:
        raise InvalidInputError(
            f"A prompt of {len(prompt_ids):,} tokens and a response of {n:,} do not fit {checkpoint.name}, "
            f"which reads at most {context:,}.",
            remedy="Shorten the text.",
        )


def context_of(checkpoint: Checkpoint) -> int | None:
    """Return how many tokens a local checkpoint reads at most; None where only its server knows."""
    if not checkpoint.is_local:
        return None
    context = read_json(Path(checkpoint.model) / "config.json").get("max_position_embeddings")
    return context if isinstance(context, int) else None


def _same_ids(engines: Engines, response: Written, checkpoint: Checkpoint) -> tuple[int, ...]:
    """Return what the checkpoint reads before the response when its base reads the same."""
    kept = response.prompt_ids if response.same_ids else ()
    # Ids without their text can only be read as they are.
    if kept and (checkpoint.role == "base" or checkpoint.name == response.tokenizer_of or not response.prompt):
        return kept
    return own_prompt_ids(engines, response.prompt, checkpoint)


def _check_tokenizer(engines: Engines, response: Written, name: str) -> None:
    """Refuse a checkpoint to which the ids mean something else."""
    writer = response.tokenizer_of
    theirs = engines.tokenizer_for(name)
    if writer in engines.registry.checkpoints:
        ours = engines.tokenizer_for(writer)
        difference = mismatch(ours, theirs, names=(writer, name))
        if difference:
            raise InvalidInputError(
                f"{name} cannot read the token ids of {writer}: {difference}.",
                remedy=f"Paste the text again with the tokenizer of {name}.",
            )
    elif theirs.text(response.ids).replace("\0", "\ufffd").rstrip("\ufffd") != response.text.rstrip("\ufffd"):
        raise InvalidInputError(
            f"{name} cannot read these token ids: {writer or 'whoever wrote them'} is not in the registry, and to the "
            f"tokenizer of {name} they are other text.",
            remedy=f"Paste the text again with the tokenizer of {name}.",
        )
