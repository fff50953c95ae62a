"""Which checkpoints there are, whether they can answer, and adapters loaded into servers that allow it."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse

from app.accounts.access import CurrentUser
from app.accounts.write_down import write_down
from app.checkpoints.rows import attached_sets, rows
from app.db import reading
from app.engines.loading import load_adapter, unload_adapter
from app.engines.open import Engines
from app.web.readiness import CheckpointState, checkpoint_states
from app.web.templates import is_htmx, render
from models import Role, User

router = APIRouter()

Name = Annotated[str, Form(max_length=200)]


@router.get("/checkpoints")
async def checkpoints_page(request: Request, user: CurrentUser) -> Response:
    """List the registry with what each engine says now; asynchronous because engines are asked, not the database."""
    return await _shown(request, user)


async def _shown(request: Request, user: User, said: str = "", acted: str = "") -> Response:
    engines: Engines = request.app.state.engines
    states = await checkpoint_states(engines)
    done = {"may_load": user.role == Role.OWNER, "said": said, "acted": acted}
    return await run_in_threadpool(_page, request, engines, states, done)


def _page(
    request: Request, engines: Engines, states: Mapping[str, CheckpointState], done: Mapping[str, Any]
) -> Response:
    with reading(request.app.state.database) as session:
        tuning_sets = attached_sets(session)
    return render(
        request,
        "checkpoints/_list.html" if is_htmx(request) else "checkpoints/page.html",
        rows=rows(engines.registry.checkpoints.values(), states, tuning_sets),
        registry=str(engines.registry.path),
        problem=request.app.state.registry_problem,
        **done,
    )


@router.post("/checkpoints/check")
async def check(request: Request, user: CurrentUser, name: Name = "") -> Response:
    """Run a checkpoint's self-check now; its result stays on the page until the server stops."""
    engines: Engines = request.app.state.engines
    await engines.verify(name)
    return await _done(request, user, f"{name} was checked.", f"check {name}")


@router.post("/checkpoints/load")
async def load(request: Request, user: CurrentUser, name: Name = "") -> Response:
    """Load an adapter of the registry into its servers; what it is and where it lies is the registry's word alone."""
    async with _written_down(request, user, "load", name):
        found = await load_adapter(request.app.state.engines, name)
    return await _done(request, user, f"{name} was loaded; {found.detail}.", f"adapter {name}")


@router.post("/checkpoints/unload")
async def unload(request: Request, user: CurrentUser, name: Name = "") -> Response:
    """Drop an adapter from its servers."""
    async with _written_down(request, user, "unload", name):
        await unload_adapter(request.app.state.engines, name)
    return await _done(request, user, f"{name} was unloaded.", f"adapter {name}")


@asynccontextmanager
async def _written_down(request: Request, user: User, what: str, name: str) -> AsyncIterator[None]:
    """Change what servers hold, and write down who did it and what came of it."""
    said = f"{what} of an adapter failed"
    try:
        yield
        said = f"adapter {what}ed"
    finally:
        # Only what the registry names: what else was typed could be anything.
        if name in request.app.state.engines.registry.checkpoints:
            await run_in_threadpool(write_down, request, user, said, detail=name)


async def _done(request: Request, user: User, said: str, acted: str) -> Response:
    """Show the list with what was said; the focus stays on the button that was pressed, or on the one in its place."""
    if is_htmx(request):
        return await _shown(request, user, said, acted)
    return RedirectResponse("/checkpoints", status_code=303)
