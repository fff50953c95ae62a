"""The pages that belong to no feature: the door, and what tells an operator how the server is."""

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, PlainTextResponse, RedirectResponse
from prometheus_client import CONTENT_TYPE_LATEST

from app.web.gauges import Gauges
from app.web.metrics import exposition
from app.web.readiness import far_model_parts, model_parts, stored_parts
from app.web.session import home_of
from app.web.templates import render
from models import User

router = APIRouter()


@router.get("/")
def home(request: Request) -> Response:
    """Lead people who are signed in to their work; tell others what this is."""
    user: User | None = request.state.user
    if user is not None:
        return RedirectResponse(home_of(user), status_code=303)
    return render(request, "home.html")


@router.get("/healthz")
def healthz() -> PlainTextResponse:
    """Say that the process answers."""
    return PlainTextResponse("ok")


@router.get("/readyz")
async def readyz(request: Request) -> JSONResponse:
    """Say per part whether it works; 503 only where nothing could be saved, since stored work needs no model."""
    state = request.app.state
    parts = await run_in_threadpool(stored_parts, state.database, state.settings.data_dir, state.place)
    ready = all(part.ok for part in parts.values() if part.needed)
    parts |= await model_parts(state) if state.place.has_models else await far_model_parts(state.place)
    body = {"ready": ready, "parts": {name: part.told() for name, part in parts.items()}}
    return JSONResponse(body, status_code=200 if ready else 503)


@router.get("/metrics")
def metrics(request: Request) -> Response:
    """Serve what all processes counted, in Prometheus' text format."""
    state = request.app.state
    gauges = Gauges(state.database, state.settings.data_dir, state.place)
    counted = exposition(state.place.metrics if state.place.folder else None, gauges)
    return Response(counted, media_type=CONTENT_TYPE_LATEST)
