"""What the clock says of scoring work: how long a claim holds, when a failure is tried again, how fast it goes."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from app.studies.generation_rules import pace, rate_words, time_words

# A worker renews its claims three times within a lease; one that dies gives them back when it ends.
LEASE = timedelta(seconds=60)
RENEW_S = 20.0
# A server that restarts is back within this many attempts, the waits between them growing to minutes.
MOST_ATTEMPTS = 6
_FIRST_WAIT = timedelta(seconds=5)


def tried_again_at(attempts: int, now: datetime) -> datetime | None:
    """Say when a response whose reading failed `attempts` times is tried again; None when it is given up."""
    return None if attempts >= MOST_ATTEMPTS else now + _FIRST_WAIT * 2 ** (attempts - 1)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: its tasks by how they stand, and in words how fast it goes and how long it will take."""

    total: int
    done: int
    failed: int
    claimed: int
    again: int
    rate: str
    left: str

    @property
    def ended(self) -> int:
        """Tasks that nobody will work on any more."""
        return self.done + self.failed


def progress(
    *, total: int, done: int, failed: int, claimed: int, again: int, lately: int, resumed_at: datetime, now: datetime
) -> Progress:
    """Count and estimate; `lately` tasks ended since the run was resumed, `again` wait for another attempt."""
    speed = pace(ended=lately, total=lately + total - done - failed, began=resumed_at, now=now)
    return Progress(total, done, failed, claimed, again, rate_words(speed), time_words(speed.seconds_left))
