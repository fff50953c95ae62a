"""The servers of a registry as one process sees them: how to reach each, what it is asked now, whether it works."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Literal, get_args
from weakref import WeakKeyDictionary

from app.engines.registry import Checkpoint
from app.engines.traffic import Traffic
from app.engines.vllm.client import Server, answers
from app.engines.vllm.faults import UnknownModelError, address
from app.engines.vllm.limits import Limits, Turns
from app.engines.vllm.replicas import Replicas
from app.errors import AppError, EngineError

Kind = Literal["stream", "score"]
KINDS: tuple[Kind, ...] = get_args(Kind)


class Pool:
    """Servers by address, each with its queues and its health. What has no event loop is shared by all of them."""

    def __init__(self, servers: Iterable[Server], limits: Limits) -> None:
        """Remember where the servers are; nothing is contacted."""
        self.servers = {server.url: server for server in servers}
        self.limits = limits
        self.replicas = Replicas()
        self.leaking: dict[str, str] = {}
        self.isolated: set[str] = set()
        self._looking: set[asyncio.Task[None]] = set()
        self._turns: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[str, Kind], Turns]] = WeakKeyDictionary()

    def turns(self, url: str, kind: Kind) -> Turns:
        """Return the queue of one kind of work on a server, in the event loop that runs."""
        here = self._turns.setdefault(asyncio.get_running_loop(), {})
        if (url, kind) not in here:
            size = self.limits.streams if kind == "stream" else self.limits.scorings
            here[url, kind] = Turns(size, self.limits.waiting, f"the server at {address(url)}")
        return here[url, kind]

    def queued(self, url: str) -> tuple[int, int]:
        """Return how many requests of this process a server works on and how many wait for it."""
        both = [self.turns(url, kind) for kind in ("stream", "score")]
        return sum(turns.running for turns in both), sum(turns.queued for turns in both)

    def traffic(self, url: str, checkpoints: Sequence[Checkpoint]) -> Traffic:
        """Tell what a server is asked now, on whatever event loop; callable from any thread."""
        loops = list(self._turns.values())
        streams, scorings = ([here[url, kind] for here in loops if (url, kind) in here] for kind in KINDS)
        return Traffic(
            where=address(url),
            streams=sum(turns.running for turns in streams),
            scorings=sum(turns.running for turns in scorings),
            waiting_streams=sum(turns.queued for turns in streams),
            waiting_scorings=sum(turns.queued for turns in scorings),
            most=self.limits.streams,
            trouble=self._trouble(url, checkpoints),
        )

    def _trouble(self, url: str, checkpoints: Sequence[Checkpoint]) -> str:
        if url in self.leaking:
            return self.leaking[url]
        for checkpoint in checkpoints:
            aside = self.replicas.aside(url, checkpoint.served_name)
            left = self.replicas.seconds_left(aside) if aside else 0
            if aside and checkpoint.replicas:
                return f"set aside, tried again in {left:.0f} s ({aside.why.removesuffix('.')});"
            # The only server is asked all the same, and scoring alone takes none back: what is older proves nothing.
            if aside and left:
                return f"the last request failed ({aside.why.removesuffix('.')});"
        return ""

    def candidates(self, checkpoint: Checkpoint, kind: Kind) -> list[str]:
        """List the servers to ask for one request, best first. Raises EngineError when all mix adapters into the base.

        A single server is always asked. Servers whose pause is over are looked at beside the request, not by it.
        """
        urls = [url for url in checkpoint.servers if url not in self.leaking]
        if not urls:
            remedy = "Restart it with --max-loras one above its number of adapters."
            raise EngineError(self.leaking[checkpoint.engine], remedy=remedy)
        if len(urls) > 1:
            self.look_again(checkpoint, urls)
        return self.replicas.order(urls, checkpoint.served_name, lambda url: self.turns(url, kind).load, kind=kind)

    def look_again(self, checkpoint: Checkpoint, urls: Sequence[str]) -> None:
        """Have servers that were set aside and are due tried with one token, in the background."""
        for url in self.replicas.take_due(urls, checkpoint.served_name):
            looking = asyncio.create_task(self._look(checkpoint, url))
            self._looking.add(looking)
            looking.add_done_callback(self._looking.discard)

    async def _look(self, checkpoint: Checkpoint, url: str) -> None:
        try:
            await answers(self.servers[url], checkpoint.served_name, checkpoint=checkpoint.name)
        except AppError as error:
            self.failed(checkpoint, url, error)
        else:
            self.replicas.works(url, checkpoint.served_name)

    def failed(self, checkpoint: Checkpoint, url: str, error: AppError) -> None:
        """Set a server aside after a failure that is its own."""
        model = checkpoint.served_name if isinstance(error, UnknownModelError) else ""
        self.replicas.failed(url, error.message, model=model)
