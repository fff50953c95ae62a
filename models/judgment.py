"""What an annotator is shown and what they answer; answers are append-only revisions."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, CheckConstraint, Index
from sqlmodel import Field, SQLModel, UniqueConstraint

from models.base import checked, new_id, now


class PresentationState(StrEnum):
    """A leased presentation counts towards overlap until its lease ends; submitted and skipped ones are final."""

    LEASED = "leased"
    SUBMITTED = "submitted"
    SKIPPED = "skipped"
    EXPIRED = "expired"


class Side(StrEnum):
    """Where a response stands on the page."""

    LEFT = "left"
    RIGHT = "right"


class Preference(StrEnum):
    """The final answer. Both ties stay apart: two good responses and two bad ones are different findings."""

    LEFT = "left"
    RIGHT = "right"
    TIE_GOOD = "tie_good"
    TIE_BAD = "tie_bad"
    CANNOT_JUDGE = "cannot_judge"


class RevisionKind(StrEnum):
    """A draft is work kept safe; only a submitted revision is a judgment."""

    DRAFT = "draft"
    SUBMITTED = "submitted"


class Severity(StrEnum):
    """How much a hallucinated span misleads."""

    MINOR = "minor"
    MAJOR = "major"


class EvidenceVerdict(StrEnum):
    """What somebody says of a tuning-set instance beside a hallucinated span."""

    BORROWED = "borrowed"
    SIMILAR = "similar"
    UNRELATED = "unrelated"


class Presentation(SQLModel, table=True):
    """One item and pair leased to one annotator. The id is the opaque token they see; the arms never leave the server.

    `side_order_key` is the keyed hash that drew the sides where balance left both open, so that anyone holding the
    study seed can draw them again. `imported_from` is the SHA-256 of the file an imported judgment came in; None for
    work done here.
    """

    __table_args__ = (
        UniqueConstraint("annotator_id", "item_id", "pair_id"),
        # So that how many were judged, and since when, is counted without reading them.
        Index("ix_presentation_submitted", "study_id", "submitted_at"),
        # So that the places that are taken, and how their sides lean, are counted without reading them either.
        Index("ix_presentation_places", "study_id", "state", "item_id", "pair_id", "left_arm_id", "annotator_id"),
        # What one person was handed, which every page of theirs asks for.
        Index("ix_presentation_handed", "study_id", "annotator_id", "state"),
    )

    id: str = Field(default_factory=new_id, primary_key=True)
    study_id: str = Field(foreign_key="study.id", index=True)
    item_id: str = Field(foreign_key="item.id", index=True)
    pair_id: str = Field(foreign_key="pair.id")
    annotator_id: str = Field(foreign_key="user.id")
    left_arm_id: str = Field(foreign_key="arm.id")
    right_arm_id: str = Field(foreign_key="arm.id")
    left_response_id: str = Field(foreign_key="response.id")
    right_response_id: str = Field(foreign_key="response.id")
    side_order_key: str = Field(max_length=64)
    state: PresentationState = Field(default=PresentationState.LEASED, sa_type=checked(PresentationState))
    leased_until: datetime
    created_at: datetime = Field(default_factory=now)
    submitted_at: datetime | None = None
    imported_from: str | None = Field(default=None, max_length=64)


class Revision(SQLModel, table=True):
    """One saved version of an answer. Never updated, never deleted; the last submitted one is the judgment.

    `ratings` is `{"left": {dimension: 1..5}, "right": {...}}`, `acceptability` `{"left": bool, "right": bool}`,
    `strength` 1 (slightly) to 3 (much) where a side is preferred. `reading` is how far each side was read:
    `{"left": 0..1, "right": 0..1, "first_view_ms"}`. Times are milliseconds; -1 in both is an imported judgment whose
    file knew no times, and then the `created_at` of its presentation is unknown as well and holds that of its answer.
    """

    __table_args__ = (
        UniqueConstraint("presentation_id", "number"),
        UniqueConstraint("presentation_id", "idempotency_key"),
        CheckConstraint("kind = 'draft' OR preference IS NOT NULL", name="submitted_has_preference"),
    )

    id: str = Field(default_factory=new_id, primary_key=True)
    presentation_id: str = Field(foreign_key="presentation.id")
    number: int
    idempotency_key: str = Field(max_length=64)
    kind: RevisionKind = Field(sa_type=checked(RevisionKind))
    preference: Preference | None = Field(default=None, sa_type=checked(Preference))
    strength: int | None = None
    acceptability: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    ratings: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    comment: str = ""
    flagged: bool = False
    skip_reason: str = ""
    recognised_model: bool = False
    recognised_guess: str = ""
    reading: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    edit_reason: str = ""
    active_ms: int = 0
    wall_ms: int = 0
    guideline_version: int = 1
    app_version: str = Field(max_length=32)
    created_at: datetime = Field(default_factory=now, index=True)


class Span(SQLModel, table=True):
    """Hallucinated characters of a response, in Unicode code points of its stored text: `text[start:end] == quote`.

    The database itself refuses a span that does not quote its response (migration 0003). `no_evidence` is the answer
    "none of these" to the tuning-set instances shown beside it.
    """

    __table_args__ = (CheckConstraint('"start" >= 0 AND "end" > "start"', name="span_in_order"),)

    id: str = Field(default_factory=new_id, primary_key=True)
    revision_id: str = Field(foreign_key="revision.id", index=True)
    position: int
    side: Side = Field(sa_type=checked(Side))
    start: int
    end: int
    quote: str
    prefix: str
    suffix: str
    type: str = Field(max_length=40)
    severity: Severity = Field(sa_type=checked(Severity))
    note: str = ""
    no_evidence: bool = False


class Evidence(SQLModel, table=True):
    """A tuning-set instance shown beside a span of a presentation, true or decoy, in the order it was shown.

    The id is the opaque token the annotator sees. A span is known by its side and offsets, so an edit of the answer
    keeps the instances it was judged with. `origin` says how a true one was found; nothing sent tells it from a decoy.
    """

    __table_args__ = (UniqueConstraint("presentation_id", "side", "start", "end", "place"),)

    id: str = Field(default_factory=new_id, primary_key=True)
    presentation_id: str = Field(foreign_key="presentation.id")
    side: Side = Field(sa_type=checked(Side))
    start: int
    end: int
    place: int
    set_id: str = Field(foreign_key="tuningset.id")
    position: int
    is_decoy: bool
    origin: str = Field(default="", max_length=40)
    score: float | None = None
    created_at: datetime = Field(default_factory=now)


class EvidenceOpening(SQLModel, table=True):
    """When somebody opened an instance to read it whole; append-only."""

    id: str = Field(default_factory=new_id, primary_key=True)
    evidence_id: str = Field(foreign_key="evidence.id", index=True)
    opened_at: datetime = Field(default_factory=now)


class EvidenceAnswer(SQLModel, table=True):
    """The verdict on one instance, as part of a revision's span."""

    span_id: str = Field(foreign_key="span.id", primary_key=True)
    evidence_id: str = Field(foreign_key="evidence.id", primary_key=True)
    verdict: EvidenceVerdict = Field(sa_type=checked(EvidenceVerdict))
