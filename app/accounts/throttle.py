"""Slow down guessing: attempts per account and per client in a sliding window, remembered where the caller says."""

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from app.accounts.moments import InMemory
from app.errors import TooManyRequestsError

WINDOW_S = 15 * 60
PER_ACCOUNT = 10
# From many addresses at once; those an account has signed in from before are not held up by it.
PER_ACCOUNT_ANYWHERE = 50
# Many annotators may share one address, so a client gets more tries than an account.
PER_CLIENT = 60
UNKNOWN_LINKS = 100
JOINS = 120
_AHEAD_S = 60
_LINK = "ask for a sign-in link"


class Moments(Protocol):
    """Moments under keys, as seen and changed within one turn; nobody else's turn comes in between."""

    def since(self, key: str, moment: float) -> list[float]:
        """List the moments under a key after `moment`, oldest first."""

    def add(self, key: str, moment: float) -> None:
        """Add one."""

    def drop_latest(self, key: str) -> None:
        """Take the latest back, if there is one."""

    def forget(self, key: str) -> None:
        """Drop all under a key."""

    def knows(self, key: str) -> bool:
        """Tell whether a key was ever learned."""

    def learn(self, key: str, moment: float) -> None:
        """Remember a key for good, or until there are too many."""


class Memory(Protocol):
    """Where moments are kept."""

    def look(self) -> AbstractContextManager[Moments]:
        """Only look."""

    def turn(self) -> AbstractContextManager[Moments]:
        """Look and change; what was changed is kept when the turn ends, also by an error."""


class _Windows:
    """Moments under a key, in a sliding window."""

    def __init__(self, clock: Callable[[], float], memory: Memory | None) -> None:
        self._clock = clock
        self._memory: Memory = memory or InMemory()

    def _refuse(self, turn: Moments, key: str, *, now: float, limit: int, message: str, or_else: str) -> None:
        # What lies in the future was counted by a clock that has been put right since.
        moments = [moment for moment in turn.since(key, now - WINDOW_S) if moment <= now + _AHEAD_S]
        if len(moments) < limit:
            return
        seconds = math.ceil(moments[0] + WINDOW_S - now)
        minutes = math.ceil(seconds / 60)
        raise TooManyRequestsError(
            message,
            remedy=f"Wait {minutes} minute{'s' if minutes > 1 else ''} and try again, or {or_else}.",
            retry_after_s=seconds,
        )


class LoginThrottle(_Windows):
    """Counts attempts until they succeed or grow old. Clients are told apart by their socket, never by a header.

    Whoever guesses elsewhere cannot lock a person out of where they have signed in before.
    """

    def __init__(self, clock: Callable[[], float] = time.time, memory: Memory | None = None) -> None:
        super().__init__(clock, memory)

    def attempt(self, *, account: str, client: str) -> None:
        """Count one attempt, before the password is looked at. Raises TooManyRequestsError saying how long to wait."""
        now = self._clock()
        limits = {f"account {account} at {client}": PER_ACCOUNT, f"client {client}": PER_CLIENT}
        with self._memory.turn() as turn:
            if not turn.knows(_known(account, client)):
                limits[f"account {account}"] = PER_ACCOUNT_ANYWHERE
            for key, limit in limits.items():
                self._refuse(turn, key, now=now, limit=limit, message="Too many attempts to sign in.", or_else=_LINK)
            for key in limits:
                turn.add(key, now)

    def succeeded(self, *, account: str, client: str) -> None:
        """Forget the account's failures there; for the client, take back the attempt that succeeded."""
        with self._memory.turn() as turn:
            turn.forget(f"account {account} at {client}")
            turn.drop_latest(f"client {client}")
            if not turn.knows(_known(account, client)):
                turn.learn(_known(account, client), self._clock())
                turn.drop_latest(f"account {account}")


class ClientThrottle(_Windows):
    """Counts something that one client may not do without end."""

    def __init__(
        self,
        limit: int,
        message: str,
        or_else: str,
        clock: Callable[[], float] = time.time,
        memory: Memory | None = None,
    ) -> None:
        super().__init__(clock, memory)
        self._limit, self._message, self._or_else = limit, message, or_else

    def check(self, client: str) -> None:
        """Raise TooManyRequestsError where a client has reached the limit."""
        now = self._clock()
        with self._memory.look() as turn:
            self._refuse(
                turn, self._key(client), now=now, limit=self._limit, message=self._message, or_else=self._or_else
            )

    def count(self, client: str) -> None:
        """Count one."""
        with self._memory.turn() as turn:
            turn.add(self._key(client), self._clock())

    def _key(self, client: str) -> str:
        # What is counted is told apart by what is said of it, because several may share one memory.
        return f"{self._message} {client}"


def link_throttle(memory: Memory | None = None) -> ClientThrottle:
    """Slow down whoever tries links that are not known."""
    return ClientThrottle(UNKNOWN_LINKS, "Too many links that are not known.", "ask whoever sent yours", memory=memory)


def join_throttle(memory: Memory | None = None) -> ClientThrottle:
    """Slow down one address that joins as ever more people."""
    return ClientThrottle(
        JOINS, "Too many people joined from this address.", "ask whoever runs the study", memory=memory
    )


def _known(account: str, client: str) -> str:
    return f"{account} signed in at {client}"
