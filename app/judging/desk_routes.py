"""The annotator's desk and what leads on from it. Everything here is built from `Desk`, which knows no checkpoint."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from app.accounts.access import CurrentUser
from app.db import ReadSession, WriteSession
from app.errors import NotFoundError
from app.judging.claims import claim
from app.judging.desk import desks_of
from app.web.templates import render
from models import Membership, Study
from models.base import now

router = APIRouter()


@router.get("/judge")
def desk(request: Request, session: ReadSession, user: CurrentUser) -> Response:
    """Show the studies an annotator judges in; with work in hand in the only one, lead straight to it."""
    moment = now()
    desks = desks_of(session, user, moment)
    if len(desks) == 1 and desks[0].in_hand and request.query_params.get("stay") is None:
        return RedirectResponse(f"/judge/{desks[0].in_hand}", status_code=303)
    return render(request, "judging/desk.html", desks=desks, moment=moment)


@router.post("/judge/next")
def next_item(
    request: Request, session: WriteSession, user: CurrentUser, study_id: Annotated[str, Form(max_length=40)]
) -> Response:
    """Take the next item of a study and lead to it; back to the desk where there is none."""
    study = session.get(Study, study_id)
    if study is None or session.get(Membership, (study_id, user.id)) is None:
        raise NotFoundError("There is no such study, or you are not one of its annotators.")
    return RedirectResponse(next_url(claim(session, study, user, now(), lease=lease_of(request))), status_code=303)


def next_url(token: str | None) -> str:
    """Name the page after a claim: the item, or the desk where there is none."""
    return f"/judge/{token}" if token else "/judge?stay"


def lease_of(request: Request) -> timedelta:
    """How long an item is reserved for whoever has it in hand."""
    return timedelta(minutes=request.app.state.settings.lease_minutes)
