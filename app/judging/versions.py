"""Two versions of one answer side by side, for a page without scripts. Pure; the script's own words are the same."""

from collections.abc import Mapping
from dataclasses import dataclass

from app.judging.blind import BlindAnswer, BlindQuestions, BlindSpan
from app.judging.forms import SentAnswer
from app.judging.rules import SPAN_TYPES
from app.studies.questions import STRENGTHS

_LETTERS = {"left": "A", "right": "B"}
_PREFERENCES = {
    "left": "A is better",
    "right": "B is better",
    "tie_good": "both good",
    "tie_bad": "both bad",
    "cannot_judge": "cannot judge",
}
_NOTHING = "\N{EN DASH}"


@dataclass(frozen=True, slots=True)
class Said:
    """One thing an answer says, in both versions, in words."""

    name: str
    mine: str
    other: str

    @property
    def differs(self) -> bool:
        """Whether the two say different things."""
        return self.mine != self.other


def side_by_side(questions: BlindQuestions, mine: SentAnswer, other: BlindAnswer) -> list[Said]:
    """List everything either version says, in page order. A form leaves the marks alone, so both have the same."""
    sent = BlindAnswer(
        preference=mine.preference or "",
        strength=mine.strength,
        acceptability=mine.acceptable(),
        ratings=mine.by_side(),
        spans=other.spans,
        comment=mine.comment.strip(),
        flagged=mine.flagged,
        skip_reason=mine.skip_reason.strip() if mine.is_skip else "",
        recognised_model=mine.recognised_model,
        recognised_guess=mine.recognised_guess.strip(),
    )
    both = zip(_lines(questions, sent).items(), _lines(questions, other).values(), strict=True)
    found = (Said(name, mine_said or _NOTHING, other_said or _NOTHING) for (name, mine_said), other_said in both)
    return [said for said in found if (said.mine, said.other) != (_NOTHING, _NOTHING)]


def _lines(questions: BlindQuestions, answer: BlindAnswer) -> dict[str, str]:
    found: dict[str, str] = {}
    for side, letter in _LETTERS.items():
        rated = answer.ratings.get(side, {})
        for dimension in questions.dimensions:
            found[f"{dimension.title} of {letter}"] = str(rated.get(dimension.name, ""))
        if questions.acceptability:
            found[f"{letter} acceptable"] = _yes_or_no(answer.acceptability, side)
    for side, letter in _LETTERS.items():
        found[f"Marked in {letter}"] = "\n".join(_mark(span) for span in answer.spans if span.side == side)
    return found | {
        "Preference": _PREFERENCES.get(answer.preference, ""),
        "By how much": STRENGTHS.get(answer.strength or 0, ""),
        "Why not judged": answer.skip_reason,
        "Comment": answer.comment,
        "Flagged": "yes" if answer.flagged else "",
        "Recognised a model": (answer.recognised_guess or "yes") if answer.recognised_model else "",
    }


def _yes_or_no(given: Mapping[str, bool], side: str) -> str:
    return {True: "yes", False: "no", None: ""}[given.get(side)]


def _mark(span: BlindSpan) -> str:
    note = f": {span.note}" if span.note else ""
    return f"“{span.quote}” ({span.severity}, {SPAN_TYPES[span.type]}{note})"
