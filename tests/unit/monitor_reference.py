"""The monitor's numbers once more, from judgments one by one: what its columns are held to."""

import math
from collections import Counter
from itertools import combinations, pairwise
from statistics import fmean, median

import numpy as np

from app.monitor.columns import Judged, KnownItem, microseconds, sheet_of
from app.monitor.exclusions import people_of, reasons
from app.monitor.facts import is_right
from app.monitor.gathering import columns_of
from app.monitor.profile import profile_of

SIDES, TIES, SKIP, TIE = ("left", "right"), ("tie_good", "tie_bad"), "cannot_judge", ""


def judged(vote, *, number=1, read=(None, None)):
    """A judgment as the database gives it."""
    return Judged(
        presentation_id=vote.presentation_id, number=number, annotator_id=vote.annotator_id, item_id=vote.item_id,
        pair_id=vote.pair_id, left_arm_id=vote.left_arm_id, right_arm_id=vote.right_arm_id,
        left_response_id=vote.left_response_id, right_response_id=vote.right_response_id, preference=vote.preference,
        active_ms=vote.active_ms, submitted=microseconds(vote.submitted_at), recognised=vote.recognised,
        guess=vote.guess, flagged=vote.flagged, noted=bool(vote.flagged or vote.comment or vote.skip_reason),
        guideline_version=vote.guideline_version, read_left=read[0], read_right=read[1],
    )  # fmt: skip


def sheet(votes, lengths=None, *, columns=None, reads=None):
    """Columns of judgments with what they mean."""
    votes = list(votes)
    items = {vote.item_id: KnownItem(vote.item_kind, vote.expected) for vote in votes}
    better = next((vote.better_arm_id for vote in votes if vote.better_arm_id), "")
    rows = [judged(vote, read=(reads or {}).get(vote.presentation_id, (None, None))) for vote in votes]
    return sheet_of(columns or columns_of([rows]), items, lengths or {}, better)


def one_profile(votes, lengths, **over):
    """The profile of one annotator, through columns."""
    made = sheet(votes, lengths, **over)
    return profile_of(made, np.arange(len(made.columns)))


def plain_profile(votes, lengths, reads):
    """The same as a mapping, counted one by one."""
    votes = sorted(votes, key=lambda vote: (vote.submitted_at, vote.presentation_id))
    regular = [vote for vote in votes if vote.item_kind == "regular"]
    work = [vote for vote in votes if vote.item_kind in {"regular", "gold"}]
    given = [vote for vote in regular if vote.preference != SKIP]
    sides = [vote.preference for vote in given if vote.preference in SIDES]
    in_order = [vote.preference for vote in work if vote.preference in SIDES]
    answers = Counter(vote.preference for vote in given)
    times = sorted(vote.active_ms for vote in given)
    gaps = [(later.submitted_at - earlier.submitted_at).total_seconds() for earlier, later in pairwise(work)]
    longer = [
        (vote.preference == "left") == (lengths[vote.left_response_id] > lengths[vote.right_response_id])
        for vote in given
        if vote.preference in SIDES and lengths[vote.left_response_id] != lengths[vote.right_response_id]
    ]
    shares = [count / len(given) for count in answers.values()]
    read = [[reads[v.presentation_id][at] for v in given if reads[v.presentation_id][at] is not None] for at in (0, 1)]
    return {
        "n": len(given),
        "left": (answers["left"], len(sides)),
        "longer": (sum(longer), len(longer)),
        "ties": (sum(answers[tie] for tie in TIES), len(given)),
        "changes": (sum(a != b for a, b in pairwise(in_order)), max(0, len(in_order) - 1)),
        "median_ms": median(times) if times else None,
        "fast_ms": times[math.ceil(len(times) / 10) - 1] if times else None,
        "gap_s": median(gaps) if gaps else None,
        "entropy": max(0.0, -sum(one * math.log2(one) for one in shares)) if given else None,
        "read": tuple(fmean(one) if one else None for one in read),
        "answers": dict(answers),
        "skips": len(regular) - len(given),
        "flags": sum(vote.flagged for vote in regular),
        "recognised": sum(vote.recognised for vote in regular),
    }


def plain_gold(votes):
    """Gold items asked and answered right."""
    asked = [vote for vote in votes if vote.item_kind == "gold"]
    return len(asked), sum(is_right(vote) for vote in asked)


def plain_disputed(votes):
    """(item, pair, score, outcomes, presentations) of what two or more disagree about, most first."""
    cases = {}
    for vote in votes:
        if vote.item_kind == "regular" and vote.preference != SKIP:
            cases.setdefault((vote.item_id, vote.pair_id), []).append(vote)
    found = []
    for (item_id, pair_id), given in cases.items():
        outcomes = Counter(vote.chosen_arm_id for vote in given)
        apart = sum(
            0.0 if a.chosen_arm_id == b.chosen_arm_id else 0.5 if TIE in {a.chosen_arm_id, b.chosen_arm_id} else 1.0
            for a, b in combinations(given, 2)
        )
        if apart:
            score = apart / math.comb(len(given), 2)
            found.append((item_id, pair_id, score, dict(outcomes), {vote.presentation_id for vote in given}))
    return sorted(found, key=lambda one: (-one[2], -len(one[4]), one[0], one[1]))


def plain_same_answers(accounts, votes, enough):
    """Pairs of pseudonyms with the same answer to all that both judged, and how much that is."""
    answers = {account.annotator_id: {} for account in accounts}
    for vote in votes:
        if vote.item_kind == "regular" and vote.preference != SKIP and vote.annotator_id in answers:
            answers[vote.annotator_id][vote.item_id, vote.pair_id] = vote.chosen_arm_id or vote.preference
    found = []
    for one, other in combinations(accounts, 2):
        first, second = answers[one.annotator_id], answers[other.annotator_id]
        shared = first.keys() & second.keys()
        if len(shared) >= enough and all(first[key] == second[key] for key in shared):
            found.append((one.pid, other.pid, len(shared)))
    return found


def plain_taken_out(rules, votes, members):
    """The presentations that some rule takes out."""
    people = people_of(votes, members)
    return {vote.presentation_id for vote in votes if vote.item_kind == "regular" and reasons(rules, vote, people)}
