"""What a judgment must hold: answers, span types, offsets in code points. Pure: text in, verdicts out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from app.studies.questions import Questions

CONTEXT = 32
SIDES = ("left", "right")
LETTERS = {"left": "A", "right": "B"}

SPAN_TYPES: dict[str, str] = {
    "wrong_fact": "wrong fact",
    "invented": "invented name, number or source",
    "contradiction": "contradicts the prompt or itself",
    "unsupported": "claim nobody could check",
    "other": "something else",
}


class BadSpanError(ValueError):
    """A span does not fit the stored text; the message names which one and why."""


@dataclass(frozen=True, slots=True)
class MarkedSpan:
    """A span as the page sends it: code-point offsets into the stored text of one side, and the text it saw there."""

    side: str
    start: int
    end: int
    quote: str
    type: str
    severity: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class AnchoredSpan(MarkedSpan):
    """A span that fits, with up to 32 code points of the stored text on either side."""

    prefix: str = ""
    suffix: str = ""


def anchor_spans(
    spans: Iterable[MarkedSpan], shown: Mapping[str, str], stored: Mapping[str, str]
) -> list[AnchoredSpan]:
    """Check every span against the text its side shows, and quote it and its surroundings from the stored one.

    The two differ only where characters are hidden, one for one. Python counts strings in code points, as the offsets
    do. Raises BadSpanError; nothing is moved or trimmed to fit.
    """
    return [_anchor(number, span, shown[span.side], stored[span.side]) for number, span in enumerate(spans, start=1)]


def _anchor(number: int, span: MarkedSpan, shown: str, stored: str) -> AnchoredSpan:
    if not 0 <= span.start < span.end <= len(shown):
        raise BadSpanError(
            f"Span {number} covers {span.start} to {span.end}, but that response has {len(shown)} characters."
        )
    if shown[span.start : span.end] != span.quote:
        raise BadSpanError(f"Span {number} does not quote the response: its text stands elsewhere.")
    return AnchoredSpan(
        side=span.side,
        start=span.start,
        end=span.end,
        quote=stored[span.start : span.end],
        type=span.type,
        severity=span.severity,
        note=span.note,
        prefix=stored[max(0, span.start - CONTEXT) : span.start],
        suffix=stored[span.end : span.end + CONTEXT],
    )


@dataclass(frozen=True, slots=True)
class Given:
    """The answers that a study's questions are about.

    `spans` counts marks, `verdicts` what was said of instances beside them.
    """

    preference: str | None = None
    strength: int | None = None
    ratings: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    acceptability: Mapping[str, bool] = field(default_factory=dict)
    spans: int = 0
    verdicts: int = 0
    recognised: bool = False
    skip_reason: str = ""


def unasked_answer(questions: Questions, given: Given) -> str:
    """Name the first answer to something the study does not ask, and what it asks instead; empty when there is none."""
    for side in SIDES:
        for name in given.ratings.get(side, {}):
            if name not in questions.names:
                asked = ", ".join(questions.names) or "none"
                return f"ratings.{side}.{name[:60]}: this study does not rate it. It rates: {asked}."
    if given.strength is not None and given.preference not in SIDES:
        return "strength: it goes with a preference for left or right only."
    unasked = (
        ("strength", given.strength is not None and not questions.strength),
        ("acceptability", bool(given.acceptability) and not questions.acceptability),
        ("spans", bool(given.spans) and not questions.spans),
        ("evidence", bool(given.verdicts) and questions.evidence is None),
        ("recognised_model", given.recognised and questions.recognised != "item"),
    )
    return next((f"{name}: this study does not ask for it here." for name, wrong in unasked if wrong), "")


def missing_answers(questions: Questions, given: Given) -> list[str]:
    """Name what a judgment still lacks before it can be submitted, in page order; empty means complete.

    Someone who cannot judge owes a reason and nothing else.
    """
    if given.preference == "cannot_judge":
        return [] if given.skip_reason.strip() else ["why you cannot judge"]
    missing = []
    for side in SIDES:
        rated = given.ratings.get(side, {})
        missing += [
            f"{in_a_sentence(dimension.title)} of {LETTERS[side]}"
            for dimension in questions.dimensions
            if dimension.name not in rated
        ]
        if questions.acceptability and side not in given.acceptability:
            missing.append(f"whether {LETTERS[side]} is acceptable")
    return missing if given.preference else [*missing, "which response is better"]


def in_a_sentence(title: str) -> str:
    """Write a title as it reads inside a sentence; an abbreviation keeps its capitals."""
    return title[:1].lower() + title[1:] if title[1:2].islower() else title


def ordered_ratings(names: Iterable[str], ratings: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
    """Put ratings in the one order they are stored and exported in: left before right, dimensions as the study asks."""
    order = tuple(names)
    return {side: {name: ratings[side][name] for name in order if name in ratings.get(side, {})} for side in SIDES}
