"""What programs sign in with, and what people and programs did to the server."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import JSON
from sqlmodel import Field, SQLModel

from models.base import new_id, now


class Scope(StrEnum):
    """What a token may do: look, run models and change studies, or take exports away."""

    READ = "read"
    RUN = "run"
    EXPORT = "export"


class ApiToken(SQLModel, table=True):
    """A key with which a program acts as a person; only its hash is kept. `hint` is its beginning, to tell it by."""

    id: str = Field(default_factory=new_id, primary_key=True)
    user_id: str = Field(foreign_key="user.id", index=True)
    name: str = Field(max_length=80)
    hint: str = Field(max_length=16)
    token_sha256: str = Field(unique=True, max_length=64)
    scopes: list[str] = Field(sa_type=JSON)
    created_at: datetime = Field(default_factory=now)
    expires_at: datetime
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None


class AuditEvent(SQLModel, table=True):
    """What was done to the server, or tried, and by whom; append-only. What is done to a study is in `StudyEvent`.

    `user_id` is who did it: None for the command line, and for whoever was not known. `about` is whom or what it was
    done to, by its id. `client` is a mark by which events of one network address are known to be so, and no more.
    Nothing here names a person, so that it can outlive what is known of them.
    """

    id: str = Field(default_factory=new_id, primary_key=True)
    user_id: str | None = Field(default=None, foreign_key="user.id", index=True)
    action: str = Field(max_length=40)
    about: str = Field(default="", max_length=80)
    detail: str = ""
    client: str = Field(default="", max_length=16)
    created_at: datetime = Field(default_factory=now, index=True)
