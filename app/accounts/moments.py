"""What throttles remember: in this process, or in the database for all processes and the next start.

The database is told no address and no account: keys are hashed with the server's secret.
"""

import hashlib
import hmac
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine as Database
from sqlmodel import Session, col, delete, select

from app.db import reading, writing
from models import ThrottleMoment

_SWEEP_ABOVE = 10_000
# Longer than any window; what is older decides nothing.
_KEPT_S = 3600.0
_LEARNED_S = 365 * 24 * 3600.0


class InMemory:
    """Moments in this process."""

    def __init__(self) -> None:
        """Start with none."""
        self._lock = threading.Lock()
        self._moments: dict[str, deque[float]] = {}
        self._learned: dict[str, None] = {}

    @contextmanager
    def turn(self) -> Iterator["InMemory"]:
        """Let one thread at a time look and change."""
        with self._lock:
            yield self

    look = turn

    def since(self, key: str, moment: float) -> list[float]:
        """List the moments under a key after `moment`, oldest first; the others are dropped."""
        moments = self._moments.get(key, deque())
        while moments and moments[0] <= moment:
            moments.popleft()
        return list(moments)

    def add(self, key: str, moment: float) -> None:
        """Add one; of very many keys, those without a recent moment go."""
        if len(self._moments) > _SWEEP_ABOVE:
            old = moment - _KEPT_S
            self._moments = {name: kept for name, kept in self._moments.items() if kept and kept[-1] > old}
        self._moments.setdefault(key, deque()).append(moment)

    def drop_latest(self, key: str) -> None:
        """Take the latest back, if there is one."""
        if moments := self._moments.get(key):
            moments.pop()

    def forget(self, key: str) -> None:
        """Drop all under a key."""
        self._moments.pop(key, None)

    def knows(self, key: str) -> bool:
        """Tell whether a key was learned."""
        return key in self._learned

    def learn(self, key: str, _moment: float) -> None:
        """Remember a key; of very many, the oldest goes."""
        if len(self._learned) >= _SWEEP_ABOVE:
            self._learned.pop(next(iter(self._learned)))
        self._learned[key] = None


class Stored:
    """Moments in the database, a transaction for each turn."""

    def __init__(self, database: Database, secret: str) -> None:
        """Use a database that has its tables."""
        self._database, self._secret = database, secret.encode()

    @contextmanager
    def turn(self) -> Iterator["_StoredTurn"]:
        """Let one process at a time look and change; what was added before an error stays."""
        problem: Exception | None = None
        with writing(self._database) as session:
            try:
                yield _StoredTurn(session, self._secret)
            except Exception as error:  # noqa: BLE001  raised again below, after the commit
                problem = error
        if problem is not None:
            raise problem

    @contextmanager
    def look(self) -> Iterator["_StoredTurn"]:
        """Let any number look at once."""
        with reading(self._database) as session:
            yield _StoredTurn(session, self._secret)


class _StoredTurn:
    """One turn at the database's moments."""

    def __init__(self, session: Session, secret: bytes) -> None:
        self._session, self._secret = session, secret

    def since(self, key: str, moment: float) -> list[float]:
        """List the moments under a key after `moment`, oldest first."""
        query = select(ThrottleMoment.at).where(
            ThrottleMoment.key == self._hashed(key), col(ThrottleMoment.at) > moment
        )
        return list(self._session.exec(query.order_by(col(ThrottleMoment.at))))

    def add(self, key: str, moment: float) -> None:
        """Add one, and drop what is so old that it decides nothing."""
        old = delete(ThrottleMoment).where(col(ThrottleMoment.until) < moment)
        self._session.execute(old)
        self._session.add(ThrottleMoment(key=self._hashed(key), at=moment, until=moment + _KEPT_S))
        self._session.flush()

    def drop_latest(self, key: str) -> None:
        """Take the latest back, if there is one."""
        query = select(ThrottleMoment).where(ThrottleMoment.key == self._hashed(key))
        latest = self._session.exec(query.order_by(col(ThrottleMoment.at).desc()).limit(1)).first()
        if latest is not None:
            self._session.delete(latest)
            self._session.flush()

    def forget(self, key: str) -> None:
        """Drop all under a key."""
        self._session.execute(delete(ThrottleMoment).where(col(ThrottleMoment.key) == self._hashed(key)))

    def knows(self, key: str) -> bool:
        """Tell whether a key was learned."""
        query = select(ThrottleMoment.id).where(ThrottleMoment.key == self._hashed(key))
        return self._session.exec(query.limit(1)).first() is not None

    def learn(self, key: str, moment: float) -> None:
        """Remember a key for a year."""
        self._session.add(ThrottleMoment(key=self._hashed(key), at=moment, until=moment + _LEARNED_S))
        self._session.flush()

    def _hashed(self, key: str) -> str:
        return hmac.new(self._secret, key.encode(), hashlib.sha256).hexdigest()
