"""How fast a study goes and when it would be done, with the assumption in words. Pure."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
# Beyond this an estimate says nothing that "far off" does not.
_FAR = timedelta(days=3650)


@dataclass(frozen=True, slots=True)
class Pace:
    """Judgments in the last hour and day, and when the rest would be done; `words` says on what assumption."""

    last_hour: int
    last_day: int
    finish: datetime | None
    words: str


def pace_of(moments: Iterable[datetime], *, wanted: int, judged: int, now: datetime) -> Pace:
    """Count submissions and extend the last hour's pace, or the last day's where the hour had none."""
    remaining = wanted - judged
    recent = [moment for moment in moments if now - DAY < moment <= now]
    last_hour = sum(now - HOUR < moment for moment in recent)
    if remaining <= 0:
        words = "Every judgment wanted is there." if wanted else "No judgment is wanted yet."
        return Pace(last_hour, len(recent), None, words)
    if not recent:
        return Pace(0, 0, None, "No judgment in the last day, so there is no estimate.")
    per_hour, span = (last_hour, "hour") if last_hour else (len(recent) / 24, "day")
    needed = timedelta(hours=min(remaining / per_hour, _FAR / HOUR))
    rate = f"{per_hour:.0f}" if span == "hour" else f"{per_hour:.1f}"
    words = f"If the pace of the last {span} holds: {rate} an hour, {remaining} to go, {hours_words(needed)}."
    return Pace(last_hour, len(recent), now + needed, words)


def hours_words(span: timedelta) -> str:
    """Spell a span the short way: `40 s`, `12 min`, `3 h 5 min`, `4 days`."""
    seconds = max(0, int(span.total_seconds()))
    if seconds < 60:  # noqa: PLR2004  seconds of a minute
        return f"{seconds} s"
    minutes = seconds // 60
    if minutes < 60:  # noqa: PLR2004  minutes of an hour
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    if hours < 48:  # noqa: PLR2004  two days are easier to read in hours
        return f"{hours} h {rest} min" if rest else f"{hours} h"
    return f"{math.ceil(hours / 24)} days"
