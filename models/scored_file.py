"""Scored files: lines of `tuneshift score` brought in to be read and searched beside the studies."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON
from sqlmodel import Field, SQLModel

from models.base import checked, new_id, now


class FileState(StrEnum):
    """How far an import is: every line is read first, then all are stored; only a ready file is seen elsewhere."""

    READING = "reading"
    STORING = "storing"
    READY = "ready"
    FAILED = "failed"


class ScoredFile(SQLModel, table=True):
    """One imported file. `tuned` and `base` are the names its two models go by here.

    `done` of `n` are bytes while it is read and lines from then on, in step with `touched_at`. Of a file that failed,
    `problems` lists what was wrong: `{"line", "field", "message"}`, line 0 meaning the whole file.
    """

    id: str = Field(default_factory=new_id, primary_key=True)
    name: str = Field(max_length=200)
    sha256: str = Field(unique=True, max_length=64)
    tuned: str = Field(max_length=200)
    base: str = Field(max_length=200)
    state: FileState = Field(default=FileState.READING, sa_type=checked(FileState))
    n: int = 0
    done: int = 0
    problems: list[dict[str, Any]] = Field(default_factory=list, sa_type=JSON)
    touched_at: datetime = Field(default_factory=now)
    created_by: str = Field(foreign_key="user.id")
    created_at: datetime = Field(default_factory=now)


class ScoredLine(SQLModel, table=True):
    """One line of a scored file and the response it became. `record_id` is the line's own id, as text."""

    file_id: str = Field(foreign_key="scoredfile.id", primary_key=True)
    position: int = Field(primary_key=True)
    record_id: str = Field(max_length=400)
    response_id: str = Field(foreign_key="response.id", index=True)
