"""What a judging page may send: JSON while scripts run, a plain form without them; both end as one strict type.

Nothing is coerced and nothing unknown is accepted: a rating of "5", 3.5 or true, or a field named `model_left`, is
refused with the name of the field. Whether a study asks for a dimension at all is decided by `app.judging.rules`.
"""

import json
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from app.errors import InvalidInputError
from app.judging.rules import SIDES, Given, MarkedSpan

MAX_MS = 10**10
MAX_OFFSET = 2**31 - 1
_STORABLE = "contains a NUL character, which cannot be stored"


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError(_STORABLE)
    return text


_Text = Annotated[str, AfterValidator(_storable)]
_Side = Literal["left", "right"]
_Dimension = Annotated[str, Field(min_length=1, max_length=60), AfterValidator(_storable)]
_Rating = Annotated[int, Field(ge=1, le=5)]
_Milliseconds = Annotated[int, Field(ge=0, le=MAX_MS)]
_Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class SentVerdict(_Strict):
    """What is said of one instance beside a span, by the opaque id it was shown under."""

    id: str = Field(pattern=r"\A[0-9a-f]{16}\z")
    verdict: Literal["borrowed", "similar", "unrelated"]


class SentSpan(_Strict):
    """A span as the page sends it; see `app.judging.rules.MarkedSpan`."""

    side: _Side
    start: int = Field(ge=0, le=MAX_OFFSET)
    end: int = Field(ge=1, le=MAX_OFFSET)
    quote: _Text = Field(min_length=1)
    type: Literal["wrong_fact", "invented", "contradiction", "unsupported", "other"]
    severity: Literal["minor", "major"]
    note: _Text = Field(default="", max_length=2_000)
    evidence: Annotated[list[SentVerdict], Field(max_length=100)] = Field(default_factory=list)
    no_evidence: bool = False

    def marked(self) -> MarkedSpan:
        """The mark without what was said of the instances beside it."""
        return MarkedSpan(**self.model_dump(exclude={"evidence", "no_evidence"}))


class SentReading(_Strict):
    """How far each response was read, 0 to 1, and when both had been in view; what is unknown is left out."""

    left: _Share | None = None
    right: _Share | None = None
    first_view_ms: _Milliseconds | None = None


class SentAnswer(_Strict):
    """One attempt to save an answer. `base_revision` is the revision it was made from, 0 for none.

    A retry of the same attempt carries the same `idempotency_key`. Spans of None leave those saved last as they are.
    """

    idempotency_key: str = Field(pattern=r"\A[A-Za-z0-9_-]{8,64}\z")
    base_revision: int = Field(ge=0)
    preference: Literal["left", "right", "tie_good", "tie_bad", "cannot_judge"] | None = None
    strength: Annotated[int, Field(ge=1, le=3)] | None = None
    ratings: dict[_Side, dict[_Dimension, _Rating]] = Field(default_factory=dict)
    acceptability: dict[_Side, bool] = Field(default_factory=dict)
    spans: Annotated[list[SentSpan], Field(max_length=500)] | None = None
    comment: _Text = Field(default="", max_length=10_000)
    flagged: bool = False
    skip_reason: _Text = Field(default="", max_length=2_000)
    recognised_model: bool = False
    recognised_guess: _Text = Field(default="", max_length=200)
    reading: SentReading = Field(default_factory=SentReading)
    edit_reason: _Text = Field(default="", max_length=2_000)
    active_ms: _Milliseconds = 0
    wall_ms: _Milliseconds = 0

    def given(self) -> Given:
        """The answers that the study's questions are about."""
        spans = self.spans or []
        return Given(
            preference=self.preference,
            strength=self.strength,
            ratings=self.by_side(),
            acceptability=self.acceptable(),
            spans=len(spans),
            verdicts=sum(len(span.evidence) + span.no_evidence for span in spans),
            recognised=self.recognised_model or bool(self.recognised_guess.strip()),
            skip_reason=self.skip_reason,
        )

    def by_side(self) -> dict[str, dict[str, int]]:
        """The ratings under plain names."""
        return {side: dict(rated.items()) for side, rated in self.ratings.items()}

    def acceptable(self) -> dict[str, bool]:
        """What is acceptable, left before right."""
        return {side: self.acceptability[side] for side in ("left", "right") if side in self.acceptability}

    @property
    def is_skip(self) -> bool:
        """Whether the annotator cannot judge."""
        return self.preference == "cannot_judge"


def read_json(body: bytes) -> SentAnswer:
    """Read an answer sent as JSON. Raises InvalidInputError naming the first field that is wrong."""
    try:
        answer = SentAnswer.model_validate_json(body)
        json.loads(body, object_pairs_hook=no_repetition)
    except ValidationError as error:
        raise refusal(error) from error
    except ValueError as error:
        raise InvalidInputError(f"The answer cannot be read: {error}.") from error
    return answer


def read_form(fields: Iterable[tuple[str, Any]]) -> SentAnswer:
    """Read an answer sent as a plain form: `left_clarity=4`, `left_acceptable=yes` and so on; spans stay as saved."""
    values: dict[str, Any] = no_repetition(fields)
    ratings: dict[str, dict[str, int]] = {side: {} for side in SIDES}
    acceptability: dict[str, bool] = {}
    for field in [name for name in values if name.startswith(("left_", "right_"))]:
        side, _, name = field.partition("_")
        if name == "acceptable":
            acceptability[side] = _yes_or_no(field, values.pop(field))
        else:
            ratings[side][name] = _number(field, values.pop(field))
    answer = values | {
        "ratings": ratings,
        "acceptability": acceptability,
        "preference": values.get("preference") or None,
        "strength": _number("strength", values["strength"]) if values.get("strength") else None,
        "base_revision": _number("base_revision", values.get("base_revision")),
        "flagged": _ticked("flagged", values),
        "recognised_model": _ticked("recognised_model", values),
    }
    try:
        return SentAnswer.model_validate(answer)
    except ValidationError as error:
        raise refusal(error) from error


def form_fields(answer: SentAnswer, *, base_revision: int, idempotency_key: str) -> list[tuple[str, str]]:
    """Write an answer as the fields of a form, to be sent again from another revision; `read_form` reads it back.

    Spans and times are not in a form, so they are not here either.
    """
    fields = {"idempotency_key": idempotency_key, "base_revision": str(base_revision)}
    fields |= {"preference": answer.preference or "", "strength": str(answer.strength or "")}
    fields |= {
        f"{side}_{name}": str(value) for side, rated in answer.by_side().items() for name, value in rated.items()
    }
    fields |= {f"{side}_acceptable": "yes" if given else "no" for side, given in answer.acceptable().items()}
    fields |= {name: getattr(answer, name) for name in ("comment", "skip_reason", "recognised_guess", "edit_reason")}
    fields |= {name: "on" for name in ("flagged", "recognised_model") if getattr(answer, name)}
    return list(fields.items())


def no_repetition(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Build a dict from fields. Raises InvalidInputError for one that is there twice."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise InvalidInputError(f"The field {name[:40]!r} is there twice.")
        found[name] = value
    return found


def refusal(error: ValidationError) -> InvalidInputError:
    """Say in a sentence which field was wrong first, and why."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "the answer"
    return InvalidInputError(f"{place[:120]}: {first['msg']}.")


def _number(name: str, value: object) -> int:
    if not (isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 9):  # noqa: PLR2004
        raise InvalidInputError(f"{name[:60]}: a whole number is needed.")
    return int(value)


def _yes_or_no(name: str, value: object) -> bool:
    if value not in {"yes", "no"}:
        raise InvalidInputError(f"{name}: 'yes' or 'no' is needed.")
    return value == "yes"


def _ticked(name: str, values: dict[str, Any]) -> bool:
    if values.get(name, "on") != "on":
        raise InvalidInputError(f"{name}: a box is ticked with 'on' or left out.")
    return name in values
