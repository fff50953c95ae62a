"""People: who may sign in, how they were invited, and which studies they belong to."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import JSON
from sqlmodel import Field, SQLModel, UniqueConstraint

from models.base import checked, new_id, now

# Reserved: no mail server can ever answer for it.
GUEST_DOMAIN = "guest.invalid"


class Role(StrEnum):
    """What a person may do: annotators judge, researchers run studies, owners also manage people."""

    ANNOTATOR = "annotator"
    RESEARCHER = "researcher"
    OWNER = "owner"


class MemberState(StrEnum):
    """Only an active member is handed work; somebody who withdrew gave their places back for good."""

    ACTIVE = "active"
    PAUSED = "paused"
    WITHDRAWN = "withdrawn"


class User(SQLModel, table=True):
    """A person. Raising `session_version` ends every session signed before; `shortcuts` is `{action: key}`.

    Who joined by an open link alone is a guest: an address at `GUEST_DOMAIN` that nobody can write to, no password.
    """

    id: str = Field(default_factory=new_id, primary_key=True)
    email: str = Field(unique=True, max_length=320)
    name: str = Field(max_length=200)
    role: Role = Field(sa_type=checked(Role))
    password_hash: str | None = None
    session_version: int = 1
    shortcuts: dict[str, str] = Field(default_factory=dict, sa_type=JSON)
    created_at: datetime = Field(default_factory=now)
    disabled_at: datetime | None = None

    @property
    def is_guest(self) -> bool:
        """Tell whether this person has no account of their own to sign in with; nobody who runs studies is one."""
        reachable = self.password_hash is not None or not self.email.endswith(f"@{GUEST_DOMAIN}")
        return self.role == Role.ANNOTATOR and not reachable


class Invite(SQLModel, table=True):
    """A single-use, expiring link; only the hash of its token is kept. With `user_id` it signs that person in.

    `note` is for whoever made it: to whom it goes.
    """

    id: str = Field(default_factory=new_id, primary_key=True)
    token_sha256: str = Field(unique=True, max_length=64)
    role: Role = Field(sa_type=checked(Role))
    note: str = Field(default="", max_length=200)
    study_id: str | None = Field(default=None, foreign_key="study.id", index=True)
    user_id: str | None = Field(default=None, foreign_key="user.id")
    created_by: str | None = Field(default=None, foreign_key="user.id")
    created_at: datetime = Field(default_factory=now)
    expires_at: datetime
    used_at: datetime | None = None
    used_by: str | None = Field(default=None, foreign_key="user.id")
    revoked_at: datetime | None = None


class Membership(SQLModel, table=True):
    """A person in a study, under the pseudonym (`pid`) by which exports call them.

    `role` is what they were invited for: who is no annotator here sees the study's results. `external_id` is what a
    recruiting platform calls them. `guideline_seen` is the version they last had open. `told` says how they stopped:
    where a researcher (`stopped_by`) did it, the sentence the person reads, else the person's own reason.
    `extra_tries` are attempts at the comprehension check that a researcher gave them. `joined_beside` is another member
    who was signed in, in the same browser, when they joined.
    """

    __table_args__ = (UniqueConstraint("study_id", "pid"), UniqueConstraint("study_id", "external_id"))

    study_id: str = Field(foreign_key="study.id", primary_key=True)
    user_id: str = Field(foreign_key="user.id", primary_key=True, index=True)
    pid: str = Field(max_length=32)
    role: Role = Field(default=Role.ANNOTATOR, sa_type=checked(Role))
    state: MemberState = Field(default=MemberState.ACTIVE, sa_type=checked(MemberState))
    state_changed_at: datetime | None = None
    told: str = ""
    stopped_by: str | None = Field(default=None, foreign_key="user.id")
    external_id: str | None = Field(default=None, max_length=200)
    guideline_seen: int = 0
    extra_tries: int = 0
    joined_beside: str | None = Field(default=None, foreign_key="user.id")
    joined_at: datetime = Field(default_factory=now)


class ComprehensionAttempt(SQLModel, table=True):
    """One try at a study's comprehension check; `answers` are the 0-based choices, in the order of the questions."""

    __table_args__ = (UniqueConstraint("study_id", "user_id", "number"),)

    id: str = Field(default_factory=new_id, primary_key=True)
    study_id: str = Field(foreign_key="study.id")
    user_id: str = Field(foreign_key="user.id")
    number: int
    answers: list[int] = Field(sa_type=JSON)
    right: int
    passed: bool
    created_at: datetime = Field(default_factory=now)


class ExitAnswer(SQLModel, table=True):
    """What somebody said at the end of their work in a study: whether they recognised a model, and by what."""

    study_id: str = Field(foreign_key="study.id", primary_key=True)
    user_id: str = Field(foreign_key="user.id", primary_key=True)
    recognised_model: bool
    recognised_guess: str = ""
    comment: str = ""
    created_at: datetime = Field(default_factory=now)
