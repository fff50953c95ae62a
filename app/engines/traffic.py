"""What engines are asked at this moment, by this process, and in words for whoever waits for it; pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Traffic:
    """What one server, or this process itself, works on now, and what waits for it in this process.

    `most` is how many responses may be streamed at once, 0 where nothing limits that. `trouble` says why it is not
    asked now or, where it is the only one, what became of the last request to it.
    """

    where: str
    streams: int
    scorings: int
    waiting_streams: int
    waiting_scorings: int
    most: int = 0
    trouble: str = ""

    @property
    def full(self) -> bool:
        """Whether a response has to wait for another to end."""
        return self.waiting_streams > 0


def in_words(traffic: Traffic) -> str:
    """Say it in one sentence, the trouble first."""
    under_way = [
        _counted(traffic.streams, "response")
        + (f" of at most {traffic.most}" if traffic.full and traffic.most else ""),
        _counted(traffic.scorings, "scoring"),
    ]
    busy = " and ".join(words for words in under_way if words) or "nothing"
    waiting = [_counted(traffic.waiting_streams, "response"), _counted(traffic.waiting_scorings, "scoring")]
    queue = " and ".join(words for words in waiting if words)
    said = f"{busy} under way"
    if queue:
        one = traffic.waiting_streams + traffic.waiting_scorings == 1
        said = f"{'full: ' if traffic.full else ''}{said}, {queue} wait{'s' if one else ''} for {_turn(one=one)}"
    return f"{traffic.where}: {f'{traffic.trouble} ' if traffic.trouble else ''}{said}."


def _turn(*, one: bool) -> str:
    return "its turn" if one else "their turn"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}" if number else ""
