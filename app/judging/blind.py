"""All that an annotator's page may know. Pure, and blind by construction: there is no field a checkpoint could be in.

The queries that read a judging page select texts by side and build these types; templates and JSON of annotator routes
take nothing else.
"""

import hashlib
import hmac
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class BlindResponse:
    """A response as an annotator sees it. `complete` is false where generation ended before the text did."""

    text: str
    complete: bool


@dataclass(frozen=True, slots=True)
class BlindSpan:
    """A span the annotator marked, in code points over `BlindResponse.text`."""

    side: str
    start: int
    end: int
    quote: str
    type: str
    severity: str
    note: str


@dataclass(frozen=True, slots=True)
class BlindAnswer:
    """What the annotator saved last; `revision` 0 means nothing yet. Times in milliseconds, `saved_at` ISO 8601."""

    revision: int = 0
    saved_at: str = ""
    preference: str = ""
    ratings: dict[str, dict[str, int]] = field(default_factory=dict)
    spans: tuple[BlindSpan, ...] = ()
    comment: str = ""
    flagged: bool = False
    skip_reason: str = ""
    recognised_model: bool = False
    active_ms: int = 0
    wall_ms: int = 0


@dataclass(frozen=True, slots=True)
class BlindItem:
    """One judging page: a prompt, two texts called A (left) and B (right), and the annotator's own answer so far.

    `token` is drawn at random per presentation, so it cannot be linked to another annotator's or another item's.
    """

    token: str
    study: str
    prompt: str
    left: BlindResponse
    right: BlindResponse
    guidelines: str
    guideline_version: int
    position: int
    total: int
    submitted: bool
    open: bool
    previous: str
    next: str
    answer: BlindAnswer
    outbox: str


def outbox_name(secret: str, *, user_id: str, token: str) -> str:
    """Name the browser's store for unsent work: the same for one person and item, meaningless to anybody else."""
    return hmac.new(secret.encode(), f"outbox {user_id} {token}".encode(), hashlib.sha256).hexdigest()[:24]


def is_complete(finish: str) -> bool:
    """Tell whether a response ended by itself; every other ending looks the same to an annotator."""
    return finish == "stop"
