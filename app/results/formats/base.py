"""What the formats of other tools are written from: one judgment with its texts. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

TIES = ("tie_good", "tie_bad")


@dataclass(frozen=True, slots=True)
class Shown:
    """A response as it was shown: by which arm, its text, and how many tokens it has where that is known."""

    model: str
    text: str
    tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """A hallucinated span of one side, in code points."""

    side: str
    start: int
    end: int
    text: str
    type: str
    severity: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """A judgment of a regular item. `preference` is as answered; `excluded` by the study's rules."""

    item_id: str
    presentation_id: str
    annotator: str
    prompt: str
    left: Shown
    right: Shown
    preference: str
    strength: int | None
    handed_at: datetime | None
    submitted_at: datetime
    active_ms: int | None
    excluded: bool
    comment: str = ""
    marks: Sequence[Mark] = ()

    @property
    def active_seconds(self) -> float | None:
        """Return the active time in seconds, None where it is unknown."""
        return None if self.active_ms is None else self.active_ms / 1000

    @property
    def in_order(self) -> tuple[Shown, Shown]:
        """Return both responses, the alphabetically first arm first."""
        return (self.left, self.right) if self.left.model <= self.right.model else (self.right, self.left)

    @property
    def preferred(self) -> tuple[Shown, Shown] | None:
        """Return the preferred response and the other; None where neither side was preferred."""
        return {"left": (self.left, self.right), "right": (self.right, self.left)}.get(self.preference)


class Format(NamedTuple):
    """A file another tool reads, written item by item.

    `left_out` gives the reason why a judgment is not in it, empty where it is. `records` turns the judgments of one
    item that are in it into records, told how many judgments came before; between records stands `between`.
    """

    file: str
    meaning: str
    left_out: Callable[[Comparison], str]
    records: Callable[[Sequence[Comparison], int], list[str]]
    head: str = ""
    between: str = "\n"
    tail: str = "\n"


JSON_LIST = {"head": "[\n", "between": ",\n", "tail": "\n]\n"}


def unjudged(one: Comparison) -> str:
    """Leave out what the rules exclude and what could not be judged."""
    if one.excluded:
        return "excluded by a rule"
    return "could not be judged" if one.preference == "cannot_judge" else ""


def undecided(one: Comparison) -> str:
    """Leave out ties too; nothing decides them."""
    return unjudged(one) or ("tie" if one.preference in TIES else "")


def seconds(moment: datetime) -> float:
    """Return a moment in seconds since 1970; one without a zone is UTC."""
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
