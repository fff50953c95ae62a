"""What a checkpoint reads before a response, and what its base reads there instead: token ids, made in one place."""

from collections.abc import Sequence

from app.engines.open import Engines
from app.engines.registry import Checkpoint
from models import BasePrompt

# What base may read, as people are asked: (value, title, meaning).
BASE_PROMPTS: tuple[tuple[BasePrompt, str, str], ...] = (
    (BasePrompt.SAME_IDS, "Same as tuned", "base reads exactly the token ids the tuned model reads"),
    (BasePrompt.PLAIN, "Plain", "base reads the bare prompt, without any template"),
    (BasePrompt.FEW_SHOT, "Few-shot", "base reads two answered questions first, then the prompt"),
)

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


def own_prompt_ids(engines: Engines, prompt: str, checkpoint: Checkpoint) -> tuple[int, ...]:
    """Put a prompt into the template a checkpoint answers in.

    Raises InvalidInputError for text no tokenizer can read, ConfigurationError where the template is missing.
    """
    return engines.tokenizer_for(checkpoint.name).render(prompt, template=checkpoint.template)


def base_prompt_ids(
    engines: Engines, prompt: str, base: str, base_prompt: BasePrompt, *, same_ids: Sequence[int]
) -> tuple[int, ...]:
    """Return what the base of that name reads: `same_ids` themselves, or the prompt bare or after two examples.

    Raises InvalidInputError for text no tokenizer can read.
    """
    if base_prompt is BasePrompt.SAME_IDS:
        return tuple(same_ids)
    text = prompt if base_prompt is BasePrompt.PLAIN else FEW_SHOT.format(prompt=prompt)
    return engines.tokenizer_for(base).render(text, template="none")
