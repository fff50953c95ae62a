"""What the explore form may hold. Values come in as typed text and go back as typed when something is wrong."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import BaseModel, Field

from app.engines.protocol import Decoding
from app.settings import Settings
from models import BasePrompt

MAX_TEMPERATURE = 2.0
MAX_SEED = 2**31 - 1
MAX_COLUMNS = 6


class CompareInput(BaseModel):
    """The fields as sent."""

    prompt: str = ""
    checkpoints: Annotated[list[str], Field(default_factory=list)]
    temperature: str = "0"
    max_tokens: str = "256"
    seed: str = "0"
    base_prompt: str = BasePrompt.SAME_IDS.value


@dataclass(frozen=True, slots=True)
class CompareForm:
    """What to show in the form: values as typed, and a sentence per field that is wrong."""

    prompt: str = ""
    checkpoints: tuple[str, ...] = ()
    temperature: str = "0"
    max_tokens: str = "256"
    seed: str = "0"
    base_prompt: str = BasePrompt.SAME_IDS.value
    errors: Mapping[str, str] = field(default_factory=dict)

    def error(self, name: str) -> str:
        """Return what is wrong with a field, or nothing."""
        return self.errors.get(name, "")


@dataclass(frozen=True, slots=True)
class Asked:
    """A valid form."""

    prompt: str
    checkpoints: tuple[str, ...]
    base_prompt: BasePrompt
    decoding: Decoding


def check(sent: CompareInput, *, known: Sequence[str], settings: Settings) -> Asked | CompareForm:
    """Return what is asked, or the form to show again with what is wrong in it."""
    # Browsers send line ends of text areas as CR LF; a model would read them as two characters.
    prompt = sent.prompt.replace("\r\n", "\n")
    names = tuple(name for name in known if name in sent.checkpoints)
    errors = _text_errors(prompt, sent.checkpoints, known, settings)
    temperature = _number(sent.temperature, 0.0, MAX_TEMPERATURE)
    max_tokens = _whole(sent.max_tokens, 1, settings.max_new_tokens)
    seed = _whole(sent.seed, 0, MAX_SEED)
    if temperature is None:
        errors["temperature"] = f"Write a number from 0 (greedy) to {MAX_TEMPERATURE:g}."
    if max_tokens is None:
        errors["max_tokens"] = f"Write a whole number from 1 to {settings.max_new_tokens:,}."
    if seed is None:
        errors["seed"] = f"Write a whole number from 0 to {MAX_SEED}."
    if sent.base_prompt not in set(BasePrompt):
        errors["base_prompt"] = f"Choose one of {', '.join(BasePrompt)}."
    if errors or temperature is None or max_tokens is None or seed is None:
        return CompareForm(prompt, names, sent.temperature, sent.max_tokens, sent.seed, sent.base_prompt, errors=errors)
    decoding = Decoding(max_tokens=max_tokens, temperature=temperature, seed=seed)
    return Asked(prompt, names, BasePrompt(sent.base_prompt), decoding)


def _text_errors(prompt: str, sent: Sequence[str], known: Sequence[str], settings: Settings) -> dict[str, str]:
    errors: dict[str, str] = {}
    limit = settings.max_prompt_chars
    if not prompt.strip():
        errors["prompt"] = "Write a prompt first."
    elif len(prompt) > limit:
        errors["prompt"] = f"The prompt has {len(prompt):,} characters; the limit is {limit:,}. Shorten it."
    unknown = [name for name in sent if name not in known]
    if unknown:
        errors["checkpoints"] = f"There is no checkpoint {unknown[0][:80]!r}. Choose from those shown."
    elif not sent:
        errors["checkpoints"] = "Choose at least one checkpoint."
    elif len(set(sent)) > MAX_COLUMNS:
        errors["checkpoints"] = f"Choose at most {MAX_COLUMNS} checkpoints."
    return errors


def _number(text: str, low: float, high: float) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and low <= value <= high else None


def _whole(text: str, low: int, high: int) -> int | None:
    # isdecimal first: int() would take "1_000" and refuses thousands of digits with an error of its own.
    if not text.strip().isdecimal() or len(text) > 12:  # noqa: PLR2004
        return None
    value = int(text)
    return value if low <= value <= high else None
