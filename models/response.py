"""What a checkpoint said, with its run record, and what base and tuned think of every token of it."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON
from sqlmodel import Field, LargeBinary, SQLModel

from models.base import new_id, now


class Response(SQLModel, table=True):
    """A text and the token ids it came from. Immutable once stored: judgments and traces refer to it for ever.

    `run` records how it was made: engine, version, dtype, revision, template, base prompt, decoding, app version.
    `finish` is `stop` (end of sequence), `length` (max tokens), `stopped` (by a person) or `failed` (engine died).
    """

    id: str = Field(default_factory=new_id, primary_key=True)
    checkpoint: str = Field(index=True, max_length=200)
    prompt: str
    prompt_ids: list[int] = Field(sa_type=JSON)
    text: str
    text_sha256: str = Field(max_length=64, index=True)
    token_ids: list[int] = Field(sa_type=JSON)
    finish: str = Field(max_length=16)
    run: dict[str, Any] = Field(sa_type=JSON)
    created_at: datetime = Field(default_factory=now)


class Trace(SQLModel, table=True):
    """The trace of a response against one reference. `tokens` is packed by `app.shift.packing`.

    The counts and means are the response's summary (KL in nats per token), kept as columns so lists never unpack.
    """

    response_id: str = Field(foreign_key="response.id", primary_key=True)
    reference: str = Field(primary_key=True, max_length=200)
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
