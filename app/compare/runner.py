"""Run the columns of a comparison together and tell what happens as one ordered sequence of events.

A column that fails or stalls never holds up the others. Engines that colour live deliver each token with its shift;
for the others the tokens so far are scored beside the stream each time their number doubles, and once more, wider, at
the end. The given first tokens of a branch arrive first and are scored beside the stream too; a branch as a whole is
always scored at the end, so that its trace is that of a response read in one go.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import cast

import structlog

from app.compare.plan import ColumnPlan, Plan
from app.engines.open import Engines
from app.engines.protocol import Decoding, Engine, FinishReason, Scores, Token
from app.engines.tokenizer import Pieces
from app.errors import AppError, EngineError, EngineTimeoutError
from app.shift.classes import border_width
from app.shift.trace import TokenShift

LIVE_TOP_K = 20
STORED_TOP_K = 100
FIRST_SCORING = 32
SILENCE_S = 300.0
SCORING_AFTER_STOP_S = 20.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ColumnStarted:
    """The column's request is with its engine."""

    column: int


@dataclass(frozen=True, slots=True)
class ColumnWaiting:
    """The column's request is in the queue of its server: `ahead` others must end before it begins; 0 as it does."""

    column: int
    ahead: int


@dataclass(frozen=True, slots=True)
class TokenArrived:
    """One more token; `text` is what it adds to the response (empty for specials and unfinished characters)."""

    column: int
    token: Token
    text: str


@dataclass(frozen=True, slots=True)
class TokensScored:
    """Shifts of tokens that arrived pending, or their final values; the first belongs to token `start`."""

    column: int
    start: int
    shifts: tuple[TokenShift, ...]


@dataclass(frozen=True, slots=True)
class ColumnDone:
    """The response is complete and every token of it is scored. `response_id` is known once it is stored."""

    column: int
    finish: FinishReason
    scores: Scores
    response_id: str | None = None


@dataclass(frozen=True, slots=True)
class ColumnFailed:
    """The engine gave up; `sentence` says why. `scores` covers the first tokens, or is None."""

    column: int
    sentence: str
    scores: Scores | None = None
    response_id: str | None = None


@dataclass(frozen=True, slots=True)
class ColumnStopped:
    """A person stopped it. `scores` covers the first tokens, or is None."""

    column: int
    scores: Scores | None = None
    response_id: str | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """Every column has ended; nothing follows."""


Ending = ColumnDone | ColumnFailed | ColumnStopped
Event = ColumnStarted | ColumnWaiting | TokenArrived | TokensScored | Ending | Finished


async def run_columns(
    engines: Engines, plan: Plan, *, stop: asyncio.Event | None = None, silence_s: float = SILENCE_S
) -> AsyncIterator[Event]:
    """Yield the events of all columns, in order within each, until `Finished`.

    Setting `stop` ends every running column with what it has. Closing the iterator ends the engines' work at once.
    `silence_s` is the longest wait for a next token before a column counts as failed.
    """
    # The server chooses how to count before this is first imported; the command line imports it for no reason else.
    from app.compare.counting import Counting  # noqa: PLC0415

    counting = Counting(plan)
    stop = stop or asyncio.Event()
    queue: asyncio.Queue[Event] = asyncio.Queue()
    # Tasks created in one go reach their engines in one step of the loop, so shared weights decode as one batch.
    tasks = [
        asyncio.create_task(_Column(position, column, plan.decoding, queue.put_nowait).run(engines, stop, silence_s))
        for position, column in enumerate(plan.columns)
    ]
    running = len(tasks)
    try:
        while running:
            event = await queue.get()
            running -= isinstance(event, Ending)
            counting.take(event)
            yield event
        yield Finished()
    finally:
        counting.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Column:
    """What one column has so far: its tokens, and the scores of the first of them."""

    def __init__(self, position: int, plan: ColumnPlan, decoding: Decoding, emit: Callable[[Event], None]) -> None:
        self.position = position
        self.plan = plan
        self.decoding = decoding
        self.emit = emit
        self.engine: Engine | None = None
        self.tokens: list[Token] = []
        self.scores: Scores | None = None

    @property
    def name(self) -> str:
        """The checkpoint's name, for sentences."""
        return self.plan.checkpoint.name

    async def run(self, engines: Engines, stop: asyncio.Event, silence_s: float) -> None:
        """Emit this column's events; exactly one ending, whatever happens."""
        self.emit(ColumnStarted(self.position))
        try:
            ending = await self._answer(engines, stop, silence_s)
        except AppError as error:
            ending = ColumnFailed(self.position, str(error), await self._known_scores())
        except Exception:  # noqa: BLE001
            # A column must end in words even for a mistake of ours; the traceback goes to the log.
            _log.exception("column_crashed", checkpoint=self.name)
            sentence = f"{self.name} stopped on an unexpected error; the server's log has the details."
            ending = ColumnFailed(self.position, sentence, self.scores)
        self.emit(ending)

    async def _answer(self, engines: Engines, stop: asyncio.Event, silence_s: float) -> Ending:
        self.engine = engine = engines.for_checkpoint(self.name)
        pieces = Pieces(engines.tokenizer_for(self.name))
        if await _stopped_before(stop, self._stream(engine, pieces, silence_s)):
            # The engine may be what made the person stop: do not wait for it for long.
            with suppress(EngineError, TimeoutError):
                async with asyncio.timeout(SCORING_AFTER_STOP_S):
                    await self._score_all(engine)
            return ColumnStopped(self.position, await self._known_scores())
        finish = self.tokens[-1].finish if self.tokens else None
        if finish is None:
            raise EngineError(f"{self.name} ended its answer without saying why.", remedy="Run it again.")
        return ColumnDone(self.position, finish, await self._score_all(engine))

    async def _stream(self, engine: Engine, pieces: Pieces, silence_s: float) -> None:
        for index, token_id in enumerate(self.plan.prefix_ids):
            self._accept(Token(index=index, id=token_id, logprob=0.0), pieces)
        given = len(self.tokens)
        next_scoring = max(FIRST_SCORING, 2 * given)
        scoring = asyncio.create_task(self._score_so_far(engine)) if given else None
        silence = _Silence(silence_s, self.name)
        request = replace(self.plan.request(self.decoding, top_k=LIVE_TOP_K), on_wait=self._waiting(silence))
        stream = engine.stream(request)
        try:
            async with aclosing(_timed(stream, silence)) as tokens:
                async for token in tokens:
                    self._accept(replace(token, index=given + token.index), pieces)
                    if token.shift is None and len(self.tokens) >= next_scoring and (scoring is None or scoring.done()):
                        next_scoring = 2 * len(self.tokens)
                        scoring = asyncio.create_task(self._score_so_far(engine))
        finally:
            if scoring is not None:
                scoring.cancel()
                await asyncio.gather(scoring, return_exceptions=True)

    def _waiting(self, silence: "_Silence") -> Callable[[int], None]:
        def told(ahead: int) -> None:
            silence.broken()
            self.emit(ColumnWaiting(self.position, ahead))

        return told

    def _accept(self, token: Token, pieces: Pieces) -> None:
        piece = pieces.push(token.id)
        self.tokens.append(token)
        text = piece.text + pieces.finish() if token.finish else piece.text
        # No page and not every database can hold a NUL; the id and its bytes keep what it was.
        self.emit(TokenArrived(self.position, token, text.replace("\x00", "\ufffd")))

    async def _score_so_far(self, engine: Engine) -> None:
        """Score what has arrived, beside the stream; a failure here is left to the last scoring to tell."""
        with suppress(EngineError):
            start = len(self.scores.tokens) if self.scores else 0
            self.scores = await self._score(engine, LIVE_TOP_K)
            self.emit(TokensScored(self.position, start, self.scores.tokens[start:]))

    async def _score_all(self, engine: Engine) -> Scores:
        """Return the scores of every token: those that came with the tokens, or one last, wider pass over all."""
        scores = await self._known_scores()
        if scores is None or any(token.shift is None for token in self.tokens):
            self.scores = scores = await self._score(engine, STORED_TOP_K)
            self.emit(TokensScored(self.position, 0, scores.tokens))
        return scores

    async def _score(self, engine: Engine, top_k: int) -> Scores:
        return await engine.score(
            self.plan.prompt_ids,
            tuple(token.id for token in self.tokens),
            top_k,
            checkpoint=self.name,
            reference=self.plan.checkpoint.base,
            reference_prompt_ids=self.plan.reference_prompt_ids,
        )

    async def _known_scores(self) -> Scores | None:
        """Return what is scored by now: a pass over the first tokens, and the shifts that came with the next ones."""
        known = self.scores.tokens if self.scores else ()
        came = takewhile(lambda shift: shift is not None, (token.shift for token in self.tokens[len(known) :]))
        shifts = known + cast("tuple[TokenShift, ...]", tuple(came))
        if len(shifts) == len(known) or self.engine is None:
            return self.scores
        status = await self.engine.status()
        # Only whoever sees the whole vocabulary knows an entropy, and only they know KL exactly.
        exact = all(shift.base_entropy is not None for shift in shifts)
        return Scores(
            tokens=shifts,
            kl_kind="exact" if exact else "lower_bound",
            dtype=status.dtype,
            border_width=border_width(status.dtype),
            engine=status.engine,
            engine_version=status.version,
        )


async def _stopped_before(stop: asyncio.Event, work: Coroutine[None, None, None]) -> bool:
    """Run `work` until it ends or `stop` is set, and tell whether it was stopped."""
    working, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            await working
            return False
        return True
    finally:
        for task in (working, stopping):
            task.cancel()
        await asyncio.gather(working, stopping, return_exceptions=True)


class _Silence:
    """The longest wait for a next token; a queue that moves on is a sign of life too."""

    def __init__(self, seconds: float, name: str) -> None:
        self.seconds, self.name = seconds, name
        self.limit: asyncio.Timeout | None = None

    def broken(self) -> None:
        """Begin to count again."""
        if self.limit is not None and not self.limit.expired():
            self.limit.reschedule(asyncio.get_running_loop().time() + self.seconds)


async def _timed(stream: AsyncIterator[Token], silence: _Silence) -> AsyncGenerator[Token]:
    """Pass tokens on; raise EngineTimeoutError when the next one takes too long."""
    async with aclosing(cast("AsyncGenerator[Token]", stream)):
        while True:
            try:
                async with asyncio.timeout(silence.seconds) as silence.limit:
                    token = await anext(stream)
            except StopAsyncIteration:
                return
            except TimeoutError as error:
                raise EngineTimeoutError(
                    f"{silence.name} sent no token for {silence.seconds:g} seconds.",
                    remedy="See whether its engine is busy or down.",
                ) from error
            yield token
