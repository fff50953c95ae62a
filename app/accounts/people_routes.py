"""The accounts of a server, for owners: who there is, and removing what is known of a person."""

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse
from sqlmodel import Session, col, func, select

from app.accounts.access import CurrentUser
from app.accounts.removal import REMOVED_DOMAIN, is_removed, remove_person, who_asked
from app.errors import NotFoundError
from app.web.templates import render
from app.web.transactions import ReadSession, WriteSession
from models import Membership, User
from models.base import now

router = APIRouter()

PAGE = 100
WORD = "remove"


@router.get("/accounts")
def accounts(request: Request, session: ReadSession, page: int = 1) -> Response:
    """List accounts, those who asked to be removed first."""
    asked = who_asked(session)
    there = col(User.email).not_like(f"%@{REMOVED_DOMAIN}")
    total = session.exec(select(func.count()).select_from(User).where(there)).one()
    pages = max(1, -(-total // PAGE))
    at = min(max(page, 1), pages)
    query = select(User).where(there).order_by(col(User.id).in_(asked).desc(), col(User.created_at), col(User.id))
    people = session.exec(query.offset((at - 1) * PAGE).limit(PAGE)).all()
    return render(request, "accounts/accounts.html", people=people, asked=asked, total=total, page=at, pages=pages)


@router.get("/accounts/{user_id}/remove")
def removal_page(request: Request, session: ReadSession, user_id: str) -> Response:
    """Say what removing a person means, before anything happens."""
    return _page(request, session, user_id)


@router.post("/accounts/{user_id}/remove")
def remove(
    request: Request,
    session: WriteSession,
    user: CurrentUser,
    user_id: str,
    word: Annotated[str, Form(max_length=100)] = "",
) -> Response:
    """Remove a person, once the word that confirms it is typed."""
    if word.strip().lower() != WORD:
        return _page(request, session, user_id, problem=f"Type the word {WORD} to go on.", status_code=422)
    remove_person(session, _person(session, user_id), by=user.id, now=now())
    return RedirectResponse("/login" if user_id == user.id else "/accounts", status_code=303)


def _page(request: Request, session: Session, user_id: str, *, problem: str = "", status_code: int = 200) -> Response:
    person = _person(session, user_id)
    studies = session.exec(select(func.count()).where(Membership.user_id == person.id)).one()
    return render(
        request,
        "accounts/remove.html",
        status_code=status_code,
        person=person,
        studies=studies,
        word=WORD,
        problem=problem,
    )


def _person(session: Session, user_id: str) -> User:
    person = session.get(User, user_id)
    if person is None or is_removed(person):
        raise NotFoundError("There is no such account.")
    return person
