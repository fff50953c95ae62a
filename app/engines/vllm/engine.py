"""The `vllm` engine: checkpoints on any number of vLLM servers, streamed and scored over HTTP."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import httpx2

from app.engines.check import SelfCheck
from app.engines.protocol import CheckpointStatus, EngineStatus, Request, Scores, Token
from app.engines.registry import Checkpoint
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
from app.engines.vllm.faults import address, allowed_k, explained, refusal
from app.engines.vllm.wire import prompt_views
from app.errors import AppError, EngineError, InvalidInputError, NotFoundError
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
# Older CPU servers compute a base request that shares a step with an adapter's request with that adapter.
FIRST_ISOLATED_VERSION = (0, 33)


@dataclass(frozen=True, slots=True)
class _Question:
    """One model asked about given ids: views are wanted from position `start`."""

    checkpoint: Checkpoint
    ids: tuple[int, ...]
    start: int


class VllmEngine:
    """Obeys `app.engines.protocol.Engine` for every checkpoint whose `engine` is an address.

    HTTP does not tell a server's dtype, so it is a setting: "float32" for the servers Tuneshift launches on a CPU.
    """

    def __init__(
        self,
        checkpoints: Iterable[Checkpoint],
        *,
        dtype: str = "float32",
        api_key: str | None = None,
        read_timeout_s: float = 60.0,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        """Remember where the servers are; nothing is contacted. `transport` is for tests."""
        self.checkpoints = {checkpoint.name: checkpoint for checkpoint in checkpoints if not checkpoint.is_local}
        self.dtype = dtype
        self._servers = {
            checkpoint.engine: Server(
                url=checkpoint.engine, key=api_key, read_timeout_s=read_timeout_s, transport=transport
            )
            for checkpoint in self.checkpoints.values()
        }
        self._largest_k = dict.fromkeys(self._servers, BOUND_K)
        self._leaking: dict[str, str] = {}
        self._isolated: set[str] = set()
        self._checks: dict[str, SelfCheck] = {}
        self._turns: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, asyncio.Lock]] = WeakKeyDictionary()

    def server(self, checkpoint: str) -> Server:
        """Return the server of a checkpoint. Raises NotFoundError for a name without one."""
        return self._servers[self._get(checkpoint).engine]

    def _get(self, name: str) -> Checkpoint:
        if name not in self.checkpoints:
            known = ", ".join(self.checkpoints)
            raise NotFoundError(f"No vLLM server has a checkpoint {name!r}.", remedy=f"The registry knows: {known}.")
        return self.checkpoints[name]

    async def stream(self, request: Request) -> AsyncIterator[Token]:
        """Yield tokens as the server decodes them, without shifts; closing the iterator stops the server's work."""
        checkpoint = self._get(request.checkpoint)
        self._refuse_leaking(checkpoint)
        if not request.prompt_ids:
            raise InvalidInputError("The prompt is empty.", remedy="Write a prompt; a model needs one token to start.")
        body = completion_body(checkpoint.served_name, request.prompt_ids, request.decoding)
        server = self._servers[checkpoint.engine]
        async with aclosing(stream_tokens(server, body, checkpoint=checkpoint.name)) as tokens:
            async for token in tokens:
                yield token

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
            self._refuse_leaking(question.checkpoint)
        answers = await self._ask_all(dict.fromkeys([tuned, base]) if response_ids else {})
        border = border_width(self.dtype)
        views = (answers.get(base, ()), answers.get(tuned, ()))
        return Scores(
            # Off the event loop, like reading the answers: both take a tenth of a millisecond per token and more.
            tokens=await asyncio.to_thread(_compare, response_ids, *views, keep=top_k, border=border),
            kl_kind="lower_bound",
            dtype=self.dtype,
            border_width=border,
            engine=ENGINE,
            engine_version=await self._versions(tuned.checkpoint, base.checkpoint),
        )

    async def _ask_all(self, questions: Iterable[_Question]) -> dict[_Question, tuple[PartialView, ...]]:
        """Ask side by side; the first failure stops the other and is raised alone."""
        try:
            async with asyncio.TaskGroup() as group:
                tasks = {question: group.create_task(self._ask(question)) for question in questions}
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return {question: task.result() for question, task in tasks.items()}

    async def _ask(self, question: _Question) -> tuple[PartialView, ...]:
        checkpoint = question.checkpoint
        with explained(checkpoint.name, checkpoint.engine):
            async with self._turn(checkpoint.engine):
                body, k = await self._ask_server(question)
            # Megabytes of JSON would hold up every stream of this process.
            return await asyncio.to_thread(prompt_views, body, question.ids, start=question.start, k=k)

    async def _ask_server(self, question: _Question) -> tuple[bytes, int]:
        checkpoint = question.checkpoint
        timeout_s = SCORE_TIMEOUT_S + SCORE_TIMEOUT_PER_TOKEN_S * len(question.ids)
        while True:
            k = self._largest_k[checkpoint.engine]
            server = self._servers[checkpoint.engine]
            answer = await scored(server, checkpoint.served_name, question.ids, k=k, timeout_s=timeout_s)
            if not isinstance(answer, Refused):
                return answer, k
            fewer = allowed_k(answer.status, answer.said)
            if fewer is None or not 0 < fewer < k:
                raise refusal(
                    answer.status,
                    answer.said,
                    checkpoint=checkpoint.name,
                    served_name=checkpoint.served_name,
                    url=checkpoint.engine,
                )
            self._largest_k[checkpoint.engine] = fewer

    def _turn(self, url: str) -> asyncio.Lock:
        """One scoring at a time per server: scoring needs memory that a server does not plan for."""
        loop = asyncio.get_running_loop()
        return self._turns.setdefault(loop, defaultdict(asyncio.Lock))[url]

    async def _versions(self, *checkpoints: Checkpoint) -> str:
        versions = set()
        for url, name in {checkpoint.engine: checkpoint.name for checkpoint in checkpoints}.items():
            with explained(name, url):
                versions.add(await version(self._servers[url]))
        return " and ".join(sorted(versions))

    async def status(self) -> EngineStatus:
        """Ask every server for health, version and models; an unreachable one is a status, not an error."""
        found = dict(zip(self._servers, await asyncio.gather(*map(self._state, self._servers)), strict=True))
        versions = {answer.version for answer in found.values() if isinstance(answer, ServerState)}
        return EngineStatus(
            engine=ENGINE,
            version=" and ".join(sorted(versions)),
            dtype=self.dtype,
            checkpoints=tuple(
                self._status(checkpoint, found[checkpoint.engine]) for checkpoint in self.checkpoints.values()
            ),
        )

    async def _state(self, url: str) -> ServerState | AppError:
        name = next(name for name, checkpoint in self.checkpoints.items() if checkpoint.engine == url)
        try:
            return await state(self._servers[url], checkpoint=name)
        except AppError as error:
            return error

    def _status(self, checkpoint: Checkpoint, found: ServerState | AppError) -> CheckpointStatus:
        if isinstance(found, AppError):
            return CheckpointStatus(checkpoint=checkpoint.name, ready=False, detail=str(found))
        model = found.models.get(checkpoint.served_name)
        where = f"{address(checkpoint.engine)}, vLLM {found.version}"
        if model is None:
            served = ", ".join(found.models)
            detail = f"{where} serves {served}, not {checkpoint.served_name!r}; correct served_name in the registry."
            return CheckpointStatus(checkpoint=checkpoint.name, ready=False, detail=detail)
        if checkpoint.adapter is not None and model.parent is None:
            detail = f"{where} serves {model.name!r} as a full model, but the registry says it is an adapter."
            return CheckpointStatus(checkpoint=checkpoint.name, ready=False, detail=detail)
        if leak := self._leaking.get(checkpoint.engine):
            return CheckpointStatus(checkpoint=checkpoint.name, ready=False, detail=leak)
        kind = f"adapter on {model.parent!r}" if model.parent else "full model"
        doubt = "; not yet probed for adapters leaking into the base" if self._doubtful(checkpoint, found) else ""
        detail = f"{where}, {kind}{doubt}"
        check = self._checks.get(checkpoint.name)
        if check is None:
            return CheckpointStatus(checkpoint=checkpoint.name, ready=True, detail=detail)
        detail = f"{detail}; {check.detail}"
        return CheckpointStatus(checkpoint=checkpoint.name, ready=True, detail=detail, verified=check.passed)

    def _doubtful(self, checkpoint: Checkpoint, found: ServerState) -> bool:
        shared = any(model.parent for model in found.models.values())
        return shared and is_before(found.version, FIRST_ISOLATED_VERSION) and checkpoint.engine not in self._isolated

    def remember(self, check: SelfCheck) -> None:
        """Show the result of a self-check in the status from now on."""
        self._checks[check.checkpoint] = check

    def record_isolation(self, checkpoint: str, *, leak: str) -> None:
        """Keep what the probe found about the server of a checkpoint; with a leak its checkpoints are refused."""
        url = self._get(checkpoint).engine
        self._isolated.discard(url)
        self._leaking.pop(url, None)
        if leak:
            self._leaking[url] = leak
        else:
            self._isolated.add(url)

    def _refuse_leaking(self, checkpoint: Checkpoint) -> None:
        if leak := self._leaking.get(checkpoint.engine):
            raise EngineError(leak, remedy="Restart it with --max-loras one above its number of adapters.")


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


def is_before(found: str, wanted: tuple[int, int]) -> bool:
    """Tell whether a version such as "0.32.0+cpu" is older; one that cannot be read counts as old."""
    try:
        major, minor = (int(part) for part in found.split(".")[:2])
    except ValueError:
        return True
    return (major, minor) < wanted


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
