"""What a judging page may send: JSON while scripts run, a plain form without them; both end as one strict type.

Nothing is coerced and nothing unknown is accepted: a rating of "5", 3.5 or true, or a field named `model_left`, is
refused with the name of the field.
"""

import json
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from app.errors import InvalidInputError
from app.judging.rules import DIMENSION_NAMES, SIDES

MAX_MS = 10**10
_STORABLE = "contains a NUL character, which cannot be stored"


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError(_STORABLE)
    return text


_Text = Annotated[str, AfterValidator(_storable)]
_Side = Literal["left", "right"]
_Dimension = Literal["helpfulness", "clarity", "factuality", "depth", "engagement"]
_Rating = Annotated[int, Field(ge=1, le=5)]
_Milliseconds = Annotated[int, Field(ge=0, le=MAX_MS)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class SentSpan(_Strict):
    """A span as the page sends it; see `app.judging.rules.MarkedSpan`."""

    side: _Side
    start: int = Field(ge=0)
    end: int = Field(ge=1)
    quote: _Text = Field(min_length=1)
    type: Literal["wrong_fact", "invented", "contradiction", "unsupported", "other"]
    severity: Literal["minor", "major"]
    note: _Text = Field(default="", max_length=2_000)


class SentAnswer(_Strict):
    """One attempt to save an answer. `base_revision` is the revision it was made from, 0 for none.

    A retry of the same attempt carries the same `idempotency_key`. Spans of None leave those saved last as they are.
    """

    idempotency_key: str = Field(pattern=r"\A[A-Za-z0-9_-]{8,64}\z")
    base_revision: int = Field(ge=0)
    preference: Literal["left", "right", "tie_good", "tie_bad", "cannot_judge"] | None = None
    ratings: dict[_Side, dict[_Dimension, _Rating]] = Field(default_factory=dict)
    spans: Annotated[list[SentSpan], Field(max_length=500)] | None = None
    comment: _Text = Field(default="", max_length=10_000)
    flagged: bool = False
    skip_reason: _Text = Field(default="", max_length=2_000)
    recognised_model: bool = False
    active_ms: _Milliseconds = 0
    wall_ms: _Milliseconds = 0

    def by_side(self) -> dict[str, dict[str, int]]:
        """The ratings under plain names."""
        return {side: dict(rated.items()) for side, rated in self.ratings.items()}

    @property
    def is_skip(self) -> bool:
        """Whether the annotator cannot judge."""
        return self.preference == "cannot_judge"


def read_json(body: bytes) -> SentAnswer:
    """Read an answer sent as JSON. Raises InvalidInputError naming the first field that is wrong."""
    try:
        answer = SentAnswer.model_validate_json(body)
        json.loads(body, object_pairs_hook=_no_repetition)
    except ValidationError as error:
        raise _refusal(error) from error
    except ValueError as error:
        raise InvalidInputError(f"The answer cannot be read: {error}.") from error
    return answer


def read_form(fields: Iterable[tuple[str, Any]]) -> SentAnswer:
    """Read an answer sent as a plain form: `left_clarity=4` and so on; spans stay as saved last."""
    values: dict[str, Any] = _no_repetition(fields)
    ratings: dict[str, dict[str, int]] = {side: {} for side in SIDES}
    for side in SIDES:
        for name in DIMENSION_NAMES:
            if f"{side}_{name}" in values:
                ratings[side][name] = _number(f"{side}_{name}", values.pop(f"{side}_{name}"))
    answer = values | {
        "ratings": ratings,
        "preference": values.get("preference") or None,
        "base_revision": _number("base_revision", values.get("base_revision")),
        "flagged": _ticked("flagged", values),
        "recognised_model": _ticked("recognised_model", values),
    }
    try:
        return SentAnswer.model_validate(answer)
    except ValidationError as error:
        raise _refusal(error) from error


def _no_repetition(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise InvalidInputError(f"The field {name[:40]!r} is there twice.")
        found[name] = value
    return found


def _number(name: str, value: object) -> int:
    if not (isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 9):  # noqa: PLR2004
        raise InvalidInputError(f"{name}: a whole number is needed.")
    return int(value)


def _ticked(name: str, values: dict[str, Any]) -> bool:
    if values.get(name, "on") != "on":
        raise InvalidInputError(f"{name}: a box is ticked with 'on' or left out.")
    return name in values


def _refusal(error: ValidationError) -> InvalidInputError:
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "the answer"
    return InvalidInputError(f"{place[:120]}: {first['msg']}.")
