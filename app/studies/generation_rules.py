"""What the clock says of a generation run: whether anybody works on it still, how fast it is, how long it will take."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

# Whoever runs it gives a sign of life this often; a run without one for longer than the other lost its server.
HEARTBEAT_S = 5.0
LOST_AFTER = timedelta(seconds=30)

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
_REASONS_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Pace:
    """Responses per minute, and the seconds until the last one; None where nothing can be said yet."""

    per_minute: float | None
    seconds_left: float | None


def utc(moment: datetime) -> datetime:
    """Give a stored moment its time zone back; SQLite keeps none."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def is_lost(touched_at: datetime, now: datetime) -> bool:
    """Tell whether a run's last sign of life is too old, or lies in a future that only a wrong clock has seen."""
    return abs(now - touched_at) > LOST_AFTER


def pace(*, ended: int, total: int, began: datetime, now: datetime) -> Pace:
    """Say how fast `ended` of `total` responses ended (stored or failed) since a run began."""
    elapsed = (now - began).total_seconds()
    if ended <= 0 or elapsed <= 0:
        return Pace(None, None)
    return Pace(60 * ended / elapsed, max(0, total - ended) * elapsed / ended)


def rate_words(value: Pace) -> str:
    """Say a pace's rate, in responses per minute, or per hour where that is less than one a minute."""
    if value.per_minute is None:
        return "not known yet"
    if value.per_minute >= 1:
        return f"{value.per_minute:.1f} a minute"
    return f"{60 * value.per_minute:.1f} an hour"


def time_words(seconds: float | None) -> str:
    """Say a duration as people would; never more exact than the estimate is."""
    if seconds is None:
        return "no estimate yet"
    if seconds < _MINUTE:
        return "less than a minute"
    minutes = round(seconds / _MINUTE)
    if seconds < _HOUR:
        return f"about {minutes} min"
    hours, minutes = divmod(minutes, 60)
    if seconds < _DAY:
        return f"about {hours} h {minutes} min"
    days, hours = divmod(round(seconds / _HOUR), 24)
    return f"about {days} d {hours} h"


def reasons_in_words(sentences: Sequence[str]) -> str:
    """Join the reasons of failures, the most frequent first, each said once and with how often it came."""
    counted = sorted(Counter(sentences).items(), key=lambda pair: (-pair[1], pair[0]))
    shown = [sentence if times == 1 else f"{sentence} ({times} times)" for sentence, times in counted[:_REASONS_SHOWN]]
    others = len(counted) - _REASONS_SHOWN
    return " ".join(shown) + (f" And {others} other reason{'' if others == 1 else 's'}." if others > 0 else "")
