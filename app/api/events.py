"""A run as server-sent events for programs: the same facts as the stored comparison, as they happen."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

from app.compare.answers import Fold
from app.compare.live import LiveRun, overall
from app.compare.runner import Ending, Event, TokenArrived, TokensScored
from app.shift.record import summary_dict, token_record
from app.shift.summary import summarise
from app.tokens.answer import Answer


async def json_events(run: LiveRun) -> AsyncIterator[str]:
    """Send a run from its beginning to its end; the id of an event counts the steps of the run it includes."""
    columns = [
        {"column": at, "checkpoint": one.checkpoint.name, "reference": one.checkpoint.base}
        for at, one in enumerate(run.plan.columns)
    ]
    yield event_text("started", {"id": run.id, "columns": columns}, 0)
    fold, seen = run.fold(0), 0
    async for length, events in run.follow(0):
        for at, event in enumerate(events, start=seen + 1):
            fold.take([event])
            for name, data in _messages(fold, event):
                yield event_text(name, data, at)
        seen = length
    yield event_text("done", {"id": run.id, "state": overall(run).value}, seen)


def event_text(name: str, data: dict[str, Any], at: int) -> str:
    """Write one event; JSON has no line breaks of its own, so the data is one line."""
    return f"id: {at}\nevent: {name}\ndata: {json.dumps(data, ensure_ascii=False, allow_nan=False)}\n\n"


def _messages(fold: Fold, event: Event) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(event, TokenArrived):
        answer = fold.answer(event.column)
        yield "token", {"column": event.column, "token": _token(answer, event.token.index)}
    elif isinstance(event, TokensScored):
        answer = fold.answer(event.column)
        places = range(event.start, event.start + len(event.shifts))
        yield "scored", {"column": event.column, "tokens": [_token(answer, index) for index in places]}
    elif isinstance(event, Ending):
        yield "column", _ended(fold.answer(event.column))


def _token(answer: Answer, index: int) -> dict[str, Any]:
    shift, text = answer.shifts[index], answer.texts[index]
    if shift is None:
        return {"i": index, "id": answer.ids[index], "text": text}
    return token_record(index, shift, text, answer.name(shift.id) or b"")


def _ended(answer: Answer) -> dict[str, Any]:
    return {
        "column": answer.position,
        "checkpoint": answer.checkpoint,
        "state": answer.state.value,
        "finish": answer.finish,
        "message": answer.message,
        "response_id": answer.response_id,
        "text": "".join(answer.texts),
        "summary": summary_dict(summarise(answer.scored)),
    }
