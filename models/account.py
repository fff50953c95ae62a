"""People: who may sign in, how they were invited, and which studies they belong to."""

from datetime import datetime
from enum import StrEnum

from sqlmodel import Field, SQLModel, UniqueConstraint

from models.base import checked, new_id, now


class Role(StrEnum):
    """What a person may do: annotators judge, researchers run studies, owners also manage people."""

    ANNOTATOR = "annotator"
    RESEARCHER = "researcher"
    OWNER = "owner"


class User(SQLModel, table=True):
    """A person. Raising `session_version` ends every session signed before."""

    id: str = Field(default_factory=new_id, primary_key=True)
    email: str = Field(unique=True, max_length=320)
    name: str = Field(max_length=200)
    role: Role = Field(sa_type=checked(Role))
    password_hash: str | None = None
    session_version: int = 1
    created_at: datetime = Field(default_factory=now)
    disabled_at: datetime | None = None


class Invite(SQLModel, table=True):
    """A single-use, expiring link; only the hash of its token is kept. With `user_id` it signs that person in."""

    id: str = Field(default_factory=new_id, primary_key=True)
    token_sha256: str = Field(unique=True, max_length=64)
    role: Role = Field(sa_type=checked(Role))
    study_id: str | None = Field(default=None, foreign_key="study.id", index=True)
    user_id: str | None = Field(default=None, foreign_key="user.id")
    created_by: str | None = Field(default=None, foreign_key="user.id")
    created_at: datetime = Field(default_factory=now)
    expires_at: datetime
    used_at: datetime | None = None
    used_by: str | None = Field(default=None, foreign_key="user.id")


class Membership(SQLModel, table=True):
    """A person in a study, under the pseudonym (`pid`) by which exports call them."""

    __table_args__ = (UniqueConstraint("study_id", "pid"),)

    study_id: str = Field(foreign_key="study.id", primary_key=True)
    user_id: str = Field(foreign_key="user.id", primary_key=True, index=True)
    pid: str = Field(max_length=32)
    joined_at: datetime = Field(default_factory=now)
