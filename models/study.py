"""An evaluation: prompts (items), what answers them (arms), and which arms are shown against each other (pairs)."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON
from sqlmodel import Field, SQLModel, UniqueConstraint

from models.base import checked, new_id, now


class StudyState(StrEnum):
    """Only an open study hands out work; a closed one takes no more revisions."""

    DRAFT = "draft"
    OPEN = "open"
    PAUSED = "paused"
    CLOSED = "closed"


class Study(SQLModel, table=True):
    """An evaluation. `seed` alone fixes every side order; `overlap` is the judgments wanted per item and pair."""

    id: str = Field(default_factory=new_id, primary_key=True)
    slug: str = Field(unique=True, max_length=80)
    name: str = Field(max_length=200)
    seed: str = Field(max_length=64)
    version: int = 1
    state: StudyState = Field(default=StudyState.DRAFT, sa_type=checked(StudyState))
    overlap: int = 2
    guidelines: str = ""
    guideline_version: int = 1
    created_by: str = Field(foreign_key="user.id", index=True)
    created_at: datetime = Field(default_factory=now)


class Item(SQLModel, table=True):
    """A prompt of a study, in the order it was given."""

    __table_args__ = (UniqueConstraint("study_id", "position"),)

    id: str = Field(default_factory=new_id, primary_key=True)
    study_id: str = Field(foreign_key="study.id")
    position: int
    prompt: str


class Arm(SQLModel, table=True):
    """A checkpoint and its decoding, as one thing a study compares."""

    __table_args__ = (UniqueConstraint("study_id", "name"),)

    id: str = Field(default_factory=new_id, primary_key=True)
    study_id: str = Field(foreign_key="study.id")
    name: str = Field(max_length=200)
    checkpoint: str = Field(max_length=200)
    decoding: dict[str, Any] = Field(sa_type=JSON)


class ItemResponse(SQLModel, table=True):
    """Which stored response answers an item for an arm."""

    item_id: str = Field(foreign_key="item.id", primary_key=True)
    arm_id: str = Field(foreign_key="arm.id", primary_key=True)
    response_id: str = Field(foreign_key="response.id")


class Pair(SQLModel, table=True):
    """Two arms shown against each other; which of them stands left is drawn per presentation."""

    __table_args__ = (UniqueConstraint("study_id", "first_arm_id", "second_arm_id"),)

    id: str = Field(default_factory=new_id, primary_key=True)
    study_id: str = Field(foreign_key="study.id")
    first_arm_id: str = Field(foreign_key="arm.id")
    second_arm_id: str = Field(foreign_key="arm.id")
