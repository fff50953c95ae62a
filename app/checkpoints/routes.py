"""Which checkpoints there are, and whether they can answer."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse

from app.checkpoints.rows import attached_sets, rows
from app.db import reading
from app.engines.open import Engines
from app.web.readiness import CheckpointState, checkpoint_states
from app.web.templates import render

router = APIRouter()


@router.get("/checkpoints")
async def checkpoints_page(request: Request) -> Response:
    """List the registry with what each engine says now; asynchronous because engines are asked, not the database."""
    engines: Engines = request.app.state.engines
    states = await checkpoint_states(engines)
    return await run_in_threadpool(_page, request, engines, states)


def _page(request: Request, engines: Engines, states: Mapping[str, CheckpointState]) -> Response:
    with reading(request.app.state.database) as session:
        tuning_sets = attached_sets(session)
    return render(
        request,
        "checkpoints/page.html",
        rows=rows(engines.registry.checkpoints.values(), states, tuning_sets),
        registry=str(engines.registry.path),
        problem=request.app.state.registry_problem,
    )


@router.post("/checkpoints/check")
async def check(request: Request, name: Annotated[str, Form()] = "") -> Response:
    """Run a checkpoint's self-check now; its result stays on the page until the server stops."""
    engines: Engines = request.app.state.engines
    await engines.verify(name)
    return RedirectResponse("/checkpoints", status_code=303)
