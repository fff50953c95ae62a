"""How much one process asks of a server at once: first come, first served, and who waits is told for how many.

vLLM queues without bound and without a word, so the queue is kept here, where it can be shown and left.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from app.errors import EngineUnavailableError

# Told how many requests must end before this one begins; 0 as it begins.
Told = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one process asks of one server at most: responses streamed and scored at once, and requests that wait."""

    streams: int = 64
    scorings: int = 1
    waiting: int = 500


@dataclass(eq=False, slots=True)
class _Waiter:
    turn: asyncio.Future[None]
    told: Told | None
    ahead: int = -1


class Turns:
    """`size` places at once, and a queue of at most `waiting`. Used from one event loop."""

    def __init__(self, size: int, waiting: int, who: str) -> None:
        """Start empty; `who` names the server in the refusal."""
        self.running = 0
        self._size, self._waiting, self._who = size, waiting, who
        self._queue: deque[_Waiter] = deque()

    @property
    def load(self) -> int:
        """Requests that have a place or wait for one."""
        return self.running + len(self._queue)

    @property
    def queued(self) -> int:
        """Requests that wait for a place."""
        return len(self._queue)

    @asynccontextmanager
    async def taken(self, told: Told | None = None) -> AsyncIterator[None]:
        """Wait for a place and hold it. Raises EngineUnavailableError at once when too many wait already."""
        if self.running < self._size and not self._queue:
            self.running += 1
        else:
            await self._wait(told)
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, told: Told | None) -> None:
        if len(self._queue) >= self._waiting:
            raise EngineUnavailableError(
                f"{len(self._queue)} requests wait for {self._who} already.",
                remedy="Try again in a while, or add a replica.",
            )
        waiter = _Waiter(asyncio.get_running_loop().create_future(), told)
        self._queue.append(waiter)
        _tell(waiter, self.load - 1)
        try:
            await waiter.turn
        except asyncio.CancelledError:
            if waiter in self._queue:
                self._queue.remove(waiter)
                self._tell_all()
            elif not waiter.turn.cancelled():
                self._pass_on()  # it was given the place in the moment it left
            raise
        _tell(waiter, 0)

    def _pass_on(self) -> None:
        """Give the place to the first who still waits, or free it."""
        while self._queue:
            waiter = self._queue.popleft()
            if not waiter.turn.done():
                waiter.turn.set_result(None)
                self._tell_all()
                return
        self.running -= 1

    def _tell_all(self) -> None:
        for place, waiter in enumerate(self._queue):
            _tell(waiter, self.running + place)


def _tell(waiter: _Waiter, ahead: int) -> None:
    if waiter.told is not None and ahead != waiter.ahead:
        waiter.ahead = ahead
        waiter.told(ahead)
