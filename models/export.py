"""Exports that were built to be downloaded, and those being built."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel

from models.base import checked, new_id, now


class ExportState(StrEnum):
    """Only a `done` one can be downloaded; one that nobody works on any more can be begun again."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class Export(SQLModel, table=True):
    """The zip of a study's export: how far its building is, and what came of it.

    `fingerprint` names the state it is of, and the file that holds it: two exports of one state are one file. The
    file outlives nothing: a draft that is deleted takes it along, so the study's id is no foreign key.
    """

    id: str = Field(default_factory=new_id, primary_key=True)
    study_id: str = Field(index=True)
    state: ExportState = Field(default=ExportState.RUNNING, sa_type=checked(ExportState))
    external_ids: bool = False
    done: int = Field(default=0, sa_type=BigInteger)
    total: int = Field(default=0, sa_type=BigInteger)
    message: str = ""
    fingerprint: str = Field(default="", max_length=64)
    sha256: str = Field(default="", max_length=64)
    bytes: int = Field(default=0, sa_type=BigInteger)
    as_of: datetime | None = None
    created_by: str | None = Field(default=None, foreign_key="user.id")
    created_at: datetime = Field(default_factory=now)
    touched_at: datetime = Field(default_factory=now)
