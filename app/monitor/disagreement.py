"""Where annotators disagree most: per item and pair, over which arm won. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations

from app.monitor.facts import REGULAR, SKIP, Vote

TIE = ""


@dataclass(frozen=True, slots=True)
class Disputed:
    """One item and pair that two or more judged: how often each arm won, or (under `TIE`) neither.

    `score` is 0 where all agree and 1 where every two annotators preferred opposite arms.
    """

    item_id: str
    pair_id: str
    score: float
    outcomes: Mapping[str, int]
    votes: tuple[Vote, ...]


def disputed(votes: Iterable[Vote]) -> list[Disputed]:
    """List what regular judgments disagree about, most first; both kinds of tie are ties.

    The score is the mean over pairs of annotators: 1 for opposite arms, a half for a tie against an arm, else 0.
    """
    cases: dict[tuple[str, str], list[Vote]] = {}
    for vote in votes:
        if vote.item_kind == REGULAR and vote.preference != SKIP:
            cases.setdefault((vote.item_id, vote.pair_id), []).append(vote)
    found = [_disputed(item_id, pair_id, given) for (item_id, pair_id), given in cases.items() if len(given) > 1]
    return sorted(
        (one for one in found if one.score), key=lambda one: (-one.score, -len(one.votes), one.item_id, one.pair_id)
    )


def _disputed(item_id: str, pair_id: str, votes: list[Vote]) -> Disputed:
    outcomes = Counter(vote.chosen_arm_id for vote in votes)
    n = len(votes)
    apart = sum(
        outcomes[one] * outcomes[other] * (0.5 if TIE in {one, other} else 1.0)
        for one, other in combinations(outcomes, 2)
    )
    return Disputed(item_id, pair_id, apart / (n * (n - 1) / 2), dict(outcomes), tuple(votes))
