"""The `vllm` engine: checkpoints on any number of vLLM servers, streamed and scored over HTTP."""

import asyncio
import copy
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing
from dataclasses import dataclass, replace

import httpx2

from app.engines.check import SelfCheck
from app.engines.protocol import EngineStatus, Request, Scores, Token
from app.engines.registry import Checkpoint
from app.engines.traffic import Traffic
from app.engines.vllm.adapters import allows_changes
from app.engines.vllm.client import (
    Refused,
    Server,
    ServerState,
    completion_body,
    scored,
    state,
    stream_tokens,
    version,
)
from app.engines.vllm.faults import RefusedRequestError, address, allowed_k, explained, refusal
from app.engines.vllm.limits import Limits
from app.engines.vllm.pool import Pool
from app.engines.vllm.status import Seen, checkpoint_status
from app.errors import AppError, EngineError, EngineUnavailableError, InvalidInputError, NotFoundError
from app.shift.classes import border_width
from app.shift.trace import PartialView, TokenShift, from_partial

ENGINE = "vllm"
# Per position a server returns this many entries: enough for about nine tenths of the exact KL.
BOUND_K = 100
# An answer weighs about 7 kB per token at 100 entries; this many stay below 30 MB.
MAX_SCORED_TOKENS = 4096
# A CPU server scores an adapter at about 5 ms per token.
SCORE_TIMEOUT_S = 30.0
SCORE_TIMEOUT_PER_TOKEN_S = 0.01
# A request that breaks one server may be what breaks the next; so many are risked for one scoring.
MOST_BROKEN = 2


@dataclass(frozen=True, slots=True)
class _Question:
    """One model asked about given ids: views are wanted from position `start`."""

    checkpoint: Checkpoint
    ids: tuple[int, ...]
    start: int


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a server said to a question."""

    views: tuple[PartialView, ...]
    url: str


class VllmEngine:
    """Obeys `app.engines.protocol.Engine` for every checkpoint whose `engine` is an address, or several.

    HTTP does not tell a server's dtype, so it is a setting: "float32" for the servers Tuneshift launches on a CPU.
    Of several replicas the least busy is asked. What failed before its first token, and any scoring, is tried on
    another; a stream that broke off is not, because its text is already on a page.
    """

    def __init__(
        self,
        checkpoints: Iterable[Checkpoint],
        *,
        dtype: str = "float32",
        api_key: str | None = None,
        read_timeout_s: float = 60.0,
        score_timeout_s: float = SCORE_TIMEOUT_S,
        limits: Limits | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        """Remember where the servers are; nothing is contacted. `transport` is for tests."""
        self.checkpoints = {checkpoint.name: checkpoint for checkpoint in checkpoints if not checkpoint.is_local}
        self.dtype = dtype
        self._score_timeout_s = score_timeout_s
        urls = dict.fromkeys(url for checkpoint in self.checkpoints.values() for url in checkpoint.servers)
        servers = (Server(url, key=api_key, read_timeout_s=read_timeout_s, transport=transport) for url in urls)
        self.pool = Pool(servers, limits or Limits())
        self._largest_k = dict.fromkeys(urls, BOUND_K)
        self._versions: dict[str, str] = {}
        self._checks: dict[str, SelfCheck] = {}

    def at(self, url: str) -> "VllmEngine":
        """Return this engine with the checkpoints of one server bound to it, so that this replica can be examined.

        What is found out about servers is known to both.
        """
        bound = copy.copy(self)
        bound.checkpoints = {
            name: replace(checkpoint, engine=url, replicas=()) if url in checkpoint.servers else checkpoint
            for name, checkpoint in self.checkpoints.items()
        }
        return bound

    def server(self, checkpoint: str) -> Server:
        """Return the server of a checkpoint, the first of several. Raises NotFoundError for a name without one."""
        return self.pool.servers[self._get(checkpoint).engine]

    def _get(self, name: str) -> Checkpoint:
        if name not in self.checkpoints:
            known = ", ".join(self.checkpoints)
            raise NotFoundError(f"No vLLM server has a checkpoint {name!r}.", remedy=f"The registry knows: {known}.")
        return self.checkpoints[name]

    async def stream(self, request: Request) -> AsyncIterator[Token]:
        """Yield tokens as the server decodes them, without shifts; closing the iterator stops the server's work."""
        checkpoint = self._get(request.checkpoint)
        candidates = self.pool.candidates(checkpoint, "stream")
        if not request.prompt_ids:
            raise InvalidInputError("The prompt is empty.", remedy="Write a prompt; a model needs one token to start.")
        for url in candidates:
            last, begun = url == candidates[-1], False
            try:
                async with aclosing(self._stream_from(url, checkpoint, request, patient=last)) as tokens:
                    async for token in tokens:
                        begun = True
                        yield token
            except EngineError as error:
                self._blame(checkpoint, url, error)
                if last or begun or isinstance(error, RefusedRequestError):
                    raise
            else:
                self.pool.replicas.works(url, checkpoint.served_name)
                return

    async def _stream_from(
        self, url: str, checkpoint: Checkpoint, request: Request, *, patient: bool
    ) -> AsyncGenerator[Token]:
        body = completion_body(checkpoint.served_name, request.prompt_ids, request.decoding)
        async with self.pool.turns(url, "stream").taken(request.on_wait):
            tokens = stream_tokens(self.pool.servers[url], body, checkpoint=checkpoint.name, patient=patient)
            async with aclosing(tokens):
                async for token in tokens:
                    yield replace(token, server=address(url)) if token.finish else token

    def _blame(self, checkpoint: Checkpoint, url: str, error: EngineError) -> None:
        if not isinstance(error, RefusedRequestError):
            self.pool.failed(checkpoint, url, error)

    async def score(
        self,
        prompt_ids: tuple[int, ...],
        response_ids: tuple[int, ...],
        top_k: int,
        *,
        checkpoint: str,
        reference: str,
        reference_prompt_ids: tuple[int, ...] | None = None,
    ) -> Scores:
        """Score the ids under both by prompt scoring; both KLs are lower bounds over the 100 best ids of each.

        At most `top_k` (and 100) entries are kept. Raises InvalidInputError for more than 4,096 tokens.
        """
        prompts = {"tuned": prompt_ids, "base": prompt_ids if reference_prompt_ids is None else reference_prompt_ids}
        tuned, base = (
            _Question(checkpoint=self._get(name), ids=prompts[side] + response_ids, start=len(prompts[side]))
            for side, name in (("tuned", checkpoint), ("base", reference))
        )
        for question in (tuned, base):
            _check_length(question)
        answers = await self._ask_all(dict.fromkeys([tuned, base]) if response_ids else {})
        border = border_width(self.dtype)
        views = [answers[question].views if question in answers else () for question in (base, tuned)]
        urls = list(dict.fromkeys(answer.url for answer in answers.values()))
        return Scores(
            # Off the event loop, like reading the answers: both take a tenth of a millisecond per token and more.
            tokens=await asyncio.to_thread(_compare, response_ids, *views, keep=top_k, border=border),
            kl_kind="lower_bound",
            dtype=self.dtype,
            border_width=border,
            engine=ENGINE,
            engine_version=await self._version_words(urls or [tuned.checkpoint.engine, base.checkpoint.engine]),
            server=" and ".join(address(url) for url in urls),
        )

    async def _ask_all(self, questions: Iterable[_Question]) -> dict[_Question, _Answer]:
        """Ask side by side; the first failure stops the other and is raised alone."""
        try:
            async with asyncio.TaskGroup() as group:
                tasks = {question: group.create_task(self._ask(question)) for question in questions}
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return {question: task.result() for question, task in tasks.items()}

    async def _ask(self, question: _Question) -> _Answer:
        """Ask the servers of a checkpoint until one answers; asking again changes nothing."""
        checkpoint, broken = question.checkpoint, 0
        candidates = self.pool.candidates(checkpoint, "score")
        for url in candidates:
            last = url == candidates[-1]
            try:
                with explained(checkpoint.name, url):
                    # One scoring at a time per server: scoring needs memory that a server does not plan for.
                    async with self.pool.turns(url, "score").taken():
                        views = await self._ask_server(question, url, patient=last)
            except EngineError as error:
                self._blame(checkpoint, url, error)
                broken += not isinstance(error, EngineUnavailableError)
                if last or broken >= MOST_BROKEN or isinstance(error, RefusedRequestError):
                    raise
            else:
                # No proof that it streams: only a stream takes a server back.
                return _Answer(views, url)
        raise AssertionError("there is always a candidate")

    async def _ask_server(self, question: _Question, url: str, *, patient: bool) -> tuple[PartialView, ...]:
        checkpoint, server = question.checkpoint, self.pool.servers[url]
        timeout_s = self._score_timeout_s + SCORE_TIMEOUT_PER_TOKEN_S * len(question.ids)
        while True:
            k = self._largest_k[url]
            answer = await scored(
                server,
                checkpoint.served_name,
                question.ids,
                start=question.start,
                k=k,
                timeout_s=timeout_s,
                patient=patient,
            )
            if not isinstance(answer, Refused):
                return answer
            fewer = allowed_k(answer.status, answer.said)
            if fewer is None or not 0 < fewer < k:
                raise refusal(
                    answer.status,
                    answer.said,
                    checkpoint=checkpoint.name,
                    served_name=checkpoint.served_name,
                    url=url,
                )
            self._largest_k[url] = fewer

    async def _version_words(self, urls: Iterable[str]) -> str:
        return " and ".join(sorted({await self._version(url) for url in urls}))

    async def _version(self, url: str) -> str:
        """Ask for a version; a server that has gone since it answered keeps the one it had."""
        try:
            with explained(ENGINE, url):
                self._versions[url] = await version(self.pool.servers[url])
        except EngineError:
            return self._versions.get(url, "unknown")
        return self._versions[url]

    async def status(self) -> EngineStatus:
        """Ask every server for health, version and models; an unreachable one is a status, not an error."""
        found = dict(zip(self.pool.servers, await asyncio.gather(*map(self._state, self.pool.servers)), strict=True))
        versions = {answer.version for answer in found.values() if isinstance(answer, ServerState)}
        for checkpoint in self.checkpoints.values():
            if checkpoint.replicas:
                self.pool.look_again(checkpoint, checkpoint.servers)
        return EngineStatus(
            engine=ENGINE,
            version=" and ".join(sorted(versions)),
            dtype=self.dtype,
            checkpoints=tuple(
                checkpoint_status(
                    checkpoint,
                    [self._seen(checkpoint, url, found[url]) for url in checkpoint.servers],
                    self._checks.get(checkpoint.name),
                )
                for checkpoint in self.checkpoints.values()
            ),
        )

    async def _state(self, url: str) -> ServerState | AppError:
        here = [checkpoint for checkpoint in self.checkpoints.values() if url in checkpoint.servers]
        server = self.pool.servers[url]
        try:
            found = await state(server, checkpoint=here[0].name)
            if any(checkpoint.adapter for checkpoint in here):
                with explained(here[0].name, url):
                    found = replace(found, loads_adapters=await allows_changes(server))
        except AppError as error:
            return error
        return found

    def _seen(self, checkpoint: Checkpoint, url: str, found: ServerState | AppError) -> Seen:
        pool = self.pool
        aside = pool.replicas.aside(url, checkpoint.served_name) if checkpoint.replicas else None
        words = ""
        if aside is not None:
            why = "" if isinstance(found, AppError) else f" ({aside.why})"
            words = f"set aside{why}, tried again in {pool.replicas.seconds_left(aside):.0f} s"
        running, queued = pool.queued(url)
        return Seen(url, found, pool.leaking.get(url, ""), url in pool.isolated, words, running, queued)

    def traffic(self, names: Iterable[str]) -> list[Traffic]:
        """Tell of each server of these checkpoints what this process asks of it now; nothing is contacted."""
        found = [self.checkpoints[name] for name in names if name in self.checkpoints]
        urls = dict.fromkeys(url for checkpoint in found for url in checkpoint.servers)
        return [self.pool.traffic(url, [one for one in found if url in one.servers]) for url in urls]

    def remember(self, check: SelfCheck) -> None:
        """Show the result of a self-check in the status from now on."""
        self._checks[check.checkpoint] = check

    def forget(self, checkpoint: str) -> None:
        """Drop the result of a self-check: what was checked is not loaded any more."""
        self._checks.pop(checkpoint, None)

    def record_isolation(self, checkpoint: str, *, leak: str) -> None:
        """Keep what the probe found about the server of a checkpoint; one with a leak is not asked any more."""
        url = self._get(checkpoint).engine
        self.pool.isolated.discard(url)
        self.pool.leaking.pop(url, None)
        if leak:
            self.pool.leaking[url] = leak
        else:
            self.pool.isolated.add(url)


def _compare(
    response_ids: tuple[int, ...],
    base: tuple[PartialView, ...],
    tuned: tuple[PartialView, ...],
    *,
    keep: int,
    border: float,
) -> tuple[TokenShift, ...]:
    return tuple(
        from_partial(token, base_view, tuned_view, keep=keep, border=border)
        for token, base_view, tuned_view in zip(response_ids, base, tuned, strict=True)
    )


def _check_length(question: _Question) -> None:
    if question.start == 0:
        raise InvalidInputError(
            "The prompt is empty.", remedy="Write a prompt; the first token of all has no probability to score."
        )
    if len(question.ids) > MAX_SCORED_TOKENS:
        raise InvalidInputError(
            f"Prompt and response have {len(question.ids)} tokens; at most {MAX_SCORED_TOKENS} are scored.",
            remedy="Shorten the prompt or the response.",
        )
