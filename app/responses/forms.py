"""What the form for pasting a response may hold, and the tokens a text becomes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Annotated

from pydantic import BaseModel, Field

from app.engines.open import Engines
from app.engines.prompts import own_prompt_ids
from app.engines.tokenizer import Piece
from app.errors import AppError
from app.responses.read import check_room
from app.tokens.spelling import spelled

# Some forty pages; the models that run here read far less.
MAX_CHARS = 100_000
# What the engines score at once.
MAX_TOKENS = 4_096
MAX_CHIPS = 1_500
CONTEXT_CHARS = 12


class PasteInput(BaseModel):
    """The fields as sent."""

    prompt: str = ""
    text: str = ""
    tokenizer: str = ""
    checkpoints: Annotated[list[str], Field(default_factory=list)]
    action: str = "save"


@dataclass(frozen=True, slots=True)
class PasteForm:
    """What to show in the form: values as typed, and a sentence per field that is wrong."""

    prompt: str = ""
    text: str = ""
    tokenizer: str = ""
    checkpoints: tuple[str, ...] = ()
    errors: Mapping[str, str] = field(default_factory=dict)

    def error(self, name: str) -> str:
        """Return what is wrong with a field, or nothing."""
        return self.errors.get(name, "")


@dataclass(frozen=True, slots=True)
class Pasted:
    """A text with the ids it became: `pieces` joined are the response, which may not be the text."""

    prompt: str
    text: str
    tokenizer: str
    checkpoints: tuple[str, ...]
    prompt_ids: tuple[int, ...]
    pieces: tuple[Piece, ...]

    @property
    def ids(self) -> tuple[int, ...]:
        """The token ids."""
        return tuple(piece.id for piece in self.pieces)

    @property
    def read_back(self) -> str:
        """The text the ids stand for."""
        return "".join(piece.text for piece in self.pieces)


@dataclass(frozen=True, slots=True)
class Chip:
    """One token of the preview."""

    text: str
    id: int
    hex: str


@dataclass(frozen=True, slots=True)
class Preview:
    """The tokens before they are kept; `warning` says where the ids stand for another text, or nothing."""

    chips: tuple[Chip, ...]
    n: int
    hidden: int
    tokenizer: str
    prompt_tokens: int
    warning: str


def check(sent: PasteInput, engines: Engines, *, max_prompt_chars: int) -> Pasted | PasteForm:
    """Return the tokens of what was pasted, or the form to show again with what is wrong in it."""
    # Browsers send line ends of text areas as CR LF; a model would read them as two characters.
    prompt, text = sent.prompt.replace("\r\n", "\n"), sent.text.replace("\r\n", "\n")
    known = engines.registry.checkpoints
    form = PasteForm(prompt, text, sent.tokenizer, tuple(name for name in known if name in sent.checkpoints))
    errors = _errors(form, sent, engines, max_prompt_chars)
    if errors:
        return _again(form, errors)
    try:
        pieces = engines.tokenizer_for(sent.tokenizer).pieces(engines.tokenizer_for(sent.tokenizer).encode(text))
        prompt_ids = own_prompt_ids(engines, prompt, known[sent.tokenizer])
    except AppError as error:
        return _again(form, {"text": str(error)})
    if len(pieces) > MAX_TOKENS:
        return _again(
            form, {"text": f"The text is {len(pieces):,} tokens; at most {MAX_TOKENS:,} are read. Shorten it."}
        )
    try:
        check_room(known[sent.tokenizer], prompt_ids, len(pieces))
    except AppError as error:
        return _again(form, {"text" if prompt_ids else "prompt": str(error)})
    return Pasted(prompt, text, sent.tokenizer, form.checkpoints, prompt_ids, pieces)


def preview(pasted: Pasted) -> Preview:
    """Show the tokens of a text."""
    return Preview(
        chips=tuple(
            Chip(spelled(piece.text, piece.bytes, piece.id), piece.id, piece.bytes.hex(" "))
            for piece in pasted.pieces[:MAX_CHIPS]
        ),
        n=len(pasted.pieces),
        hidden=max(0, len(pasted.pieces) - MAX_CHIPS),
        tokenizer=pasted.tokenizer,
        prompt_tokens=len(pasted.prompt_ids),
        warning=round_trip(pasted.text, pasted.read_back, pasted.tokenizer),
    )


def round_trip(text: str, read_back: str, tokenizer: str) -> str:
    """Say where the text of the ids leaves the text that was pasted, or nothing when it does not."""
    if text == read_back:
        return ""
    at = next(place for place, (one, other) in enumerate(zip_longest(text, read_back)) if one != other)
    was, now = (repr(one[at : at + CONTEXT_CHARS]) if one[at:] else "nothing" for one in (text, read_back))
    return (
        f"The tokenizer of {tokenizer} does not give this text back: from character {at + 1:,} on, {was} becomes "
        f"{now}. What is kept and read is the text of the ids."
    )


def _errors(form: PasteForm, sent: PasteInput, engines: Engines, max_prompt_chars: int) -> dict[str, str]:
    known = engines.registry.checkpoints
    unknown = next((name for name in sent.checkpoints if name not in known), None)
    checks: tuple[tuple[str, bool, Callable[[], str]], ...] = (
        ("prompt", len(form.prompt) > max_prompt_chars, lambda: _too_long(form.prompt, max_prompt_chars)),
        ("text", not form.text.strip(), lambda: "Paste the text of a response first."),
        ("text", len(form.text) > MAX_CHARS, lambda: _too_long(form.text, MAX_CHARS)),
        ("tokenizer", sent.tokenizer not in known, lambda: "Choose whose tokenizer makes the ids, of those shown."),
        (
            "checkpoints",
            unknown is not None,
            lambda: f"There is no checkpoint {(unknown or '')[:80]!r}. Choose from those shown.",
        ),
    )
    return {name: sentence() for name, wrong, sentence in checks if wrong}


def _too_long(text: str, limit: int) -> str:
    return f"It has {len(text):,} characters; the limit is {limit:,}. Shorten it."


def _again(form: PasteForm, errors: dict[str, str]) -> PasteForm:
    return PasteForm(form.prompt, form.text, form.tokenizer, form.checkpoints, errors)
