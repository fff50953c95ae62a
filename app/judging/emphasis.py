"""Which runs of `*`, `_` and `~` in a line are emphasis. Pure; each run is looked at once."""

import unicodedata
from collections import defaultdict
from dataclasses import dataclass

Style = tuple[int, int, str]

_LONGEST = 3
_STRIKES = 2
_KINDS = {1: "em", 2: "strong"}


@dataclass(frozen=True, slots=True)
class _Run:
    """A run of one marker, and what may become of it by the characters around it."""

    char: str
    start: int
    end: int
    opens: bool
    closes: bool

    @property
    def length(self) -> int:
        return self.end - self.start


def emphasis(text: str, runs: list[tuple[int, int]], start: int, end: int) -> list[Style]:
    """Pair the runs of a stretch of text: strong, em and strike with their marks. What has no partner is left out."""
    found: list[Style] = []
    open_runs: list[_Run] = []
    places: dict[tuple[str, int], list[int]] = defaultdict(list)
    for run in (_run(text, span, start, end) for span in runs if _may_mark(text, span)):
        opening = _opening(open_runs, places, run) if run.closes else None
        if opening is not None:
            found += _styles(text, opening, run)
        elif run.opens:
            places[run.char, run.length].append(len(open_runs))
            open_runs.append(run)
    return found


def _may_mark(text: str, span: tuple[int, int]) -> bool:
    length = span[1] - span[0]
    # One tilde is more often "about".
    return length == _STRIKES if text[span[0]] == "~" else length <= _LONGEST


def _opening(open_runs: list[_Run], places: dict[tuple[str, int], list[int]], run: _Run) -> _Run | None:
    """Take the nearest open run of the same kind; those inside it that nothing closed are given up."""
    same = places[run.char, run.length]
    if not same:
        return None
    at = same[-1]
    opening = open_runs[at]
    while len(open_runs) > at:
        given_up = open_runs.pop()
        places[given_up.char, given_up.length].pop()
    return opening


def _styles(text: str, opening: _Run, closing: _Run) -> list[Style]:
    start, end, length = opening.start, closing.end, opening.length
    inside = text[opening.end : closing.start]
    if opening.char == "_" and length > 1 and inside.isidentifier() and inside.islower():
        # More often a Python name, such as __init__, than a strong word.
        return []
    if length < _LONGEST:
        kind = "strike" if opening.char == "~" else _KINDS[length]
        return [(start, end, kind), *_marks(start, end, length)]
    inner = (start + 1, end - 1)
    return [(start, end, "em"), *_marks(start, end, 1), (*inner, "strong"), *_marks(*inner, 2)]


def _marks(start: int, end: int, length: int) -> list[Style]:
    return [(start, start + length, "mark"), (end - length, end, "mark")]


def _run(text: str, span: tuple[int, int], start: int, end: int) -> _Run:
    """Judge a run by its neighbours, as CommonMark does, and a lone `*` inside a word as it does `_`."""
    before = text[span[0] - 1] if span[0] > start else " "
    after = text[span[1]] if span[1] < end else " "
    left = not after.isspace() and (not _is_punctuation(after) or before.isspace() or _is_punctuation(before))
    right = not before.isspace() and (not _is_punctuation(before) or after.isspace() or _is_punctuation(after))
    char = text[span[0]]
    if char == "_" or span[1] - span[0] == 1:
        inside_word = before.isalnum() and after.isalnum()
        left, right = left and not inside_word, right and not inside_word
        if char == "_":
            left = left and (not right or _is_punctuation(before))
            right = right and (not left or _is_punctuation(after))
    return _Run(char, *span, opens=left, closes=right)


def _is_punctuation(char: str) -> bool:
    return unicodedata.category(char)[0] in "PS"
