"""Borrowing rates of a study's arms with intervals, and their paired differences. Pure: numbers in, numbers out.

A rate is pooled: tokens found over tokens counted, over all responses of an arm. Its excess takes off what random
instances of the set would give: (found - expected) / counted. Intervals draw whole items (`app.stats.bootstrap`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from app.stats.bootstrap import Interval, paired_difference, rate

KINDS = ("shifted", "content", "unshifted", "unshifted_content")


@dataclass(frozen=True, slots=True)
class Measured:
    """What is known of one response: per kind of token (tokens, found, expected share); numbers None where unknown.

    `verbatim` of its `characters` (code points) lie in verbatim spans.
    """

    item: str
    kinds: Mapping[str, tuple[int, int | None, float | None]]
    verbatim: int
    characters: int


@dataclass(frozen=True, slots=True)
class Rates:
    """One kind of token in one arm: found share, expected share and their difference, in `responses` responses."""

    found: Interval
    expected: float | None
    excess: Interval
    responses: int


@dataclass(frozen=True, slots=True)
class ArmRates:
    """An arm: rates by kind of token, and the share of its characters in verbatim spans."""

    arm: str
    kinds: Mapping[str, Rates]
    verbatim: Interval
    responses: int


@dataclass(frozen=True, slots=True)
class Difference:
    """First arm less second arm over the items both answered: of the found share, and of the excess."""

    first: str
    second: str
    found: Interval
    excess: Interval
    items: int


def arm_rates(arm: str, measured: Sequence[Measured]) -> ArmRates:
    """Summarise one arm."""
    items = sorted({one.item for one in measured})
    verbatim = _sums(items, [(one.item, one.verbatim, one.characters) for one in measured])
    return ArmRates(
        arm=arm,
        kinds={kind: _rates(measured, kind) for kind in KINDS},
        verbatim=rate(*verbatim),
        responses=len(measured),
    )


def _rates(measured: Sequence[Measured], kind: str) -> Rates:
    known = _known(measured, kind)
    items = sorted({item for item, *_ in known})
    tokens = sum(n for _, n, _, _ in known)
    chance = sum(expected for *_, expected in known)
    return Rates(
        found=rate(*_sums(items, [(item, found, n) for item, n, found, _ in known])),
        expected=chance / tokens if tokens else None,
        excess=rate(*_sums(items, [(item, found - expected, n) for item, n, found, expected in known])),
        responses=len(known),
    )


def differences(arms: Mapping[str, Sequence[Measured]], kind: str = "shifted") -> tuple[Difference, ...]:
    """Compare every two arms, in the order given, over the items of which both have a number."""
    return tuple(_difference(arms, first, second, kind) for first, second in combinations(arms, 2))


def _difference(arms: Mapping[str, Sequence[Measured]], first: str, second: str, kind: str) -> Difference:
    one, other = _known(arms[first], kind), _known(arms[second], kind)
    items = sorted({item for item, *_ in one} & {item for item, *_ in other})
    sides = [
        (
            _sums(items, [(item, found, n) for item, n, found, _ in side]),
            _sums(items, [(item, found - expected, n) for item, n, found, expected in side]),
        )
        for side in (one, other)
    ]
    return Difference(
        first=first,
        second=second,
        found=paired_difference(sides[0][0], sides[1][0]),
        excess=paired_difference(sides[0][1], sides[1][1]),
        items=len(items),
    )


def _known(measured: Sequence[Measured], kind: str) -> list[tuple[str, int, int, float]]:
    """List (item, tokens, found, expected tokens) of the responses that have numbers."""
    rows = []
    for one in measured:
        tokens, found, expected = one.kinds[kind]
        if found is not None and expected is not None:
            rows.append((one.item, tokens, found, expected * tokens))
    return rows


def _sums(items: Sequence[str], rows: Sequence[tuple[str, float, float]]) -> tuple[list[float], list[float]]:
    """Sum parts and wholes by item, in the order of `items`; rows of other items are left out."""
    part, whole = dict.fromkeys(items, 0.0), dict.fromkeys(items, 0.0)
    for item, some, of in rows:
        if item in part:
            part[item] += some
            whole[item] += of
    return list(part.values()), list(whole.values())
