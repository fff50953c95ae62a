"""What programs send and get, as OpenAPI describes it."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.compare.forms import MAX_COLUMNS, MAX_SEED, MAX_TEMPERATURE
from models import BasePrompt, StudyState

MAX_RECORDS = 64
# What a database, a name of a study or a path could not hold is refused by rule, so lengths here only bound the work.
Short = Annotated[str, Field(max_length=200)]
Long = Annotated[str, Field(max_length=1_000_000)]
TokenIds = Annotated[list[Annotated[int, Field(ge=0, lt=2**31)]], Field(min_length=1, max_length=100_000)]


class Sent(BaseModel):
    """What is sent: a field nobody asked for is a mistake worth telling."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Problem(BaseModel):
    """One failure: the sentence, the field it is about if it is about one, and what would be right."""

    status: int
    message: str
    where: str
    remedy: str


class Failure(BaseModel):
    """What every answer from 400 up holds."""

    error: Problem


class Me(BaseModel):
    """Whom a token stands for and what it may do."""

    id: str
    role: str
    scopes: list[str]
    expires_at: str


class CheckpointOut(BaseModel):
    """A checkpoint of the registry."""

    name: str
    role: str
    base: str


class CompareIn(Sent):
    """A prompt for several checkpoints."""

    prompt: Long
    checkpoints: list[Short] = Field(min_length=1, max_length=MAX_COLUMNS)
    temperature: float = Field(0.0, ge=0, le=MAX_TEMPERATURE)
    max_tokens: int = Field(256, ge=1, lt=2**31)
    seed: int = Field(0, ge=0, le=MAX_SEED)
    base_prompt: Literal["same_ids", "plain", "few_shot"] = BasePrompt.SAME_IDS.value


class ScoreRecord(Sent):
    """A response to score: texts, or ids; with neither a response nor ids it is generated greedily first."""

    id: Short | Annotated[int, Field(ge=-(2**53), le=2**53)]
    prompt: Long | None = None
    response: Long | None = None
    prompt_ids: TokenIds | None = None
    response_ids: TokenIds | None = None


class ScoreIn(Sent):
    """Responses to score under a tuned checkpoint and its base."""

    base: Short
    tuned: Short
    records: list[ScoreRecord] = Field(min_length=1, max_length=MAX_RECORDS)
    top_k: int = Field(20, ge=1, le=100)
    max_tokens: int = Field(256, ge=1, lt=2**31)


class ScoreOut(BaseModel):
    """One record for each that was sent, as `tuneshift score` writes it."""

    records: list[dict[str, Any]]


class ArmIn(Sent):
    """An arm: a checkpoint and its decoding. Without a name it is called like its checkpoint."""

    checkpoint: Short
    name: Short = ""
    max_tokens: int = Field(256, ge=1, lt=2**31)
    temperature: float = Field(0.0, ge=0, le=MAX_TEMPERATURE)
    seed: int = Field(0, ge=0, le=MAX_SEED)


class StudyIn(Sent):
    """A draft to make. Without pairs every arm is shown against every other."""

    name: Short
    slug: Short = ""
    preset: Short = ""
    seed: Short = ""
    prompts: list[Long] = Field(default_factory=list, max_length=10_000)
    arms: list[ArmIn] = Field(default_factory=list, max_length=12)
    pairs: list[Annotated[list[Short], Field(min_length=2, max_length=2)]] | None = Field(None, max_length=66)
    overlap: int = Field(2, ge=1, le=100)
    per_annotator: int | None = Field(None, ge=1, le=1_000_000)
    guidelines: Long | None = None
    withdrawal: Literal["keep", "exclude"] = "keep"
    allow_holes: bool = False


class StateIn(Sent):
    """Where a study should go."""

    state: StudyState = Field(strict=False)


class PairOut(BaseModel):
    """Two arms, and the judgments given, in hand and wanted for them."""

    first: str
    second: str
    judged: int
    in_hand: int
    skipped: int
    wanted: int


class ArmOut(BaseModel):
    """An arm and how many of the items it has answered."""

    name: str
    checkpoint: str
    answered: int
    items: int


class StudyRow(BaseModel):
    """A study in the list."""

    id: str
    slug: str
    name: str
    state: str
    version: int
    created_at: str


class StudyOut(StudyRow):
    """A study, and how far it is."""

    overlap: int
    items: int
    arms: list[ArmOut]
    pairs: list[PairOut]


class Imported(BaseModel):
    """What became of a file, in a sentence."""

    message: str


class JudgmentOut(BaseModel):
    """One judgment: what was shown on which side, and the answer. People are called by their pseudonym."""

    presentation_id: str
    item: int
    prompt: str
    annotator: str
    left: str
    right: str
    answer: str
    excluded_by: list[str]


class JudgmentsOut(BaseModel):
    """One page of the judgments asked for, and how many there are in all."""

    judgments: list[JudgmentOut]
    total: int
    page: int
    pages: int


class ResultsOut(BaseModel):
    """The findings kept of a study, by key, and the moment they are of; null before the first.

    `fresh` is whether they are of the data as it is now; `since` counts the judgments that came after them.
    """

    as_of: str | None
    fresh: bool
    judgments: int
    since: int
    findings: dict[str, Any] | None


class ExportIn(Sent):
    """How an export should name people: with `external_ids` as their recruiting platform does."""

    external_ids: bool = False


class ExportOut(BaseModel):
    """An export: how far its building is, and the file once it is done."""

    id: str
    state: str
    done: int
    total: int
    message: str
    external_ids: bool
    bytes: int
    sha256: str
    as_of: str | None
    file: str | None
