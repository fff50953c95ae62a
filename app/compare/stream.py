"""A run as server-sent events: HTML fragments, rendered by the same templates as the stored page.

| event | data |
|---|---|
| `tokens-0` | spans of column 0, to append |
| `scored-0` | spans of column 0 whose class is known now, to take over |
| `head-0`, `more-0` | the head of column 0, which has ended, and what stands below its text, to replace |
| `head-0` alone | column 0 waits for its turn; the head says for how many requests |
| `column-0` | the whole column 0, to replace: sent instead of the others once the run is in the database |
| `mark` | nothing to show; moves the reader's place |
| `done` | an announcement; nothing follows |
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass

from fastapi.sse import ServerSentEvent
from sqlalchemy import Engine as Database
from starlette.concurrency import run_in_threadpool

from app.compare import queries
from app.compare.answers import Fold
from app.compare.branch_view import mark_column, mark_tokens
from app.compare.live import LiveRun
from app.compare.plan import Fork
from app.compare.runner import ColumnStarted, ColumnWaiting, Ending, Event, Finished, TokenArrived, TokensScored
from app.db import reading
from app.shift.branching import DEFAULT_WINDOW
from app.tokens.answer import Answer
from app.tokens.links import comparison_links
from app.tokens.view import ColumnView, column_view, token_views
from app.web.templates import fragment
from models import RunState

POLL_S = 1.0
# Tokens that arrive together leave together; more often than this no screen shows.
FRAME_S = 0.03


@dataclass(frozen=True, slots=True)
class Page:
    """Who is watching: the comparison, the checkpoints it may be forked to, and how far branches are judged."""

    comparison_id: str
    checkpoints: tuple[str, ...] = ()
    window: int = DEFAULT_WINDOW

    def column(self, answer: Answer, fork: Fork | None) -> ColumnView:
        """Show a column as the page does."""
        view = column_view(answer, comparison_links(self.comparison_id, answer, self.checkpoints))
        return mark_column(view, answer, fork, window=self.window)


async def live_events(run: LiveRun, after: int, page: Page) -> AsyncIterator[ServerSentEvent]:
    """Send everything from the `after`-th event on, then follow. The id of an event is how much the reader has then."""
    fold = run.fold(after)
    async for length, events in run.follow(after):
        *earlier, last = *_messages(run, fold.take(events), events, page), ServerSentEvent(event="mark", raw_data="")
        for message in earlier:
            yield message
        # A reader that reconnects must get a batch again unless it has all of it, so the place moves at its end.
        yield last.model_copy(update={"id": str(length)})
        await asyncio.sleep(FRAME_S)
    yield done(fold.answers())


async def stored_events(database: Database, page: Page) -> AsyncIterator[ServerSentEvent]:
    """Send the stored columns of a run that is not live here, as soon as it has ended."""
    stored = await run_in_threadpool(_load, database, page.comparison_id)
    while stored.state in {RunState.PENDING, RunState.RUNNING}:
        # Another worker has it.
        await asyncio.sleep(POLL_S)
        stored = await run_in_threadpool(_load, database, page.comparison_id)
    for answer in stored.answers:
        html = fragment("explore/_column.html", column=page.column(answer, stored.fork))
        yield ServerSentEvent(event=f"column-{answer.position}", raw_data=html)
    yield done(stored.answers)


def done(answers: Sequence[Answer]) -> ServerSentEvent:
    """Build the terminal event; its words are read out once."""
    words = "; ".join(f"{view.checkpoint} {view.words}" for view in map(column_view, answers))
    return ServerSentEvent(event="done", raw_data=fragment("explore/_announcement.html", words=words))


def _load(database: Database, comparison_id: str) -> queries.Stored:
    with reading(database) as session:
        return queries.load(session, comparison_id)


def _messages(run: LiveRun, fold: Fold, events: Sequence[Event], page: Page) -> Iterator[ServerSentEvent]:
    """Join what is new into a few messages per column."""
    per_column: dict[int, list[Event]] = {}
    for event in events:
        if not isinstance(event, Finished | ColumnStarted):
            per_column.setdefault(event.column, []).append(event)
    for column, mine in per_column.items():
        yield from _column_messages(fold.answer(column), mine, run.plan.fork, page)


def _column_messages(
    answer: Answer, events: Sequence[Event], fork: Fork | None, page: Page
) -> Iterator[ServerSentEvent]:
    arrived = [event.token.index for event in events if isinstance(event, TokenArrived)]
    scored = {
        event.start + offset
        for event in events
        if isinstance(event, TokensScored)
        for offset in range(len(event.shifts))
    } - set(arrived)
    if arrived:
        yield _spans(f"tokens-{answer.position}", answer, arrived, fork)
    if scored:
        yield _spans(f"scored-{answer.position}", answer, sorted(scored), fork)
    ended = any(isinstance(event, Ending) for event in events)
    if ended or any(isinstance(event, ColumnWaiting) for event in events):
        view = page.column(answer, fork)
        for part in ("head", "more") if ended else ("head",):
            html = fragment(f"explore/_{part}.html", column=view)
            yield ServerSentEvent(event=f"{part}-{answer.position}", raw_data=html)


def _spans(event: str, answer: Answer, indices: Sequence[int], fork: Fork | None) -> ServerSentEvent:
    html = fragment("explore/_spans.html", tokens=mark_tokens(token_views(answer, indices), fork))
    return ServerSentEvent(event=event, raw_data=html)
