"""When a server that ended is started again. Pure: the caller brings the clock."""

FIRST_S = 1.0
LONGEST_S = 60.0
# Two minutes of tries in all, besides what loading takes: a card that resets is back by then.
MOST_FAILURES = 8
# A server that answered for so long was well; what ends it later is a new story.
STABLE_S = 300.0


def failures_in_a_row(before: int, answered_s: float | None) -> int:
    """Count the end of a server that had answered for `answered_s` seconds (None: it never did)."""
    return 1 if answered_s is not None and answered_s >= STABLE_S else before + 1


def delay_s(failures: int) -> float | None:
    """Seconds to wait before the next start after so many failures in a row; None is to give up."""
    return None if failures >= MOST_FAILURES else min(LONGEST_S, FIRST_S * 2 ** (failures - 1))
