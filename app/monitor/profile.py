"""How one annotator judges: sides, lengths, speed, ties; and what of it looks like a script. Pure.

Sides are drawn at random and balanced, so whoever reads chooses left about half of the time, and changes sides about
as often as not. A count is called out when fair coins would give one as extreme in fewer than 1 of 1,000 cases.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from app.monitor.columns import ANSWERED, NOBODY, Floats, Ints, Sheet
from app.monitor.facts import ANSWERS, TIES, GoldResult
from app.stats.wilson import wilson

UNLIKELY = 0.001
# Two responses cannot be read in less; a page with its texts takes longer than that to take in.
TOO_FAST_S = 3.0
ENOUGH = 5
HARDLY_READ = 0.5
ALWAYS = 8
GOLD_ENOUGH = 2


@dataclass(frozen=True, slots=True)
class Share:
    """`part` of `whole` with its 95 % Wilson interval; without a whole there is none of it."""

    part: int
    whole: int

    @property
    def value(self) -> float | None:
        """The share, None of nothing."""
        return self.part / self.whole if self.whole else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval, None of nothing."""
        return wilson(self.part, self.whole)


@dataclass(frozen=True, slots=True)
class Reading:
    """How far each side was read, 0 to 1, in the mean over regular judgments that say so; None where none does."""

    left: float | None
    right: float | None


@dataclass(frozen=True, slots=True)
class Profile:
    """One annotator's regular judgments. `n` leaves out those they could not judge.

    `left` and `changes` are over answers for a side; `longer` over those whose texts differ in length. `changes` and
    `gap_s` follow the order of work, in which gold items stand among the regular ones. `fast_ms` is the
    longest active time of the fastest tenth, `gap_s` the median seconds between two submissions, by the server's clock;
    judgments imported without their times are in neither.
    `entropy` is that of the four answers in bits, 0 for always the same and 2 for all alike.
    """

    n: int
    left: Share
    longer: Share
    ties: Share
    changes: Share
    median_ms: float | None
    fast_ms: int | None
    gap_s: float | None
    entropy: float | None
    read: Reading
    answers: Mapping[str, int]
    skips: int
    flags: int
    recognised: int


def profile_of(sheet: Sheet, rows: Ints) -> Profile:
    """Describe one annotator from all the rows of theirs, oldest first."""
    columns = sheet.columns
    regular = rows[sheet.regular[rows]]
    judged = rows[sheet.judged[rows]]
    # A gold item looks regular, so whoever alternates does so across them.
    work = rows[(sheet.regular | sheet.gold)[rows]]
    in_order = sheet.side[work][sheet.side[work] != NOBODY]
    counts = np.bincount(columns.preference[judged], minlength=len(ANSWERED))
    answers = {answer: int(count) for answer, count in zip(ANSWERED, counts, strict=True) if count}
    sides = answers.get("left", 0) + answers.get("right", 0)
    comparable = judged[(sheet.side[judged] != NOBODY) & (sheet.longer[judged] != NOBODY)]
    times = np.sort(columns.active_ms[judged[columns.timed[judged]]])
    gaps = np.diff(columns.submitted[work[columns.timed[work]]]) / 1e6
    return Profile(
        n=len(judged),
        left=Share(answers.get("left", 0), sides),
        longer=Share(int(np.sum(sheet.side[comparable] == sheet.longer[comparable])), len(comparable)),
        ties=Share(sum(answers.get(tie, 0) for tie in TIES), len(judged)),
        changes=Share(int(np.sum(in_order[1:] != in_order[:-1])), max(0, len(in_order) - 1)),
        median_ms=float(np.median(times)) if len(times) else None,
        fast_ms=int(times[math.ceil(len(times) / 10) - 1]) if len(times) else None,
        gap_s=float(np.median(gaps)) if len(gaps) else None,
        entropy=_entropy(answers) if answers else None,
        read=Reading(*(_mean(read[judged]) for read in (columns.read_left, columns.read_right))),
        answers=answers,
        skips=len(regular) - len(judged),
        flags=int(np.sum(columns.flagged[regular])),
        recognised=int(np.sum(columns.recognised[regular])),
    )


def _mean(values: Floats) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None


def _entropy(answers: Mapping[str, int]) -> float:
    whole = sum(answers.values())
    bits = -sum(count / whole * math.log2(count / whole) for count in answers.values() if count)
    # A single answer would give minus zero.
    return max(0.0, bits)


def tail(part: int, whole: int) -> float:
    """Probability that `whole` fair coins show `part` heads or more."""
    ways = term = math.comb(whole, part)
    for heads in range(part, whole):
        term = term * (whole - heads) // (heads + 1)
        ways += term
    return float(Fraction(ways, 2**whole))


def warnings_of(profile: Profile, gold: GoldResult) -> list[str]:
    """Say in sentences what of an annotator's work looks like a script, or like nobody read; empty for nothing."""
    return [
        *_same_answer(profile),
        *_alternating(profile),
        *_speed(profile),
        *_reading(profile),
        *_gold(gold),
    ]


def _same_answer(profile: Profile) -> list[str]:
    if profile.n >= ALWAYS and len(profile.answers) == 1:
        (answer,) = profile.answers
        return [f"Always answered {ANSWERS[answer]}: {profile.n} of {profile.n}."]
    left = profile.left
    most, side = max((left.part, "A"), (left.whole - left.part, "B"))
    if left.whole and 2 * tail(most, left.whole) < UNLIKELY:
        return [f"Chose {side} in {most} of {left.whole}; sides are drawn at random, so about half is expected."]
    return []


def _alternating(profile: Profile) -> list[str]:
    changes = profile.changes
    if changes.whole and tail(changes.part, changes.whole) < UNLIKELY:
        how = "Strictly alternates" if changes.part == changes.whole else "Alternates"
        return [f"{how} between A and B: changed side {changes.part} of {changes.whole} times."]
    return []


def _speed(profile: Profile) -> list[str]:
    found = []
    if profile.gap_s is not None and profile.n >= ENOUGH and profile.gap_s < TOO_FAST_S:
        found.append(f"Submits every {profile.gap_s:.1f} s (median), faster than two responses can be read.")
    if profile.median_ms is not None and profile.n >= ENOUGH and profile.median_ms < TOO_FAST_S * 1000:
        found.append(f"Spends {profile.median_ms / 1000:.1f} s of active time on an item (median).")
    return found


def _reading(profile: Profile) -> list[str]:
    sides = [one for one in (profile.read.left, profile.read.right) if one is not None]
    if profile.n >= ENOUGH and sides and min(sides) < HARDLY_READ:
        said = " and ".join(
            f"{100 * one:.0f} % of {name}"
            for name, one in (("A", profile.read.left), ("B", profile.read.right))
            if one is not None
        )
        return [f"Had {said} in view, in the mean."]
    return []


def _gold(gold: GoldResult) -> list[str]:
    wrong = gold.asked - gold.right
    if gold.asked >= GOLD_ENOUGH and 2 * wrong >= gold.asked:
        return [f"Gold: {wrong} of {gold.asked} answered otherwise than expected."]
    return []
