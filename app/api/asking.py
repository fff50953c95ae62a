"""Compare and score for programs: the same runs and rules as the Explore page and `tuneshift score`."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Annotated

from fastapi import APIRouter, Body, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from app.accounts.access import CurrentUser
from app.api.events import json_events
from app.api.shapes import CheckpointOut, CompareIn, ScoreIn, ScoreOut, ScoreRecord
from app.compare.forms import CompareForm, CompareInput, check
from app.compare.live import LiveRun
from app.compare.plan import build_plan
from app.compare.readers import Readers
from app.compare.routes import start_run
from app.compare.scoring import score_lines
from app.db import reading
from app.errors import InvalidInputError
from app.share.document import of_comparison
from app.share.json_export import write_json
from app.web.metrics import STREAMS_OPEN
from app.web.transactions import ReadSession
from models import User

router = APIRouter(tags=["models"])

_STREAM = "text/event-stream"
_COMPARISON = {
    "description": "The comparison once every column has ended, or its events as they happen.",
    "content": {"application/json": {"schema": {"type": "object"}}, _STREAM: {"schema": {"type": "string"}}},
}


@router.get("/api/v1/checkpoints")
def checkpoints(request: Request) -> list[CheckpointOut]:
    """List the checkpoints of the registry."""
    entries = request.app.state.engines.registry.checkpoints.values()
    return [CheckpointOut(name=one.name, role=str(one.role), base=one.base) for one in entries]


@router.post("/api/v1/compare", response_class=Response, responses={200: _COMPARISON})
async def compare(request: Request, user: CurrentUser, sent: Annotated[CompareIn, Body()]) -> Response:
    """Ask checkpoints the same prompt, and see which tokens tuning shifted.

    With `Accept: text/event-stream` events come as they happen (`started`, `token`, `scored`, `column`, `done`); else
    the answer comes when every column has ended. Either way the comparison is stored, and goes on if you hang up.
    """
    if _STREAM in request.headers.get("accept", ""):
        readers: Readers = request.app.state.readers
        with readers.place(user.id):
            run = await run_in_threadpool(_start, request, sent, user)
        return StreamingResponse(_followed(readers, run, user), media_type=_STREAM)
    run = await run_in_threadpool(_start, request, sent, user)
    async for _ in run.follow(0):
        pass
    return await run_in_threadpool(_stored, request, run.id)


@router.get("/api/v1/comparisons/{comparison_id}", response_class=Response, responses={200: _COMPARISON})
def comparison(request: Request, session: ReadSession, comparison_id: str) -> Response:
    """Return a stored comparison with every reading of its answers; a running one has the columns that have ended."""
    of_comparison(session, comparison_id)
    return _stored(request, comparison_id)


@router.post("/api/v1/score")
async def score(request: Request, sent: Annotated[ScoreIn, Body()]) -> ScoreOut:
    """Score responses token by token under a tuned checkpoint and its base, as `tuneshift score` does."""
    settings = request.app.state.settings
    if sent.max_tokens > settings.max_new_tokens:
        raise InvalidInputError(f"At most {settings.max_new_tokens} tokens are generated.", where="max_tokens")
    _refuse_long(sent.records, settings.max_prompt_chars)
    records = score_lines(
        request.app.state.engines,
        base=sent.base,
        tuned=sent.tuned,
        lines=[json.dumps(one.model_dump(exclude_none=True)) for one in sent.records],
        top_k=sent.top_k,
        max_tokens=sent.max_tokens,
        source="records",
    )
    return ScoreOut(records=[record async for record in records])


def _refuse_long(records: list[ScoreRecord], limit: int) -> None:
    for at, one in enumerate(records, start=1):
        for field in ("prompt", "response"):
            if len(getattr(one, field) or "") > limit:
                raise InvalidInputError(
                    f"It has more than {limit:,} characters.",
                    where=f"records, line {at}: {field}",
                    remedy="Shorten it.",
                )


def _start(request: Request, sent: CompareIn, user: User) -> LiveRun:
    """Check by the rules of the page's form, then start."""
    engines, settings = request.app.state.engines, request.app.state.settings
    typed = CompareInput(
        prompt=sent.prompt,
        checkpoints=sent.checkpoints,
        temperature=repr(sent.temperature),
        max_tokens=str(sent.max_tokens),
        seed=str(sent.seed),
        base_prompt=sent.base_prompt,
    )
    asked = check(typed, known=list(engines.registry.checkpoints), settings=settings)
    if isinstance(asked, CompareForm):
        where, message = next(iter(asked.errors.items()))
        raise InvalidInputError(message, where=where)
    plan = build_plan(engines, asked.prompt, asked.checkpoints, base_prompt=asked.base_prompt, decoding=asked.decoding)
    return start_run(request, plan, user)


async def _followed(readers: Readers, run: LiveRun, user: User) -> AsyncIterator[str]:
    with readers.place(user.id), STREAMS_OPEN.track_inprogress():
        async for event in json_events(run):
            yield event


def _stored(request: Request, comparison_id: str) -> Response:
    def written() -> Iterator[str]:
        with reading(request.app.state.database) as session:
            yield from write_json(of_comparison(session, comparison_id))

    return Response("".join(written()), media_type="application/json")
