"""Scoring a whole study as work that outlives every process: a run, and one task for each response and its reader."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from models.base import checked, new_id, now
from models.comparison import BasePrompt


class ScoringState(StrEnum):
    """Only a running run is worked on. A paused one goes on where it was; `failed` ended with tasks that failed."""

    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class TaskState(StrEnum):
    """A claimed task belongs to one worker until its lease ends; then anybody may claim it again."""

    WAITING = "waiting"
    CLAIMED = "claimed"
    DONE = "done"
    FAILED = "failed"


class ScoringRun(SQLModel, table=True):
    """One order to read the responses of a study.

    `reader` is the checkpoint that reads all of them, or empty for each response's own. `resumed_at` is when it was
    last begun or resumed, from where its rate is counted.
    """

    id: str = Field(default_factory=new_id, primary_key=True)
    study_id: str = Field(foreign_key="study.id", index=True)
    reader: str = Field(default="", max_length=200)
    base_prompt: BasePrompt = Field(default=BasePrompt.SAME_IDS, sa_type=checked(BasePrompt))
    state: ScoringState = Field(default=ScoringState.RUNNING, sa_type=checked(ScoringState), index=True)
    total: int = 0
    message: str = ""
    created_by: str | None = Field(default=None, foreign_key="user.id")
    created_at: datetime = Field(default_factory=now)
    resumed_at: datetime = Field(default_factory=now)
    ended_at: datetime | None = None


class ScoringTask(SQLModel, table=True):
    """One response to read with one checkpoint. `worker` claimed it until `lease_until`.

    A waiting task with a `lease_until` failed before and is not tried again until then; `sentence` says why.
    """

    __table_args__ = (Index("ix_scoringtask_run_id_state", "run_id", "state"),)

    run_id: str = Field(foreign_key="scoringrun.id", primary_key=True)
    response_id: str = Field(foreign_key="response.id", primary_key=True, index=True)
    checkpoint: str = Field(max_length=200)
    state: TaskState = Field(default=TaskState.WAITING, sa_type=checked(TaskState))
    worker: str = Field(default="", max_length=40)
    lease_until: datetime | None = None
    attempts: int = 0
    sentence: str = ""
    ended_at: datetime | None = None
