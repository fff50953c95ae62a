"""The pages that belong to no feature: the door, and what tells an operator how the server is."""

from dataclasses import asdict

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, PlainTextResponse, RedirectResponse
from prometheus_client import CONTENT_TYPE_LATEST

from app.web.metrics import exposition
from app.web.readiness import database_parts, disk_parts, model_parts
from app.web.session import home_of
from app.web.templates import render
from app.workers.place import Place
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
    """Say per part whether it works; 503 without a database and a disk to store in, but stored work needs no model."""
    state = request.app.state
    stored = await run_in_threadpool(database_parts, state.database)
    stored |= await run_in_threadpool(disk_parts, state.settings.data_dir, state.database)
    parts = stored | await model_parts(state)
    ready = all(part.ok for part in stored.values())
    body = {"ready": ready, "parts": {name: asdict(part) for name, part in parts.items()}}
    return JSONResponse(body, status_code=200 if ready else 503)


@router.get("/metrics")
def metrics(request: Request) -> Response:
    """Serve what all processes counted, in Prometheus' text format."""
    place: Place = request.app.state.place
    return Response(exposition(place.metrics if place.folder else None), media_type=CONTENT_TYPE_LATEST)
