"""Does a branch heal? How far a continuation from a changed token agrees with what the original said next.

Everything is counted in token ids after the fork token. `docs/branches.md` says the same in words.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

DEFAULT_WINDOW = 32
MAX_WINDOW = 256
REJOIN_RUN = 8
HEALED_AT = 0.9
DIVERGED_BELOW = 0.5


class Verdict(StrEnum):
    """What became of a branch. `unknown`: one of the two says nothing after the fork."""

    HEALS = "heals"
    PARTLY = "partly"
    DIVERGES = "diverges"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Continuation:
    """The ids after a fork token. `ended`: the last is an end of sequence, so what is not there was never meant."""

    ids: tuple[int, ...]
    ended: bool


@dataclass(frozen=True, slots=True)
class Agreement:
    """How two stretches agree: `shared` ids in the same order, out of `original` and `branch` ids compared."""

    shared: int
    original: int
    branch: int

    @property
    def share(self) -> float:
        """2 x shared / (original + branch), the Dice coefficient: 1 when equal, 0 when nothing is shared."""
        return 2 * self.shared / (self.original + self.branch)


@dataclass(frozen=True, slots=True)
class Rejoin:
    """Where the branch takes up the original again, as 0-based positions after the fork token of each."""

    branch: int
    original: int


@dataclass(frozen=True, slots=True)
class Branching:
    """A branch against the original over the next `window` tokens; `after` is the agreement from the rejoin on."""

    window: int
    verdict: Verdict
    agreement: Agreement | None = None
    rejoin: Rejoin | None = None
    after: Agreement | None = None


def compare(original: Continuation, branch: Continuation, *, window: int = DEFAULT_WINDOW) -> Branching:
    """Judge a branch over the next `window` tokens (at least 1).

    It **heals** when it rejoins the original and agrees with it at `HEALED_AT` or more over the window that starts
    there; it **diverges** when it never rejoins and agrees below `DIVERGED_BELOW`; anything else is **partly**.
    """
    agreed = agreement(original, branch, window=window)
    if agreed is None:
        return Branching(window, Verdict.UNKNOWN)
    rejoin = find_rejoin(original, branch, window=window)
    if rejoin is None:
        verdict = Verdict.DIVERGES if agreed.share < DIVERGED_BELOW else Verdict.PARTLY
        return Branching(window, verdict, agreed)
    after = agreement(_from(original, rejoin.original), _from(branch, rejoin.branch), window=window)
    healed = after is not None and after.share >= HEALED_AT
    return Branching(window, Verdict.HEALS if healed else Verdict.PARTLY, agreed, rejoin, after)


def agreement(original: Continuation, branch: Continuation, *, window: int) -> Agreement | None:
    """Compare the next `window` ids of both by their longest common subsequence; None where one has none.

    A side cut off before the window is full (by max tokens, say) limits the other to its own length: what it would have
    said is not known. A side that ended by itself does not.
    """
    limits = [len(side.ids) for side in (original, branch) if not side.ended]
    width = min([window, *limits])
    ours, theirs = original.ids[:width], branch.ids[:width]
    if not ours or not theirs:
        return None
    return Agreement(lcs_length(ours, theirs), len(ours), len(theirs))


def find_rejoin(original: Continuation, branch: Continuation, *, window: int) -> Rejoin | None:
    """Find the first id of the branch, within the window, where `REJOIN_RUN` equal ids follow at a constant offset.

    A shorter run counts when it reaches the end of two answers that both ended and is at least half of the longer
    one. Among several places in the original the one with the smallest offset wins, the earlier of two.
    """
    rows = _run_lengths(original.ids[: window + REJOIN_RUN], branch.ids[: window + REJOIN_RUN])
    # Nothing follows an end, so the run up to it may be all there is; a shared full stop is not enough.
    longest = max(len(original.ids), len(branch.ids))
    least = min(REJOIN_RUN, -(-longest // 2)) if original.ended and branch.ended else REJOIN_RUN

    def rejoins(k: int, j: int, run: int) -> bool:
        at_both_ends = k + run == len(branch.ids) and j + run == len(original.ids)
        return run >= REJOIN_RUN or (run >= least and at_both_ends)

    for k, row in enumerate(rows[:window]):
        found = [j for j, run in enumerate(row[:window]) if rejoins(k, j, run)]
        if found:
            return Rejoin(branch=k, original=min(found, key=lambda j: (abs(j - k), j)))
    return None


def lcs_length(left: Sequence[int], right: Sequence[int]) -> int:
    """Length of the longest common subsequence (dynamic programming, one row at a time)."""
    row = [0] * (len(right) + 1)
    for a in left:
        diagonal = 0
        for at, b in enumerate(right, start=1):
            diagonal, row[at] = row[at], diagonal + 1 if a == b else max(row[at], row[at - 1])
    return row[-1]


def _run_lengths(original: Sequence[int], branch: Sequence[int]) -> list[list[int]]:
    """Count, per pair (branch position, original position), how many ids from there on are equal one by one."""
    below = [0] * (len(original) + 1)
    rows = []
    for b in reversed(branch):
        below = [below[j + 1] + 1 if b == a else 0 for j, a in enumerate(original)] + [0]
        rows.append(below[:-1])
    return rows[::-1]


def _from(side: Continuation, start: int) -> Continuation:
    return Continuation(side.ids[start:], side.ended)
