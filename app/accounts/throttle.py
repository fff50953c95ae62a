"""Slow down guessing: attempts per account and per client in a sliding window, in this process's memory."""

import math
import threading
import time
from collections import deque
from collections.abc import Callable

from app.errors import TooManyRequestsError

WINDOW_S = 15 * 60
PER_ACCOUNT = 10
# From many addresses at once; those an account has signed in from before are not held up by it.
PER_ACCOUNT_ANYWHERE = 50
# Many annotators may share one address, so a client gets more tries than an account.
PER_CLIENT = 60
UNKNOWN_LINKS = 100
JOINS = 120
_SWEEP_ABOVE = 10_000
_LINK = "ask for a sign-in link"


class _Windows:
    """Moments under a key, in a sliding window."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._moments: dict[str, deque[float]] = {}

    def _refuse(self, key: str, *, now: float, limit: int, message: str, or_else: str) -> None:
        moments = self._moments.get(key, deque())
        while moments and moments[0] <= now - WINDOW_S:
            moments.popleft()
        if len(moments) < limit:
            return
        minutes = math.ceil((moments[0] + WINDOW_S - now) / 60)
        raise TooManyRequestsError(
            message, remedy=f"Wait {minutes} minute{'s' if minutes > 1 else ''} and try again, or {or_else}."
        )

    def _add(self, key: str, now: float) -> None:
        if len(self._moments) > _SWEEP_ABOVE:
            self._moments = {
                name: moments for name, moments in self._moments.items() if moments and moments[-1] > now - WINDOW_S
            }
        self._moments.setdefault(key, deque()).append(now)


class LoginThrottle(_Windows):
    """Counts attempts until they succeed or grow old. Clients are told apart by their socket, never by a header.

    Whoever guesses elsewhere cannot lock a person out of where they have signed in before.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(clock)
        self._known: dict[tuple[str, str], None] = {}

    def attempt(self, *, account: str, client: str) -> None:
        """Count one attempt, before the password is looked at. Raises TooManyRequestsError saying how long to wait."""
        now = self._clock()
        limits = {f"account {account} at {client}": PER_ACCOUNT, f"client {client}": PER_CLIENT}
        with self._lock:
            if (account, client) not in self._known:
                limits[f"account {account}"] = PER_ACCOUNT_ANYWHERE
            for key, limit in limits.items():
                self._refuse(key, now=now, limit=limit, message="Too many attempts to sign in.", or_else=_LINK)
            for key in limits:
                self._add(key, now)

    def succeeded(self, *, account: str, client: str) -> None:
        """Forget the account's failures there; for the client, take back the attempt that succeeded."""
        with self._lock:
            self._moments.pop(f"account {account} at {client}", None)
            counted = [f"client {client}"]
            if (account, client) not in self._known:
                self._remember(account, client)
                counted.append(f"account {account}")
            for key in counted:
                if moments := self._moments.get(key):
                    moments.pop()

    def _remember(self, account: str, client: str) -> None:
        if len(self._known) >= _SWEEP_ABOVE:
            self._known.pop(next(iter(self._known)))
        self._known[account, client] = None


class ClientThrottle(_Windows):
    """Counts something that one client may not do without end."""

    def __init__(self, limit: int, message: str, or_else: str, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(clock)
        self._limit, self._message, self._or_else = limit, message, or_else

    def check(self, client: str) -> None:
        """Raise TooManyRequestsError where a client has reached the limit."""
        with self._lock:
            self._refuse(client, now=self._clock(), limit=self._limit, message=self._message, or_else=self._or_else)

    def count(self, client: str) -> None:
        """Count one."""
        with self._lock:
            self._add(client, self._clock())


def link_throttle() -> ClientThrottle:
    """Slow down whoever tries links that are not known."""
    return ClientThrottle(UNKNOWN_LINKS, "Too many links that are not known.", "ask whoever sent yours")


def join_throttle() -> ClientThrottle:
    """Slow down one address that joins as ever more people."""
    return ClientThrottle(JOINS, "Too many people joined from this address.", "ask whoever runs the study")
