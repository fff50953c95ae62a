"""The open link of a study: what it is for, and joining by it."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse
from sqlmodel import Session

from app.accounts.routes import client_of
from app.errors import ConflictError, NotFoundError
from app.people.forms import external_id_in_address, external_id_in_form
from app.people.joining import JoinPage, is_new, join, join_page
from app.people.link import study_of
from app.web.session import sign_in
from app.web.templates import render
from app.web.transactions import ReadSession, WriteSession
from models import Study
from models.base import now

router = APIRouter()


@router.get("/join/{open_token}")
def open_link(
    request: Request,
    session: ReadSession,
    open_token: str,
    external_id: Annotated[str, Depends(external_id_in_address)],
) -> Response:
    """Show the study's name and what is asked; nothing happens before the button is pressed."""
    study = _known_study(request, session, open_token)
    return _page(request, join_page(session, study, request.state.user, external_id, now()))


@router.post("/join/{open_token}")
def join_study(
    request: Request,
    read: ReadSession,
    write: WriteSession,
    open_token: str,
    external_id: Annotated[str, Depends(external_id_in_form)],
) -> Response:
    """Join, be signed in, and go to the desk; the same external id is the same person."""
    user = request.state.user
    study = _known_study(request, read, open_token)
    if is_new(read, study, user, external_id):
        throttle = request.app.state.join_throttle
        throttle.check(client_of(request))
        throttle.count(client_of(request))
    try:
        locked = study_of(write, open_token, lock=True)
        person = join(write, locked, user, external_id, now(), secret=request.app.state.secret)
    except ConflictError as error:
        page = join_page(read, study, user, external_id, now())
        if not page.closed:
            raise
        return _page(request, page, status_code=error.status)
    sign_in(request, person)
    return RedirectResponse("/judge?stay", status_code=303)


def _known_study(request: Request, session: Session, token: str) -> Study:
    throttle, client = request.app.state.link_throttle, client_of(request)
    throttle.check(client)
    try:
        return study_of(session, token)
    except NotFoundError:
        throttle.count(client)
        raise


def _page(request: Request, page: JoinPage, *, status_code: int = 200) -> Response:
    path = request.url.path
    return render(request, "people/join.html", status_code=status_code, page=page, path=path)
