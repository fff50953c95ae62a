"""The 'new study' form as typed, kept to be shown again beside what was wrong with it."""

from dataclasses import dataclass

from fastapi import Request

from app.errors import InvalidInputError
from app.studies.queries import NewArm
from app.studies.rules import DEFAULT_GUIDELINES, slug_of

DEFAULT_OVERLAP = 2
DEFAULT_MAX_TOKENS = 256


@dataclass(frozen=True, slots=True)
class StudyForm:
    """What was typed. `problems` are sentences; nothing of a form with problems is stored."""

    name: str = ""
    slug: str = ""
    prompts: str = ""
    checkpoints: tuple[str, ...] = ()
    overlap: str = str(DEFAULT_OVERLAP)
    max_tokens: str = str(DEFAULT_MAX_TOKENS)
    guidelines: str = DEFAULT_GUIDELINES
    problems: tuple[str, ...] = ()

    @property
    def address(self) -> str:
        """The slug typed, or one made of the name."""
        return self.slug.strip() or slug_of(self.name)


async def study_form(request: Request) -> StudyForm:
    """Read the form; unknown fields are ignored by design, because a browser extension may add some."""
    form = await request.form()

    def typed(name: str) -> str:
        value = form.get(name, "")
        return value if isinstance(value, str) else ""

    return StudyForm(
        name=typed("name"),
        slug=typed("slug"),
        # Browsers send every line break of a textarea as CRLF.
        prompts=typed("prompts").replace("\r\n", "\n"),
        checkpoints=tuple(str(value) for value in form.getlist("checkpoints")),
        overlap=typed("overlap"),
        max_tokens=typed("max_tokens"),
        guidelines=typed("guidelines").replace("\r\n", "\n"),
    )


def new_arms(form: StudyForm, *, known: set[str], limit: int) -> list[NewArm]:
    """Make one greedy arm per chosen checkpoint. Raises InvalidInputError for one nobody registered."""
    unknown = [name for name in form.checkpoints if name not in known]
    if unknown:
        raise InvalidInputError(f"There is no checkpoint {unknown[0][:80]!r}.")
    decoding = {"max_tokens": whole_number("Max tokens", form.max_tokens, largest=limit), "temperature": 0.0, "seed": 0}
    return [NewArm(name=name, checkpoint=name, decoding=decoding) for name in dict.fromkeys(form.checkpoints)]


def whole_number(what: str, text: str, *, largest: int) -> int:
    """Read a whole number from 1 to `largest`. Raises InvalidInputError naming the field."""
    text = text.strip()
    if text.isascii() and text.isdecimal() and len(text) <= 9 and 1 <= int(text) <= largest:  # noqa: PLR2004
        return int(text)
    raise InvalidInputError(f"{what}: a whole number from 1 to {largest} is needed, not {text[:20]!r}.")
