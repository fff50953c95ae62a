"""Slow down guessing: attempts per account and per client in a sliding window, in this process's memory."""

import math
import threading
import time
from collections import deque
from collections.abc import Callable

from app.errors import TooManyRequestsError

WINDOW_S = 15 * 60
PER_ACCOUNT = 10
# Many annotators may share one address, so a client gets more tries than an account.
PER_CLIENT = 60
_SWEEP_ABOVE = 10_000


class LoginThrottle:
    """Counts attempts until they succeed or grow old. Clients are told apart by their socket, never by a header."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._attempts: dict[str, deque[float]] = {}

    def attempt(self, *, account: str, client: str) -> None:
        """Count one attempt, before the password is looked at. Raises TooManyRequestsError saying how long to wait."""
        now = self._clock()
        with self._lock:
            self._sweep(now)
            for key, limit in ((f"account {account}", PER_ACCOUNT), (f"client {client}", PER_CLIENT)):
                self._check(key, now=now, limit=limit)
            for key in (f"account {account}", f"client {client}"):
                self._attempts.setdefault(key, deque()).append(now)

    def succeeded(self, *, account: str, client: str) -> None:
        """Forget the account's failures; for the client, take back the attempt that succeeded."""
        with self._lock:
            self._attempts.pop(f"account {account}", None)
            if attempts := self._attempts.get(f"client {client}"):
                attempts.pop()

    def _check(self, key: str, *, now: float, limit: int) -> None:
        attempts = self._attempts.get(key, deque())
        while attempts and attempts[0] <= now - WINDOW_S:
            attempts.popleft()
        if len(attempts) < limit:
            return
        minutes = math.ceil((attempts[0] + WINDOW_S - now) / 60)
        raise TooManyRequestsError(
            "Too many attempts to sign in.",
            remedy=f"Wait {minutes} minute{'s' if minutes > 1 else ''} and try again, or ask for a sign-in link.",
        )

    def _sweep(self, now: float) -> None:
        if len(self._attempts) <= _SWEEP_ABOVE:
            return
        self._attempts = {
            key: attempts for key, attempts in self._attempts.items() if attempts and attempts[-1] > now - WINDOW_S
        }
