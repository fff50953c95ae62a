"""What a study asks of its annotators: read from and written to the study's JSON column. Pure.

A study from before questions could be chosen has an empty column and asks what all studies asked then: five
dimensions, hallucination spans and the preference.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

SCALE = range(1, 6)
STRENGTHS = {1: "slightly", 2: "clearly", 3: "much"}


@dataclass(frozen=True, slots=True)
class Dimension:
    """One thing rated from 1 to 5 for each response: its machine name, and what each of the five values means."""

    name: str
    title: str
    anchors: tuple[str, str, str, str, str]

    @property
    def low(self) -> str:
        """What 1 means."""
        return self.anchors[0]

    @property
    def high(self) -> str:
        """What 5 means."""
        return self.anchors[-1]


FIVE_DIMENSIONS = (
    Dimension(
        "helpfulness",
        "Helpfulness",
        (
            "does not help with what was asked",
            "helps with a small part of it",
            "helps with about half",
            "does nearly all that was asked",
            "does all that was asked",
        ),
    ),
    Dimension(
        "clarity",
        "Clarity",
        (
            "hard to follow",
            "follows only with effort",
            "clear in most places",
            "clear, with small slips",
            "well ordered and easy to follow",
        ),
    ),
    Dimension(
        "factuality",
        "Factuality",
        (
            "wrong where it matters",
            "several claims are wrong",
            "one or two doubtful claims",
            "right but for a detail",
            "every claim holds, as far as you can tell",
        ),
    ),
    Dimension(
        "depth",
        "Depth",
        (
            "barely touches the question",
            "stays on the surface",
            "covers the main point",
            "explains most of what matters",
            "goes as deep as the question deserves",
        ),
    ),
    Dimension(
        "engagement",
        "Engagement",
        (
            "stiff or robotic",
            "dull in most places",
            "neither dull nor lively",
            "pleasant for the most part",
            "natural and pleasant to read",
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class EvidenceQuestion:
    """Beside each marked span: `k` instances found for it in a tuning set and as many `decoys` drawn from the set."""

    set_id: str
    k: int = 3
    decoys: int = 3


@dataclass(frozen=True, slots=True)
class Questions:
    """All a study asks. The preference is always asked; `recognised` is "item", "end" or "" (not asked)."""

    dimensions: tuple[Dimension, ...] = FIVE_DIMENSIONS
    strength: bool = False
    acceptability: bool = False
    spans: bool = True
    evidence: EvidenceQuestion | None = None
    recognised: str = "item"
    names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Keep the dimensions' names at hand."""
        object.__setattr__(self, "names", tuple(dimension.name for dimension in self.dimensions))


def read_questions(column: Mapping[str, Any]) -> Questions:
    """Read a study's column; an empty one is what studies asked before they could choose."""
    if not column:
        return Questions()
    dimensions = tuple(Dimension(one["name"], one["title"], tuple(one["anchors"])) for one in column["dimensions"])
    evidence = column.get("evidence")
    return Questions(
        dimensions=dimensions,
        strength=bool(column["strength"]),
        acceptability=bool(column["acceptability"]),
        spans=bool(column["spans"]),
        evidence=EvidenceQuestion(**evidence) if evidence else None,
        recognised=str(column["recognised"]),
    )


def write_questions(questions: Questions) -> dict[str, Any]:
    """Write questions as the study's column; `read_questions` gives the same ones back."""
    column = asdict(questions)
    del column["names"]
    return column
