"""How one annotator judges: sides, lengths, speed, ties; and what of it looks like a script. Pure.

Sides are drawn at random and balanced, so whoever reads chooses left about half of the time, and changes sides about
as often as not. A count is called out when fair coins would give one as extreme in fewer than 1 of 1,000 cases.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from statistics import median

from app.monitor.facts import ANSWERS, GOLD, REGULAR, SIDES, SKIP, TIES, GoldResult, Vote
from app.stats.wilson import wilson

UNLIKELY = 0.001
# Two responses cannot be read in less; a page with its texts takes longer than that to take in.
TOO_FAST_S = 3.0
ENOUGH = 5
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
class Profile:
    """One annotator's regular judgments. `n` leaves out those they could not judge.

    `left` and `changes` are over answers for a side; `longer` over those whose texts differ in length. `changes` and
    `gap_s` follow the order of work, in which gold items stand among the regular ones. `fast_ms` is the
    longest active time of the fastest tenth, `gap_s` the median seconds between two submissions, by the server's clock.
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
    answers: Mapping[str, int]
    skips: int
    flags: int
    recognised: int


def profile_of(given: Sequence[Vote], lengths: Mapping[str, int]) -> Profile:
    """Describe one annotator from all their judgments, oldest first, and the lengths of responses by id."""
    votes = [vote for vote in given if vote.item_kind == REGULAR]
    # A gold item looks regular, so whoever alternates does so across them.
    work = [vote for vote in given if vote.item_kind in {REGULAR, GOLD}]
    judged = [vote for vote in votes if vote.preference != SKIP]
    sides = [vote.preference for vote in judged if vote.preference in SIDES]
    in_order = [vote.preference for vote in work if vote.preference in SIDES]
    answers = Counter(vote.preference for vote in judged)
    times = sorted(vote.active_ms for vote in judged)
    gaps = [(later.submitted_at - earlier.submitted_at).total_seconds() for earlier, later in pairwise(work)]
    return Profile(
        n=len(judged),
        left=Share(answers["left"], len(sides)),
        longer=_longer(judged, lengths),
        ties=Share(sum(answers[tie] for tie in TIES), len(judged)),
        changes=Share(sum(one != other for one, other in pairwise(in_order)), max(0, len(in_order) - 1)),
        median_ms=median(times) if times else None,
        fast_ms=times[math.ceil(len(times) / 10) - 1] if times else None,
        gap_s=median(gaps) if gaps else None,
        entropy=_entropy(answers) if judged else None,
        answers=dict(answers),
        skips=len(votes) - len(judged),
        flags=sum(vote.flagged for vote in votes),
        recognised=sum(vote.recognised for vote in votes),
    )


def _longer(judged: Sequence[Vote], lengths: Mapping[str, int]) -> Share:
    part = whole = 0
    for vote in judged:
        left, right = lengths.get(vote.left_response_id, 0), lengths.get(vote.right_response_id, 0)
        if vote.preference in SIDES and left != right:
            whole += 1
            part += (vote.preference == "left") == (left > right)
    return Share(part, whole)


def _entropy(answers: Mapping[str, int]) -> float:
    whole = sum(answers.values())
    bits = -sum(count / whole * math.log2(count / whole) for count in answers.values() if count)
    # A single answer would give minus zero.
    return max(0.0, bits)


def tail(part: int, whole: int) -> float:
    """Probability that `whole` fair coins show `part` heads or more."""
    ways = sum(math.comb(whole, heads) for heads in range(part, whole + 1))
    return float(Fraction(ways, 2**whole))


def warnings_of(profile: Profile, gold: GoldResult) -> list[str]:
    """Say in sentences what of an annotator's work looks like a script, or like nobody read; empty for nothing."""
    return [
        *_same_answer(profile),
        *_alternating(profile),
        *_speed(profile),
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


def _gold(gold: GoldResult) -> list[str]:
    wrong = gold.asked - gold.right
    if gold.asked >= GOLD_ENOUGH and 2 * wrong >= gold.asked:
        return [f"Gold: {wrong} of {gold.asked} answered otherwise than expected."]
    return []
