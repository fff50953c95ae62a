"""The pages that belong to no feature: the door, and what tells an operator how the server is."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse, RedirectResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from app.web.requests import METRICS
from app.web.templates import render
from models import Role, User

router = APIRouter()


def home_of(user: User) -> str:
    """Name the page a person starts on."""
    return "/judge" if user.role == Role.ANNOTATOR else "/explore"


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


@router.get("/metrics")
def metrics() -> Response:
    """Serve the counters in Prometheus' text format."""
    return Response(generate_latest(METRICS), media_type=CONTENT_TYPE_LATEST)
