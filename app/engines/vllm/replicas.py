"""Which replica to ask: the least busy of those that work. One that failed is set aside, longer each time it fails.

What is known is known to this process; another one finds out for itself with its first request.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0


@dataclass(frozen=True, slots=True)
class Aside:
    """Why a replica is not asked, since how many failures, and until when by the clock of `Replicas`."""

    why: str
    failures: int
    until: float


class Replicas:
    """The health of servers by address, and of single models on them. `clock` is in seconds; tests set it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with every server taken for working."""
        self._clock = clock
        self._aside: dict[tuple[str, str], Aside] = {}
        self._turn: Counter[str] = Counter()

    def failed(self, url: str, why: str, *, model: str = "") -> None:
        """Set a server aside, or with a `model` only for that model; each failure in a row doubles the pause."""
        failures = self._aside[url, model].failures + 1 if (url, model) in self._aside else 1
        pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (failures - 1))
        self._aside[url, model] = Aside(why, failures, self._clock() + pause)

    def works(self, url: str, model: str) -> None:
        """Take a server back: it has just answered for that model."""
        self._aside.pop((url, ""), None)
        self._aside.pop((url, model), None)

    def aside(self, url: str, model: str) -> Aside | None:
        """Return why a server is not asked for a model now, if so."""
        return self._aside.get((url, "")) or self._aside.get((url, model))

    def seconds_left(self, aside: Aside) -> float:
        """Return how long until it is tried again; 0 when that is due."""
        return max(0.0, aside.until - self._clock())

    def take_due(self, urls: Sequence[str], model: str) -> list[str]:
        """List the servers set aside whose pause is over, for the caller to look at; others are not told meanwhile."""
        due = []
        for url in urls:
            for key in ((url, ""), (url, model)):
                aside = self._aside.get(key)
                if aside is not None and not self.seconds_left(aside):
                    self._aside[key] = replace(aside, until=self._clock() + LONGEST_PAUSE_S)
                    due.append(url)
        return due

    def order(self, urls: Sequence[str], model: str, load: Callable[[str], int], *, kind: str = "") -> list[str]:
        """Order servers for one request: working ones by load, equal ones in turn; then the others, next due first.

        Each `kind` of work has turns of its own, or two kinds that alternate would each meet one server only.
        """
        self._turn[kind] += 1
        turned = [urls[(place + self._turn[kind]) % len(urls)] for place in range(len(urls))]
        working = sorted((url for url in turned if self.aside(url, model) is None), key=load)
        others = [(aside.until, url) for url in turned if (aside := self.aside(url, model)) is not None]
        return [*working, *(url for _, url in sorted(others))]
