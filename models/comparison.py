"""One prompt put to several checkpoints side by side, stored so that its link replays without a model."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON
from sqlmodel import Field, SQLModel

from models.base import checked, new_id, now


class RunState(StrEnum):
    """Where a comparison, or one column of it, stands. `interrupted`: the server stopped before it ended."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


class BasePrompt(StrEnum):
    """What the base model sees before the response: the tuned model's ids, the bare prompt, or examples first."""

    SAME_IDS = "same_ids"
    PLAIN = "plain"
    FEW_SHOT = "few_shot"


class Comparison(SQLModel, table=True):
    """One run of the explore page. `decoding` holds max_tokens, temperature and seed.

    One that forks a stored response goes on from its first `fork_index` tokens and `fork_token_id`.
    """

    id: str = Field(default_factory=new_id, primary_key=True)
    prompt: str
    base_prompt: BasePrompt = Field(default=BasePrompt.SAME_IDS, sa_type=checked(BasePrompt))
    decoding: dict[str, Any] = Field(sa_type=JSON)
    state: RunState = Field(default=RunState.PENDING, sa_type=checked(RunState))
    fork_of: str | None = Field(default=None, foreign_key="response.id", index=True)
    fork_index: int | None = None
    fork_token_id: int | None = None
    created_by: str = Field(foreign_key="user.id", index=True)
    created_at: datetime = Field(default_factory=now, index=True)
    finished_at: datetime | None = None


class ComparisonColumn(SQLModel, table=True):
    """One checkpoint of a comparison. `message` says in words why it stopped or failed."""

    comparison_id: str = Field(foreign_key="comparison.id", primary_key=True)
    position: int = Field(primary_key=True)
    checkpoint: str = Field(max_length=200)
    reference: str = Field(max_length=200)
    state: RunState = Field(default=RunState.PENDING, sa_type=checked(RunState))
    message: str = ""
    response_id: str | None = Field(default=None, foreign_key="response.id")
