"""The monitor of a running study, and one judgment of it looked at whole. For researchers."""

from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, Field

from app.accounts.access import CurrentUser
from app.monitor.board import board_of
from app.monitor.choosing import CHOICES, ORDERS
from app.monitor.judgment import judgment_of
from app.monitor.listing import Asked, listing_of
from app.monitor.matrix import matrix_of, release, shown_in
from app.monitor.places import Places
from app.monitor.votes import members_of
from app.studies.queries import get_study
from app.web.templates import is_htmx, render
from app.web.transactions import ReadSession, WriteSession
from models.base import now

router = APIRouter()

_Page = Annotated[int, Field(ge=1, le=1_000_000)]


class _Looked(BaseModel):
    """The address of a monitor: the page of each of its lists."""

    items: _Page = 1
    people: _Page = 1
    annotators: _Page = 1
    hand: _Page = 1


class _Asked(BaseModel):
    """The address of a list of judgments."""

    what: Annotated[str, Field(max_length=40)] = "judged"
    order: Annotated[str, Field(max_length=40)] = "newest"
    annotator: Annotated[str, Field(max_length=64)] = ""
    item: Annotated[int | None, Field(ge=0, le=1_000_000)] = None
    pair: Annotated[str, Field(max_length=64)] = ""
    page: Annotated[int, Field(ge=1, le=1_000_000)] = 1


@router.get("/studies/{study_id}/monitor")
def monitor(
    request: Request, session: ReadSession, user: CurrentUser, study_id: str, looked: Annotated[_Looked, Query()]
) -> Response:
    """Show how a study stands now; an htmx request gets the part that changes."""
    study = get_study(session, study_id, user)
    moment, asked = now(), Places(**looked.model_dump())
    board = board_of(session, study, moment, asked)
    matrix = matrix_of(session, study, board.members, moment, rows=asked.items, columns=asked.people)
    return render(
        request,
        "monitor/_live.html" if is_htmx(request) else "monitor/page.html",
        study=study,
        board=board,
        matrix=matrix,
        places=Places(matrix.row_page, matrix.column_page, board.people.page, board.leases.page),
        moment=moment,
    )


@router.post("/studies/{study_id}/monitor/release")
def release_lease(
    session: WriteSession, user: CurrentUser, study_id: str, presentation_id: Annotated[str, Form(max_length=64)]
) -> Response:
    """End a lease by hand, so that somebody else may have the place."""
    study = get_study(session, study_id, user)
    shown = shown_in(session, study, presentation_id)
    pid = members_of(session, study)[shown.annotator_id].pid
    release(session, study, presentation_id, by=user, pid=pid, now=now())
    return RedirectResponse(f"/studies/{study.id}/monitor#leases", status_code=303)


@router.get("/studies/{study_id}/judgments")
def judgments(
    request: Request, session: ReadSession, user: CurrentUser, study_id: str, asked: Annotated[_Asked, Query()]
) -> Response:
    """List the judgments behind a number of the monitor, a page at a time."""
    study = get_study(session, study_id, user)
    listing = listing_of(session, study, Asked(**asked.model_dump()))
    return render(request, "monitor/judgments.html", study=study, listing=listing, choices=CHOICES, orders=ORDERS)


@router.get("/studies/{study_id}/judgments/{presentation_id}")
def judgment(
    request: Request, session: ReadSession, user: CurrentUser, study_id: str, presentation_id: str
) -> Response:
    """Show what one annotator was shown and every revision of their answer."""
    study = get_study(session, study_id, user)
    return render(request, "monitor/judgment.html", study=study, judgment=judgment_of(session, study, presentation_id))
