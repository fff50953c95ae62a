"""Which checkpoints there are, and whether they can answer."""

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from app.checkpoints.rows import rows
from app.web.readiness import checkpoint_states
from app.web.templates import render

router = APIRouter()


@router.get("/checkpoints")
async def checkpoints_page(request: Request) -> Response:
    """List the registry with what each engine says now; asynchronous because engines are asked, not the database."""
    engines = request.app.state.engines
    states = await checkpoint_states(engines)
    return await run_in_threadpool(
        render,
        request,
        "checkpoints/page.html",
        rows=rows(engines.registry.checkpoints.values(), states),
        registry=str(engines.registry.path),
        problem=request.app.state.registry_problem,
    )
