"""What a study is to be, checked and complete: the value a form, a preset and a copy all become. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from app.studies.questions import Questions

EXPECTED = {"better": "the better one wins", "tie_good": "both are good", "tie_bad": "both are bad"}
SPECIAL_ARMS = ("better", "worse")


@dataclass(frozen=True, slots=True)
class NewArm:
    """An arm to be: its name in exports, the checkpoint that answers (empty: imported), and its decoding."""

    name: str
    checkpoint: str
    decoding: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CheckQuestion:
    """A question of the comprehension check; `right` is the 0-based right choice."""

    question: str
    choices: tuple[str, ...]
    right: int
    why: str

    def as_column(self) -> dict[str, Any]:
        """Write it as the study's column holds it."""
        return {"question": self.question, "choices": list(self.choices), "right": self.right, "why": self.why}


@dataclass(frozen=True, slots=True)
class KnownItem:
    """A practice or gold item: a prompt, two texts, which answer is expected, and why."""

    kind: str
    prompt: str
    better: str
    worse: str
    expected: str = "better"
    why: str = ""


@dataclass(frozen=True, slots=True)
class Design:
    """A whole study. `prompts` None keeps those stored; pairs are of arm names; an empty seed is drawn.

    `strata` has the stratum of each prompt that has one. `sample_n` items, drawn under the seed, are wanted
    `sample_overlap` times instead of `overlap` times.
    """

    name: str = ""
    slug: str = ""
    seed: str = ""
    preset: str = ""
    prompts: tuple[str, ...] | None = ()
    strata: Mapping[str, str] = field(default_factory=dict)
    arms: tuple[NewArm, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()
    questions: Questions = field(default_factory=Questions)
    comprehension: tuple[CheckQuestion, ...] = ()
    known_items: tuple[KnownItem, ...] = ()
    overlap: int = 2
    sample_n: int = 0
    sample_overlap: int = 0
    per_annotator: int | None = None
    repeat_items: bool = False
    target: int | None = None
    ends_at: datetime | None = None
    guidelines: str = ""
    withdrawal: str = "keep"
    completion_code: str = ""
    allow_holes: bool = False


def every_pair(names: tuple[str, ...] | list[str]) -> list[tuple[str, str]]:
    """Pair each name with each other, once."""
    return [(first, second) for at, first in enumerate(names) for second in names[at + 1 :]]


def lacking(*, prompts: int, arms: int, pairs: int) -> list[str]:
    """Say what a study still needs before it can be judged; responses are another matter."""
    needs = {
        "It has no prompts.": prompts < 1,
        "It needs two arms to compare.": arms < 2,  # noqa: PLR2004  a comparison is of two
        "No pair of arms is chosen.": pairs < 1,
    }
    return [sentence for sentence, missing in needs.items() if missing]
