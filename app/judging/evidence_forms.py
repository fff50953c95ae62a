"""What a page sends about instances beside spans: for which span it wants them. Strict."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.errors import InvalidInputError


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class AskedSpan(_Strict):
    """A span that instances are wanted for, in code points over the text of one side."""

    side: Literal["left", "right"]
    start: int = Field(ge=0, le=2**31 - 1)
    end: int = Field(ge=1, le=2**31 - 1)


def read_span(body: bytes) -> AskedSpan:
    """Read a request for instances. Raises InvalidInputError naming the first field that is wrong."""
    try:
        return AskedSpan.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the passage"
        raise InvalidInputError(f"{place[:120]}: {first['msg']}.") from error
