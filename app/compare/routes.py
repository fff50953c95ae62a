"""Explore: ask, watch, come back. The only place of this feature that knows HTTP."""

from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import replace
from typing import Annotated

from anyio import from_thread
from fastapi import APIRouter, Depends, Form, Header, Query, Request, Response
from fastapi.responses import RedirectResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from sqlmodel import Session
from starlette.concurrency import run_in_threadpool

from app.accounts.access import CurrentUser
from app.compare import queries
from app.compare.branch_view import fork_view, mark_column
from app.compare.forms import Asked, CompareForm, CompareInput, check
from app.compare.live import LiveRun, LiveRuns
from app.compare.plan import Plan, build_plan
from app.compare.readers import Readers
from app.compare.stream import Page, live_events, stored_events
from app.db import reading, writing
from app.engines.open import Engines
from app.engines.prompts import BASE_PROMPTS
from app.engines.registry import Checkpoint
from app.errors import AccessDeniedError, InvalidInputError, NotFoundError
from app.shift.branching import DEFAULT_WINDOW, MAX_WINDOW
from app.tokens.answer import Answer
from app.tokens.controls import shown_from
from app.tokens.links import comparison_links
from app.tokens.panel import panel_view, pinned_views
from app.tokens.view import column_view, page_context
from app.web.metrics import STREAMS_OPEN
from app.web.templates import is_htmx, render
from app.web.transactions import ReadSession
from models import Role, RunState, User

router = APIRouter()


@router.get("/explore")
def explore(request: Request, session: ReadSession, user: CurrentUser) -> Response:
    """Show the form, and what this person ran lately."""
    known = _checkpoints(request)
    form = CompareForm(checkpoints=tuple(checkpoint.name for checkpoint in known[:3]))
    return _form_page(request, session, user, form)


@router.post("/compare")
def compare(
    request: Request, session: ReadSession, user: CurrentUser, sent: Annotated[CompareInput, Form()]
) -> Response:
    """Start a comparison and lead to its page; what is wrong comes back in the form with 422."""
    known = [checkpoint.name for checkpoint in _checkpoints(request)]
    asked = check(sent, known=known, settings=request.app.state.settings)
    if isinstance(asked, CompareForm):
        return _form_page(request, session, user, asked, status_code=422)
    try:
        plan = build_plan(
            request.app.state.engines,
            asked.prompt,
            asked.checkpoints,
            base_prompt=asked.base_prompt,
            decoding=asked.decoding,
        )
    except InvalidInputError as error:
        return _form_page(request, session, user, _again(asked, prompt=str(error)), status_code=422)
    run = start_run(request, plan, user)
    if is_htmx(request):
        return Response(status_code=204, headers={"HX-Redirect": f"/explore/{run.id}"})
    return RedirectResponse(f"/explore/{run.id}", status_code=303)


@router.get("/explore/{comparison_id}")
def comparison(
    request: Request,
    session: ReadSession,
    user: CurrentUser,
    comparison_id: str,
    window: Annotated[int, Query(ge=1, le=MAX_WINDOW)] = DEFAULT_WINDOW,
) -> Response:
    """Show a comparison: what has arrived when it is running here, else what is stored; never asks a model.

    A fork shows first what it left, and judges each branch over the next `window` tokens.
    """
    run = _live_runs(request).get(comparison_id)
    stored = queries.load(session, comparison_id)
    place = len(run.log) if run else 0
    answers = run.fold(place).answers() if run else stored.answers
    running = run is not None or stored.state in {RunState.PENDING, RunState.RUNNING}
    original = queries.load_original(session, stored)
    answers = _with_roles(request, (original, *answers) if original else answers)
    shown = shown_from(request.query_params)
    links = [comparison_links(comparison_id, answer, _names(request)) for answer in answers]
    return render(
        request,
        "explore/comparison.html",
        comparison=stored,
        columns=[
            mark_column(column_view(answer, link, shown), answer, stored.fork, window=window)
            for answer, link in zip(answers, links, strict=True)
        ],
        fork=fork_view(stored.fork, original, answers, window=window) if stored.fork and original else None,
        pins=pinned_views(answers, links, shown),
        running=running,
        may_stop=run is not None and _may_stop(run, user),
        stream_url=f"/compare/{comparison_id}/stream?after={place}&window={window}",
        **page_context(shown),
        base_prompts=BASE_PROMPTS,
        form=_form_of(stored),
    )


def _existing(request: Request, comparison_id: str) -> None:
    """Answer 404 before a stream begins; afterwards it is too late for a status."""
    if _live_runs(request).get(comparison_id) is None:
        with reading(request.app.state.database) as session:
            queries.state_of(session, comparison_id)


async def _place(request: Request, user: CurrentUser) -> AsyncIterator[None]:
    """Hold one of the places for readers until the response has ended, however it ends."""
    readers: Readers = request.app.state.readers
    with readers.place(user.id), STREAMS_OPEN.track_inprogress():
        yield


@router.get(
    "/compare/{comparison_id}/stream",
    response_class=EventSourceResponse,
    dependencies=[Depends(_existing), Depends(_place)],
)
async def stream(
    request: Request,
    comparison_id: str,
    after: Annotated[int, Query(ge=0)] = 0,
    window: Annotated[int, Query(ge=1, le=MAX_WINDOW)] = DEFAULT_WINDOW,
    last_event_id: Annotated[str, Header()] = "",
) -> AsyncIterable[ServerSentEvent]:
    """Send a comparison as it happens: from `after`, or from where a reconnecting reader says it was."""
    run = _live_runs(request).get(comparison_id)
    place = int(last_event_id) if last_event_id.isdecimal() else after
    page = Page(comparison_id, _names(request), window)
    events = live_events(run, place, page) if run else stored_events(request.app.state.database, page)
    async for event in events:
        yield event


@router.post("/compare/{comparison_id}/stop")
async def stop(request: Request, user: CurrentUser, comparison_id: str) -> Response:
    """End a running comparison; its columns keep what they have."""
    run = _live_runs(request).get(comparison_id)
    if run is None:
        await run_in_threadpool(_existing, request, comparison_id)
    elif not _may_stop(run, user):
        raise AccessDeniedError("Only the person who started a comparison can stop it.")
    else:
        run.stop.set()
    if is_htmx(request):
        return Response(status_code=204)
    return RedirectResponse(f"/explore/{comparison_id}", status_code=303)


@router.get("/explore/{comparison_id}/responses/{position}/tokens/{index}")
def token(request: Request, session: ReadSession, comparison_id: str, position: int, index: int) -> Response:
    """Show one token under both models: a fragment for the panel, a page for everybody else."""
    run = _live_runs(request).get(comparison_id)
    # The response a fork left stands after its columns, and is stored.
    live = run is not None and position != len(run.plan.columns)
    answer = (
        _live_answer(run, position)
        if run and live
        else queries.load_answer(session, comparison_id, position, index=index)
    )
    if not 0 <= index < len(answer.ids):
        raise NotFoundError(f"This answer has no token {index}.", remedy=f"It has {len(answer.ids)}.")
    name = "explore/_panel.html" if is_htmx(request) else "explore/token.html"
    links = comparison_links(comparison_id, answer, _names(request))
    panel = panel_view(answer, index, links, shown_from(request.query_params))
    return render(request, name, panel=panel, back=f"/explore/{comparison_id}")


def _live_answer(run: LiveRun, position: int) -> Answer:
    if not 0 <= position < len(run.plan.columns):
        raise NotFoundError(f"There is no column {position} in this comparison.", remedy="Check the link.")
    return run.fold().answer(position)


def start_run(request: Request, plan: Plan, user: User) -> LiveRun:
    """Take a place, write the rows, then start: a run that is not in the database never begins."""
    live = _live_runs(request)
    run = LiveRun(plan, owner=user.id, engines=request.app.state.engines)
    from_thread.run_sync(live.admit, run)
    try:
        with writing(request.app.state.database) as session:
            queries.add_comparison(session, run.id, plan, user=user)
    except BaseException:
        from_thread.run_sync(live.drop, run)
        raise
    from_thread.run_sync(live.start, run)
    return run


def _form_page(
    request: Request, session: Session, user: User, form: CompareForm, *, status_code: int = 200
) -> Response:
    # A failed post from the page replaces the form alone.
    name = "explore/_form.html" if is_htmx(request) and form.errors else "explore/page.html"
    return render(
        request,
        name,
        status_code=status_code,
        form=form,
        checkpoints=_checkpoints(request),
        base_prompts=BASE_PROMPTS,
        registry_problem=request.app.state.registry_problem,
        recent=queries.recent(session, user),
        max_new_tokens=request.app.state.settings.max_new_tokens,
        max_prompt_chars=request.app.state.settings.max_prompt_chars,
    )


def _again(asked: Asked, **errors: str) -> CompareForm:
    return CompareForm(
        prompt=asked.prompt,
        checkpoints=asked.checkpoints,
        temperature=f"{asked.decoding.temperature:g}",
        max_tokens=str(asked.decoding.max_tokens),
        seed=str(asked.decoding.seed),
        base_prompt=asked.base_prompt.value,
        errors=errors,
    )


def _form_of(stored: queries.Stored) -> CompareForm:
    """Return the form that would ask a stored comparison again."""
    return CompareForm(
        prompt=stored.prompt,
        checkpoints=tuple(answer.checkpoint for answer in stored.answers),
        temperature=f"{stored.decoding['temperature']:g}",
        max_tokens=str(stored.decoding["max_tokens"]),
        seed=str(stored.decoding["seed"]),
        base_prompt=stored.base_prompt,
    )


def _checkpoints(request: Request) -> tuple[Checkpoint, ...]:
    """List the checkpoints of the registry; none when there is no registry yet."""
    engines: Engines | None = request.app.state.engines
    return tuple(engines.registry.checkpoints.values()) if engines is not None else ()


def _names(request: Request) -> tuple[str, ...]:
    return tuple(checkpoint.name for checkpoint in _checkpoints(request))


def _with_roles(request: Request, answers: tuple[Answer, ...]) -> tuple[Answer, ...]:
    """Fill in the role of a column that stored no response from the registry, where it still knows the checkpoint."""
    roles = {checkpoint.name: checkpoint.role for checkpoint in _checkpoints(request)}
    return tuple(
        answer if answer.role else replace(answer, role=roles.get(answer.checkpoint, "")) for answer in answers
    )


def _live_runs(request: Request) -> LiveRuns:
    runs: LiveRuns = request.app.state.live_runs
    return runs


def _may_stop(run: LiveRun, user: User) -> bool:
    return user.id == run.owner or user.role == Role.OWNER
