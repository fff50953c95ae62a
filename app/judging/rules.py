"""What a judgment must hold: dimensions, span types, offsets in code points. Pure: text in, verdicts out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

CONTEXT = 32
SIDES = ("left", "right")
SCALE = range(1, 6)


@dataclass(frozen=True, slots=True)
class Dimension:
    """One thing rated from 1 to 5 for each response, with what the two ends mean."""

    name: str
    low: str
    high: str


DIMENSIONS = (
    Dimension("helpfulness", "does not help with what was asked", "does all that was asked"),
    Dimension("clarity", "hard to follow", "well ordered and easy to follow"),
    Dimension("factuality", "wrong where it matters", "every claim holds, as far as you can tell"),
    Dimension("depth", "barely touches the question", "goes as deep as the question deserves"),
    Dimension("engagement", "stiff or robotic", "natural and pleasant to read"),
)
DIMENSION_NAMES = tuple(dimension.name for dimension in DIMENSIONS)

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


def anchor_spans(spans: Iterable[MarkedSpan], texts: Mapping[str, str]) -> list[AnchoredSpan]:
    """Check every span against the stored text of its side and take its surroundings from there.

    Python counts strings in code points, as the offsets do. Raises BadSpanError; nothing is moved or trimmed to fit.
    """
    return [_anchor(number, span, texts[span.side]) for number, span in enumerate(spans, start=1)]


def _anchor(number: int, span: MarkedSpan, text: str) -> AnchoredSpan:
    if not 0 <= span.start < span.end <= len(text):
        raise BadSpanError(
            f"Span {number} covers {span.start} to {span.end}, but that response has {len(text)} characters."
        )
    if text[span.start : span.end] != span.quote:
        raise BadSpanError(f"Span {number} does not quote the response: its text stands elsewhere.")
    return AnchoredSpan(
        side=span.side,
        start=span.start,
        end=span.end,
        quote=span.quote,
        type=span.type,
        severity=span.severity,
        note=span.note,
        prefix=text[max(0, span.start - CONTEXT) : span.start],
        suffix=text[span.end : span.end + CONTEXT],
    )


def missing_answers(preference: str | None, ratings: Mapping[str, Mapping[str, int]], skip_reason: str) -> list[str]:
    """Name what a judgment still lacks before it can be submitted, in page order; empty means complete.

    Someone who cannot judge owes a reason and nothing else.
    """
    if preference == "cannot_judge":
        return [] if skip_reason.strip() else ["why you cannot judge"]
    missing = [
        f"{dimension} of {label}"
        for side, label in zip(SIDES, ("A", "B"), strict=True)
        for dimension in DIMENSION_NAMES
        if dimension not in ratings.get(side, {})
    ]
    return missing if preference else [*missing, "which response is better"]


def ordered_ratings(ratings: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
    """Put ratings in the one order they are stored and exported in: left before right, dimensions as listed."""
    return {
        side: {name: ratings[side][name] for name in DIMENSION_NAMES if name in ratings.get(side, {})} for side in SIDES
    }
