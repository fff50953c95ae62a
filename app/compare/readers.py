"""How many event streams may be open: each costs a socket and a place in the event loop, whoever holds it."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from app.errors import TooManyRequestsError

MAX_STREAMS = 500
MAX_STREAMS_EACH = 24


class Readers:
    """The streams this process has open, by person. Lives on `app.state.readers`; changed on the event loop only."""

    def __init__(self) -> None:
        """Start with none."""
        self._open: Counter[str] = Counter()

    def __len__(self) -> int:
        """Count the streams that are open."""
        return self._open.total()

    @contextmanager
    def place(self, person: str) -> Iterator[None]:
        """Hold a place for as long as a stream is open. Raises TooManyRequestsError when there is none."""
        if self._open[person] >= MAX_STREAMS_EACH:
            raise TooManyRequestsError(
                f"You follow {MAX_STREAMS_EACH} comparisons already.", remedy="Close some of their tabs, then reload."
            )
        if len(self) >= MAX_STREAMS:
            raise TooManyRequestsError(
                f"{MAX_STREAMS} streams are open on this server already.", remedy="Reload in a minute."
            )
        self._open[person] += 1
        try:
            yield
        finally:
            self._open[person] -= 1
            if not self._open[person]:
                del self._open[person]
