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


class WithdrawalPolicy(StrEnum):
    """What becomes of the judgments of somebody who withdraws: they stay under the pseudonym, or count nowhere."""

    KEEP = "keep"
    EXCLUDE = "exclude"


class ItemKind(StrEnum):
    """Only regular items are results. Practice comes first and gives feedback; gold is slipped in and looks regular."""

    REGULAR = "regular"
    PRACTICE = "practice"
    GOLD = "gold"


class Study(SQLModel, table=True):
    """An evaluation. `seed` keys every side order; `overlap` is the judgments wanted per regular item and pair.

    `questions` is what is asked (`app.studies.questions`), `comprehension` the check before the first item, as
    `[{"question", "choices", "right", "why"}]`. `target` judgments and `ends_at` are goals that are shown, not limits;
    `per_annotator` is a limit. `repeat_items` lets one person judge several pairs of one prompt. `allow_holes` is the
    researcher's word that it may open with responses missing. With an open link anybody may join; `completion_code`
    is what those who finish take back to where they were recruited. Raising `version` marks a change of design.
    """

    id: str = Field(default_factory=new_id, primary_key=True)
    slug: str = Field(unique=True, max_length=80)
    name: str = Field(max_length=200)
    seed: str = Field(max_length=64)
    version: int = 1
    state: StudyState = Field(default=StudyState.DRAFT, sa_type=checked(StudyState))
    preset: str = Field(default="", max_length=40)
    questions: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    comprehension: list[dict[str, Any]] = Field(default_factory=list, sa_type=JSON)
    overlap: int = 2
    per_annotator: int | None = None
    repeat_items: bool = False
    target: int | None = None
    ends_at: datetime | None = None
    allow_holes: bool = False
    guidelines: str = ""
    guideline_version: int = 1
    withdrawal: WithdrawalPolicy = Field(default=WithdrawalPolicy.KEEP, sa_type=checked(WithdrawalPolicy))
    open_link_sha256: str | None = Field(default=None, max_length=64, unique=True)
    completion_code: str = Field(default="", max_length=80)
    created_by: str = Field(foreign_key="user.id", index=True)
    created_at: datetime = Field(default_factory=now)


class Guideline(SQLModel, table=True):
    """One version of a study's guidelines, in Markdown; the newest is also on the study. Never changed."""

    study_id: str = Field(foreign_key="study.id", primary_key=True)
    version: int = Field(primary_key=True)
    text: str
    created_by: str | None = Field(default=None, foreign_key="user.id")
    created_at: datetime = Field(default_factory=now)


class Item(SQLModel, table=True):
    """A prompt of a study, in the order it was given.

    `stratum` is the kind of prompt it is, empty where none was given; results are given for each besides.
    `overlap` is set where an item is wanted more or less often than the study says. Practice and gold items have two
    special arms, of which `expected` is the answer: `better` (that arm), `tie_good` or `tie_bad`; `why` explains it.
    """

    __table_args__ = (UniqueConstraint("study_id", "position"),)

    id: str = Field(default_factory=new_id, primary_key=True)
    study_id: str = Field(foreign_key="study.id")
    position: int
    prompt: str
    stratum: str = Field(default="", max_length=80)
    kind: ItemKind = Field(default=ItemKind.REGULAR, sa_type=checked(ItemKind))
    overlap: int | None = None
    expected: str = Field(default="", max_length=16)
    why: str = ""


class Arm(SQLModel, table=True):
    """A checkpoint and its decoding, as one thing a study compares; without a checkpoint its responses are imported.

    The two special arms of a study are called `better` and `worse` and answer practice and gold items only.
    """

    __table_args__ = (UniqueConstraint("study_id", "name"),)

    id: str = Field(default_factory=new_id, primary_key=True)
    study_id: str = Field(foreign_key="study.id")
    name: str = Field(max_length=200)
    checkpoint: str = Field(max_length=200)
    decoding: dict[str, Any] = Field(sa_type=JSON)
    special: bool = False


class ItemResponse(SQLModel, table=True):
    """Which stored response answers an item for an arm. A withheld one is shown to nobody.

    `scanned_with` is the version of the leak scan that has read it, empty for none.
    """

    item_id: str = Field(foreign_key="item.id", primary_key=True)
    arm_id: str = Field(foreign_key="arm.id", primary_key=True)
    response_id: str = Field(foreign_key="response.id", index=True)
    withheld: bool = False
    scanned_with: str = Field(default="", max_length=16)


class Pair(SQLModel, table=True):
    """Two arms shown against each other; which of them stands left is drawn per presentation."""

    __table_args__ = (UniqueConstraint("study_id", "first_arm_id", "second_arm_id"),)

    id: str = Field(default_factory=new_id, primary_key=True)
    study_id: str = Field(foreign_key="study.id")
    first_arm_id: str = Field(foreign_key="arm.id")
    second_arm_id: str = Field(foreign_key="arm.id")
    special: bool = False


class GenerationState(StrEnum):
    """A run that nobody watches any more was interrupted; every end but `done` can be resumed."""

    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


class GenerationRun(SQLModel, table=True):
    """One attempt at filling a study's missing responses: `done` of `total`, and in words how it stands or ended."""

    id: str = Field(default_factory=new_id, primary_key=True)
    study_id: str = Field(foreign_key="study.id", index=True)
    state: GenerationState = Field(default=GenerationState.RUNNING, sa_type=checked(GenerationState))
    done: int = 0
    total: int = 0
    message: str = ""
    created_by: str | None = Field(default=None, foreign_key="user.id")
    created_at: datetime = Field(default_factory=now)
    touched_at: datetime = Field(default_factory=now)


class ResponseFailure(SQLModel, table=True):
    """Why a response is missing still: the last attempt's reason in a sentence, and how many attempts there were."""

    item_id: str = Field(foreign_key="item.id", primary_key=True)
    arm_id: str = Field(foreign_key="arm.id", primary_key=True)
    sentence: str
    attempts: int = 1
    failed_at: datetime = Field(default_factory=now)


class LeakKind(StrEnum):
    """How a response may tell annotators who wrote it."""

    SELF_IDENTIFICATION = "self_identification"
    HOUSE_STYLE = "house_style"
    TEMPLATE = "template"
    TRUNCATION = "truncation"
    SAMENESS = "sameness"


class LeakDecision(StrEnum):
    """What a researcher decided about a flag; a study opens when none is undecided."""

    UNDECIDED = "undecided"
    KEEP = "keep"
    REDACT = "redact"
    EXCLUDE = "exclude"


class LeakFlag(SQLModel, table=True):
    """Characters of a response that may tell who wrote it, in code points of its text; `text[start:end] == quote`.

    A redacted one is masked in the page, character for character, so offsets stay true. An empty range is a flag on
    the whole response, which cannot be redacted.
    """

    __table_args__ = (UniqueConstraint("study_id", "response_id", "kind", "start", "end"),)

    id: str = Field(default_factory=new_id, primary_key=True)
    study_id: str = Field(foreign_key="study.id")
    response_id: str = Field(foreign_key="response.id", index=True)
    kind: LeakKind = Field(sa_type=checked(LeakKind))
    start: int = 0
    end: int = 0
    quote: str = ""
    detail: str = ""
    decision: LeakDecision = Field(default=LeakDecision.UNDECIDED, sa_type=checked(LeakDecision))
    decided_by: str | None = Field(default=None, foreign_key="user.id")
    decided_at: datetime | None = None
    created_at: datetime = Field(default_factory=now)


class Exclusion(SQLModel, table=True):
    """A rule that takes judgments out of the results. Never deleted: whoever takes it back is written down too.

    `rule` names one of `app.monitor.exclusions`, `settings` are its numbers and names.
    """

    id: str = Field(default_factory=new_id, primary_key=True)
    study_id: str = Field(foreign_key="study.id", index=True)
    rule: str = Field(max_length=40)
    settings: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    reason: str = ""
    created_by: str | None = Field(default=None, foreign_key="user.id")
    created_at: datetime = Field(default_factory=now)
    revoked_by: str | None = Field(default=None, foreign_key="user.id")
    revoked_at: datetime | None = None


class StudyEvent(SQLModel, table=True):
    """What was done to a study and by whom, or what was refused; append-only. `detail` is a sentence.

    It outlives a draft that is deleted, so the study's id is no foreign key.
    """

    id: str = Field(default_factory=new_id, primary_key=True)
    study_id: str = Field(index=True)
    user_id: str | None = Field(default=None, foreign_key="user.id")
    action: str = Field(max_length=40)
    detail: str = ""
    created_at: datetime = Field(default_factory=now)
