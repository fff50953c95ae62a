"""The words by which shifted tokens are told apart, as researchers have edited them."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON
from sqlmodel import Field, SQLModel

from models.base import new_id, now


class Lexicon(SQLModel, table=True):
    """One version of the lexicon, append-only; the newest one counts, the shipped file where there is none."""

    id: str = Field(default_factory=new_id, primary_key=True)
    sha256: str = Field(max_length=64)
    words: dict[str, Any] = Field(sa_type=JSON)
    created_by: str = Field(foreign_key="user.id")
    created_at: datetime = Field(default_factory=now, index=True)
