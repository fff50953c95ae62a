"""All that an annotator's page may know. Pure, and blind by construction: there is no field a checkpoint could be in.

The queries that read a judging page select texts by side and build these types; templates and JSON of annotator routes
take nothing else.
"""

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field

MASK = "█"


@dataclass(frozen=True, slots=True)
class BlindResponse:
    """A response as an annotator sees it. `complete` is false where generation ended before the text did.

    `styles` are ranges of Markdown over `text`, as `app.judging.markup.styles_of` finds them.
    """

    text: str
    complete: bool
    styles: tuple[tuple[int, int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class BlindDimension:
    """One thing to rate: its machine name, its title, and what each value from 1 to 5 means."""

    name: str
    title: str
    anchors: tuple[str, ...]

    @property
    def low(self) -> str:
        """What 1 means."""
        return self.anchors[0]

    @property
    def high(self) -> str:
        """What 5 means."""
        return self.anchors[-1]


@dataclass(frozen=True, slots=True)
class BlindQuestions:
    """What the study asks beside the preference; `evidence` says only whether instances stand beside marked spans."""

    dimensions: tuple[BlindDimension, ...]
    strength: bool
    acceptability: bool
    spans: bool
    evidence: bool
    recognised: str


@dataclass(frozen=True, slots=True)
class BlindVerdict:
    """What the annotator said of one instance beside a span; the id is drawn at random."""

    id: str
    verdict: str


@dataclass(frozen=True, slots=True)
class BlindInstance:
    """A tuning-set instance beside a span: `id` is drawn at random, `verdict` empty until the annotator gave one."""

    id: str
    place: int
    instruction: str
    answer: str
    verdict: str


@dataclass(frozen=True, slots=True)
class BlindSpan:
    """A span the annotator marked, in code points over `BlindResponse.text`, and what they said of its instances."""

    side: str
    start: int
    end: int
    quote: str
    type: str
    severity: str
    note: str
    evidence: tuple[BlindVerdict, ...] = ()
    no_evidence: bool = False


@dataclass(frozen=True, slots=True)
class BlindAnswer:
    """What the annotator saved last; `revision` 0 means nothing yet. Times in milliseconds, `saved_at` ISO 8601."""

    revision: int = 0
    saved_at: str = ""
    preference: str = ""
    strength: int | None = None
    acceptability: dict[str, bool] = field(default_factory=dict)
    ratings: dict[str, dict[str, int]] = field(default_factory=dict)
    spans: tuple[BlindSpan, ...] = ()
    comment: str = ""
    flagged: bool = False
    skip_reason: str = ""
    recognised_model: bool = False
    recognised_guess: str = ""
    reading: dict[str, float] = field(default_factory=dict)
    edit_reason: str = ""
    active_ms: int = 0
    wall_ms: int = 0


@dataclass(frozen=True, slots=True)
class BlindItem:
    """One judging page: a prompt, two texts called A (left) and B (right), and the annotator's own answer so far.

    `token` is drawn at random per presentation, so it cannot be linked to another annotator's or another item's.
    `pace_ms` is the median active time of the annotator's own judgments in this study, 0 before the first;
    `guideline_changed` tells that the guidelines are newer than what they last read or judged by; `lease_s` is how long
    the item stays reserved. A gold item differs in none of this from a regular one.
    """

    token: str
    study: str
    study_id: str
    prompt: str
    left: BlindResponse
    right: BlindResponse
    questions: BlindQuestions
    guidelines: str
    guideline_version: int
    guideline_changed: bool
    position: int
    total: int
    practice: bool
    submitted: bool
    open: bool
    previous: str
    next: str
    answer: BlindAnswer
    outbox: str
    pace_ms: int
    shortcuts: dict[str, str]
    lease_s: int


def masked(text: str, ranges: Iterable[tuple[int, int]]) -> str:
    """Hide characters one for one, so that every offset stays true."""
    for start, end in ranges:
        text = text[:start] + MASK * (min(end, len(text)) - start) + text[end:]
    return text


def outbox_name(secret: str, *, user_id: str, token: str) -> str:
    """Name the browser's store for unsent work: the same for one person and item, meaningless to anybody else."""
    return hmac.new(secret.encode(), f"outbox {user_id} {token}".encode(), hashlib.sha256).hexdigest()[:24]


def is_complete(finish: str) -> bool:
    """Tell whether a response is whole; every other ending looks the same to an annotator.

    One that was not generated here (`given`) is as whole as it came.
    """
    return finish in {"stop", "given"}
