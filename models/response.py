"""What a checkpoint said, with its run record, and what a checkpoint and its reference think of every token of it."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, Index
from sqlmodel import Field, LargeBinary, SQLModel, UniqueConstraint

from models.base import checked, new_id, now
from models.comparison import BasePrompt


class Origin(StrEnum):
    """Where a response came from: written by a checkpoint here, pasted as text, or imported from a scored file."""

    GENERATED = "generated"
    PASTED = "pasted"
    IMPORTED = "imported"


class Response(SQLModel, table=True):
    """A text and the token ids it came from. Immutable once stored: judgments and traces refer to it for ever.

    `checkpoint` wrote it; empty where nobody knows. `run` records how it was made: engine, version, dtype, revision,
    template, base prompt, decoding, app version, and `text_lengths`, the code points each token adds to the text.
    `finish` is `stop` (end of sequence), `length` (max tokens), `stopped` (by a person), `failed` (engine died) or
    `given` (not generated here). A branch shares the first `fork_index` tokens of its parent; the next one was chosen.
    """

    id: str = Field(default_factory=new_id, primary_key=True)
    checkpoint: str = Field(index=True, max_length=200)
    origin: Origin = Field(default=Origin.GENERATED, sa_type=checked(Origin))
    prompt: str
    prompt_ids: list[int] = Field(sa_type=JSON)
    text: str
    text_sha256: str = Field(max_length=64, index=True)
    token_ids: list[int] = Field(sa_type=JSON)
    finish: str = Field(max_length=16)
    run: dict[str, Any] = Field(sa_type=JSON)
    parent_id: str | None = Field(default=None, foreign_key="response.id", index=True)
    fork_index: int | None = None
    created_by: str | None = Field(default=None, foreign_key="user.id")
    created_at: datetime = Field(default_factory=now)


class Trace(SQLModel, table=True):
    """One checkpoint's view of a response against a reference that read `base_prompt`, packed by `app.shift.packing`.

    The checkpoint need not be the one that wrote the response. The counts and means are the summary (KL in nats per
    token), kept as columns so lists never unpack. `prompt_ids` is what both read: `{"own": [...], "reference": [...]}`.
    """

    __table_args__ = (UniqueConstraint("response_id", "checkpoint", "reference", "base_prompt"),)

    id: str = Field(default_factory=new_id, primary_key=True)
    response_id: str = Field(foreign_key="response.id")
    checkpoint: str = Field(max_length=200)
    reference: str = Field(max_length=200)
    base_prompt: BasePrompt = Field(default=BasePrompt.SAME_IDS, sa_type=checked(BasePrompt))
    prompt_ids: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    engine: str = Field(default="", max_length=40)
    engine_version: str = Field(default="", max_length=40)
    kl_kind: str = Field(max_length=16)
    dtype: str = Field(max_length=16)
    border_width: float
    n: int
    unshifted: int
    marginal: int
    shifted: int
    mean_kl_tuned_base: float | None = None
    mean_kl_base_tuned: float | None = None
    tokens: bytes = Field(sa_type=LargeBinary)
    created_at: datetime = Field(default_factory=now)


class TraceAggregate(SQLModel, table=True):
    """What a trace says of its response as a whole, one slim row, so that thousands filter without unpacking any.

    The numbers are those of `app.shift.aggregate`. `prompt_sha256` is the same for the same prompt, whatever template
    it was put in. Columns that need the lexicon carry its hash. `token_types` is packed by `app.shift.token_types`.
    """

    __table_args__ = (Index("ix_traceaggregate_source", "response_id", "checkpoint", "base_prompt"),)

    trace_id: str = Field(foreign_key="trace.id", primary_key=True)
    response_id: str = Field(foreign_key="response.id")
    checkpoint: str = Field(max_length=200)
    base_prompt: BasePrompt = Field(sa_type=checked(BasePrompt))
    prompt_sha256: str = Field(max_length=64)
    n: int
    unshifted: int
    marginal: int
    shifted: int
    first5_n: int
    first5_marginal: int
    first5_shifted: int
    late_shift_share: float | None = None
    first_shift_at: float | None = None
    max_base_rank: int | None = None
    mean_logprob_difference: float | None = None
    peak_logprob_difference: float | None = None
    mean_kl_tuned_base: float | None = None
    max_kl_tuned_base: float | None = None
    last95_kl_tuned_base: float | None = None
    mean_kl_base_tuned: float | None = None
    max_kl_base_tuned: float | None = None
    last95_kl_base_tuned: float | None = None
    mean_base_entropy: float | None = None
    mean_tuned_entropy: float | None = None
    mean_surprisal: float | None = None
    mean_top_k_overlap: float | None = None
    content_shifted: int | None = None
    lexicon_sha256: str = Field(default="", max_length=64, index=True)
    token_types: bytes = Field(default=b"", sa_type=LargeBinary)
