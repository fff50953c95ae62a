"""What crosses between the event loop and the torch thread: a request going in, tokens or scores coming out."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from app.engines.protocol import Request, Scores, Token
from app.errors import AppError


class Handoff:
    """A queue filled by the torch thread and emptied by the event loop that made it."""

    def __init__(self) -> None:
        """Bind to the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[Any] = asyncio.Queue()
        self.cancelled = False

    def put(self, item: Token | Scores | AppError) -> None:
        """Called by the torch thread; a loop that is gone cancels the job."""
        try:
            self._loop.call_soon_threadsafe(self._queue.put_nowait, item)
        except RuntimeError:
            self.cancelled = True

    async def get(self) -> Any:
        """Wait for the next item; raises it when it is an error."""
        item = await self._queue.get()
        if isinstance(item, AppError):
            raise item
        return item


@dataclass(frozen=True, slots=True, eq=False)
class StreamJob:
    """One response being asked for."""

    request: Request
    out: Handoff


@dataclass(frozen=True, slots=True, eq=False)
class ScoreJob:
    """One response to score."""

    checkpoint: str
    reference: str
    prompt_ids: tuple[int, ...]
    reference_prompt_ids: tuple[int, ...]
    response_ids: tuple[int, ...]
    top_k: int
    out: Handoff = field(repr=False)


Job = StreamJob | ScoreJob
