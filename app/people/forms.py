"""What the people page and the open link are sent, read field by field."""

from typing import Annotated, Literal

from fastapi import Form, Query
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.errors import InvalidInputError
from app.people.invites import NewInvites
from app.people.rules import MAX_DAYS, MAX_INVITES, MAX_NOTE, external_id_problem
from models import Role

_WRONG = {
    "count": f"Number of links: a whole number from 1 to {MAX_INVITES} is needed.",
    "days": f"Valid for: a whole number of days from 1 to {MAX_DAYS} is needed.",
    "note": f"Note: one line of at most {MAX_NOTE} characters.",
    "role": "An invitation is for an annotator or a researcher.",
}


class _Sent(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    count: Annotated[int, Field(ge=1, le=MAX_INVITES)]
    days: Annotated[int, Field(ge=1, le=MAX_DAYS)]
    note: Annotated[str, Field(max_length=MAX_NOTE)]
    role: Literal["annotator", "researcher"]


def new_invites(
    count: Annotated[str, Form()] = "1",
    days: Annotated[str, Form()] = "14",
    note: Annotated[str, Form()] = "",
    role: Annotated[str, Form()] = "annotator",
) -> NewInvites:
    """Read the form that makes invitations. Raises InvalidInputError naming the first field that is wrong."""
    note = note.strip()
    wrong = [name for name, text in (("count", count), ("days", days)) if not _is_number(text)]
    if not note.isprintable():
        wrong.append("note")
    if wrong:
        raise InvalidInputError(_WRONG[wrong[0]])
    try:
        sent = _Sent(count=int(count), days=int(days), note=note, role=role)
    except ValidationError as error:
        raise InvalidInputError(_WRONG[str(error.errors()[0]["loc"][0])]) from error
    return NewInvites(sent.count, sent.days, sent.note, Role(sent.role))


def _is_number(text: str) -> bool:
    text = text.strip()
    return text.isascii() and text.isdecimal() and len(text) <= len(str(MAX_DAYS))


def external_id_in_address(
    prolific: Annotated[str, Query(alias="PROLIFIC_PID")] = "", external_id: Annotated[str, Query()] = ""
) -> str:
    """Read the id a platform put into the address; empty for none. Raises InvalidInputError for one that cannot be."""
    return checked_id(prolific or external_id)


def external_id_in_form(external_id: Annotated[str, Form()] = "") -> str:
    """Read the id that came along with the form."""
    return checked_id(external_id)


def checked_id(text: str) -> str:
    """Trim an external id. Raises InvalidInputError saying what is wrong with it."""
    text = text.strip()
    if problem := external_id_problem(text):
        raise InvalidInputError(problem, remedy="Open the link from the site that sent you here, or tell its people.")
    return text
