"""What is known of one judgment while a study runs, and how it reads as an outcome. Pure."""

from dataclasses import dataclass
from datetime import datetime

REGULAR, GOLD = "regular", "gold"
SIDES = ("left", "right")
TIES = ("tie_good", "tie_bad")
SKIP = "cannot_judge"
ANSWERS = {
    "left": "A",
    "right": "B",
    "tie_good": "tie, both good",
    "tie_bad": "tie, both bad",
    SKIP: "cannot judge",
}


@dataclass(frozen=True, slots=True)
class Vote:
    """The revision that counts of one presentation, submitted or skipped. Times are aware, UTC.

    `submitted_at` is when it was first submitted. `expected` is the answer of a practice or gold item, and
    `better_arm_id` the arm meant by `better`.
    """

    presentation_id: str
    annotator_id: str
    item_id: str
    item_kind: str
    pair_id: str
    left_arm_id: str
    right_arm_id: str
    left_response_id: str
    right_response_id: str
    preference: str
    active_ms: int
    handed_at: datetime
    submitted_at: datetime
    recognised: bool = False
    guess: str = ""
    flagged: bool = False
    comment: str = ""
    skip_reason: str = ""
    guideline_version: int = 1
    expected: str = ""
    better_arm_id: str = ""

    @property
    def chosen_arm_id(self) -> str:
        """The arm preferred; empty for a tie or no judgment."""
        return {"left": self.left_arm_id, "right": self.right_arm_id}.get(self.preference, "")


@dataclass(frozen=True, slots=True)
class GoldResult:
    """How one annotator did on gold items: how many were right of those asked."""

    asked: int = 0
    right: int = 0


def is_right(vote: Vote) -> bool:
    """Tell whether a gold item was answered as expected; to be unable to judge one is not."""
    if vote.expected == "better":
        return bool(vote.better_arm_id) and vote.chosen_arm_id == vote.better_arm_id
    return vote.preference == vote.expected
