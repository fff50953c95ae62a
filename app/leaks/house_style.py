"""Opening and closing formulas that most of one arm's responses share and the others do not. Pure."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import comb

_WORD = re.compile(r"\S+")
LONGEST = 12
SHARE_WITHIN = 0.6
SHARE_ELSEWHERE = 0.1
P_VALUE = 0.002


@dataclass(frozen=True, slots=True)
class Written:
    """A response and the arm that wrote it."""

    id: str
    arm: str
    text: str


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula as it stands in one response, at code points `start` to `end`."""

    answer: str
    start: int
    end: int
    detail: str


def house_style(written: Sequence[Written]) -> Iterator[Formula]:
    """Find each arm's opening and closing formula.

    A formula is the first (or last) words of a response, 1 to 12 of them, case ignored. It is a house style when at
    least 60 % of the arm's responses share it, at most 10 % of all other arms' responses do, and Fisher's exact test
    (one-sided) of the arm against the others gives p <= 0.002; so fewer than six responses a side are never enough.
    The longest such formula is flagged, in every response that has it. A study of one arm has none.
    """
    arms: defaultdict[str, list[Written]] = defaultdict(list)
    for one in written:
        arms[one.arm].append(one)
    for closing in (False, True):
        words = {one.id: _words(one.text, closing=closing) for one in written}
        counts = {arm: _counts(words[one.id] for one in said) for arm, said in arms.items()}
        for arm, said in arms.items():
            formula = _formula(arm, counts, {name: len(those) for name, those in arms.items()})
            if formula:
                yield from _standing(said, words, formula, closing=closing)


def _words(text: str, *, closing: bool) -> tuple[tuple[str, int, int], ...]:
    """Return up to twelve words from one end inwards, each with its range."""
    if closing:
        # Twelve words from the end, without reading the rest of a long text.
        tail = len(text) - min(len(text), 400)
        found = [(m.group(), m.start() + tail, m.end() + tail) for m in _WORD.finditer(text[tail:])][-LONGEST:][::-1]
    else:
        found = []
        for match in _WORD.finditer(text):
            found.append((match.group(), match.start(), match.end()))
            if len(found) == LONGEST:
                break
    return tuple((word.casefold(), start, end) for word, start, end in found)


def _counts(said: Iterator[tuple[tuple[str, int, int], ...]]) -> Counter[tuple[str, ...]]:
    counts: Counter[tuple[str, ...]] = Counter()
    for words in said:
        spelled = tuple(word for word, _, _ in words)
        counts.update(spelled[:length] for length in range(1, len(spelled) + 1))
    return counts


def _formula(arm: str, counts: dict[str, Counter[tuple[str, ...]]], sizes: dict[str, int]) -> tuple[str, ...]:
    """Return the longest formula that is this arm's own; empty for none."""
    n, rest = sizes[arm], sum(sizes.values()) - sizes[arm]
    if not rest:
        return ()
    shared = [formula for formula, count in counts[arm].items() if count >= SHARE_WITHIN * n]
    for formula in sorted(shared, key=len, reverse=True):
        here = counts[arm][formula]
        elsewhere = sum(count[formula] for name, count in counts.items() if name != arm)
        if elsewhere <= SHARE_ELSEWHERE * rest and fisher(here, n, elsewhere, rest) <= P_VALUE:
            return formula
    return ()


def _standing(
    said: Sequence[Written],
    words: dict[str, tuple[tuple[str, int, int], ...]],
    formula: tuple[str, ...],
    *,
    closing: bool,
) -> Iterator[Formula]:
    having = [one for one in said if tuple(word for word, _, _ in words[one.id][: len(formula)]) == formula]
    detail = f"{len(having)} of this arm's {len(said)} responses {'end' if closing else 'begin'} so, others hardly do."
    for one in having:
        ranges = words[one.id][: len(formula)]
        yield Formula(one.id, min(start for _, start, _ in ranges), max(end for _, _, end in ranges), detail)


def fisher(here: int, n: int, elsewhere: int, rest: int) -> float:
    """One-sided exact p: the chance of at least `here` of `n` when all that have it fall at random among `n + rest`."""
    marked = here + elsewhere
    ways = sum(comb(n, k) * comb(rest, marked - k) for k in range(here, min(n, marked) + 1))
    return ways / comb(n + rest, marked)
