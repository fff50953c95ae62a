"""Tuning sets: the instruction data checkpoints were tuned on, by content, and what responses borrowed from it."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON
from sqlmodel import Field, SQLModel, UniqueConstraint

from models.base import checked, new_id, now


class ImportState(StrEnum):
    """A tuning set is read, then indexed; only a ready one is shown or searched."""

    READING = "reading"
    INDEXING = "indexing"
    READY = "ready"
    FAILED = "failed"


class TuningSet(SQLModel, table=True):
    """One version of a tuning set. `sha256` is the hash of the file's bytes, which no two versions share.

    `done` of `total` (bytes while reading, instances while indexing; each twice) is how far an import is; `message`
    says in words why one failed, or what to know of one that is ready.
    """

    __table_args__ = (UniqueConstraint("name", "version"),)

    id: str = Field(default_factory=new_id, primary_key=True)
    name: str = Field(max_length=200)
    version: int = 1
    sha256: str = Field(max_length=64, index=True)
    filename: str = Field(max_length=400)
    shape: str = Field(default="", max_length=40)
    n: int = 0
    state: ImportState = Field(default=ImportState.READING, sa_type=checked(ImportState))
    done: int = 0
    total: int = 0
    message: str = ""
    created_by: str | None = Field(default=None, foreign_key="user.id")
    created_at: datetime = Field(default_factory=now)


class TuningInstance(SQLModel, table=True):
    """One instruction-answer pair, at its 0-based position. `answer` joins the answers of all turns by a blank line.

    `turns` holds the whole conversation as `[{"role", "content"}]` where there is more than one exchange.
    """

    set_id: str = Field(foreign_key="tuningset.id", primary_key=True)
    position: int = Field(primary_key=True)
    instance_id: str = Field(max_length=400)
    instruction: str
    answer: str
    turns: list[dict[str, Any]] | None = Field(default=None, sa_type=JSON)


class TuningSetUse(SQLModel, table=True):
    """Which checkpoint was tuned on which set."""

    set_id: str = Field(foreign_key="tuningset.id", primary_key=True)
    checkpoint: str = Field(primary_key=True, max_length=200)
    created_at: datetime = Field(default_factory=now)


class Borrowing(SQLModel, table=True):
    """How much of a response's shift is found in its neighbours in a tuning set, against random instances of it.

    `found` of `shifted` tokens against the share `expected` (0..1); `p_value` is that of the permutation test with
    `draws` draws. All are None with a `reason` in words where the question has no answer. The same without very common
    words (`content_*`) and, as what any token has, for unshifted tokens (`unshifted_*`).
    """

    response_id: str = Field(foreign_key="response.id", primary_key=True)
    checkpoint: str = Field(primary_key=True, max_length=200)
    set_id: str = Field(foreign_key="tuningset.id", primary_key=True)
    method: str = Field(max_length=40)
    shifted: int
    found: int | None = None
    expected: float | None = None
    p_value: float | None = None
    content_shifted: int = 0
    content_found: int | None = None
    content_expected: float | None = None
    unshifted: int = 0
    unshifted_found: int | None = None
    unshifted_expected: float | None = None
    unshifted_content: int = 0
    unshifted_content_found: int | None = None
    unshifted_content_expected: float | None = None
    draws: int = 0
    neighbours: int = 0
    verbatim_spans: int = 0
    verbatim_characters: int = 0
    reason: str = ""
    created_at: datetime = Field(default_factory=now)
