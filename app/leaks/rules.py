"""The rules of the leak scan: what in a response may tell an annotator who wrote it. Pure.

Offsets are code points of the stored text, and `text[start:end] == quote`. A flag on a whole response has an empty
range.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from app.leaks.house_style import Written, house_style
from app.leaks.patterns import Pattern, load_patterns, names_pattern

# Raised whenever a rule or a pattern changes; responses scanned with an older version count as not scanned.
VERSION = "1"

_ENDINGS = {
    "length": "It was cut off at its token limit.",
    "stopped": "A person stopped it.",
    "failed": "The engine failed before its end.",
}
_FENCE = re.compile(r"^[ ]{0,3}(?P<mark>`{3,}|~{3,}).*$", re.MULTILINE)
_SPACES = re.compile(r"\s+")
_SAME_CHARS = 20
_SAME_PROMPTS = 3
_SAME_ITEMS = 6


@dataclass(frozen=True, slots=True)
class Answer:
    """A response to scan. `compared` arms are held against each other; practice and gold responses are not."""

    id: str
    arm: str
    prompt: str
    text: str
    finish: str = "stop"
    compared: bool = True


@dataclass(frozen=True, slots=True, order=True)
class Flag:
    """Characters of a response that may tell, of a `LeakKind`; `detail` says in words why."""

    answer: str
    kind: str
    start: int
    end: int
    quote: str = field(compare=False)
    detail: str = field(compare=False)


def scan(answers: Sequence[Answer], names: Iterable[str]) -> list[Flag]:
    """Find every flag in a study's responses; `names` are those of its own arms and checkpoints."""
    own = names_pattern(names)
    found = [flag for answer in answers for flag in scan_one(answer, own)]
    compared = [answer for answer in answers if answer.compared]
    found += _sameness(compared)
    found += _house_style(compared)
    return sorted(set(found))


def scan_one(answer: Answer, own: Sequence[Pattern] = ()) -> list[Flag]:
    """Find what a single response tells by itself."""
    groups = load_patterns()
    return [
        *_matches(answer, "self_identification", [*groups["self_identification"], *own]),
        *_matches(answer, "template", groups["template"]),
        *_truncation(answer),
    ]


def _matches(answer: Answer, kind: str, patterns: Iterable[Pattern]) -> Iterator[Flag]:
    lowered = answer.text.lower()
    ranges = sorted(
        (
            (match.start(), match.end(), pattern.detail)
            for pattern in patterns
            if any(need in lowered for need in pattern.needs)
            for match in pattern.compiled.finditer(answer.text)
            if match.group() and not _asked_for(pattern, match.group(), answer.prompt)
        ),
        key=lambda one: (one[0], -one[1]),
    )
    reached = 0
    for start, end, detail in ranges:
        # One statement is one flag: what lies within a longer match says nothing more.
        if end > reached:
            yield Flag(answer.id, kind, start, end, answer.text[start:end], detail)
            reached = end


def _asked_for(pattern: Pattern, quote: str, prompt: str) -> bool:
    """Tell whether the prompt itself says what was found, so that any model would repeat it."""
    return pattern.unless_prompted and quote.strip(" \t\n:").lower() in prompt.lower()


def _truncation(answer: Answer) -> Iterator[Flag]:
    """Flag an answer that is not whole: cut off, empty, or a code fence that is never closed."""
    reason = _ENDINGS.get(answer.finish, "") or ("" if answer.text.strip() else "It is empty.")
    if reason:
        yield Flag(answer.id, "truncation", 0, 0, "", reason)
    opened: re.Match[str] | None = None
    for fence in _FENCE.finditer(answer.text):
        if opened is None:
            opened = fence
        elif fence["mark"].startswith(opened["mark"]) and not fence.group().strip().strip(opened["mark"][0]):
            opened = None
    if opened is not None:
        start, end = opened.span()
        yield Flag(
            answer.id, "truncation", start, end, answer.text[start:end], "A code block begins here and never ends."
        )


def _sameness(answers: Sequence[Answer]) -> Iterator[Flag]:
    """Flag one answer given to many prompts by one arm.

    Many is 3 prompts for an answer of at least 20 characters; for a shorter one, more than half of at least 6 prompts,
    because "Yes." may well be right three times. Spaces and case do not make a difference.
    """
    by_arm: Mapping[str, list[Answer]] = _grouped(answers)
    for said in by_arm.values():
        same: defaultdict[str, list[Answer]] = defaultdict(list)
        for answer in said:
            same[_SPACES.sub(" ", answer.text).strip().casefold()].append(answer)
        for text, group in same.items():
            prompts = len({answer.prompt for answer in group})
            long = len(text) >= _SAME_CHARS and prompts >= _SAME_PROMPTS
            if text and (long or (prompts >= _SAME_ITEMS and 2 * prompts > len(said))):
                detail = f"The same answer to {prompts} of {len(said)} prompts."
                yield from (Flag(answer.id, "sameness", 0, 0, "", detail) for answer in group)


def _house_style(answers: Sequence[Answer]) -> Iterator[Flag]:
    texts = {answer.id: answer.text for answer in answers}
    written = [Written(answer.id, answer.arm, answer.text) for answer in answers]
    for formula in house_style(written):
        start, end = formula.start, formula.end
        yield Flag(formula.answer, "house_style", start, end, texts[formula.answer][start:end], formula.detail)


def _grouped(answers: Iterable[Answer]) -> dict[str, list[Answer]]:
    grouped: defaultdict[str, list[Answer]] = defaultdict(list)
    for answer in answers:
        grouped[answer.arm].append(answer)
    return grouped
