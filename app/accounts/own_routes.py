"""A person's own account: what it is, and their tokens."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from sqlmodel import Session

from app.accounts.access import CurrentUser
from app.accounts.own_data import own_data
from app.accounts.removal import ask_removal, who_asked
from app.accounts.tokens import DEFAULT_DAYS, MAX_DAYS, MAX_NAME, add_token, is_alive, revoke_token, tokens_of
from app.errors import AppError
from app.web.templates import render
from app.web.transactions import ReadSession, WriteSession
from models import ApiToken, Role, Scope, User
from models.base import now

router = APIRouter()

_SCOPES = {
    Scope.READ: "look: checkpoints, comparisons, studies, judgments, results",
    Scope.RUN: "run models, make and change studies",
    Scope.EXPORT: "take exports and tables away",
}


@dataclass(frozen=True, slots=True)
class TokenForm:
    """What was typed for a new token, what was wrong with it, and the secret of one just made, shown this once."""

    name: str = ""
    scopes: tuple[str, ...] = (Scope.READ.value,)
    days: str = str(DEFAULT_DAYS)
    problem: str = ""
    secret: str = ""


@router.get("/account")
def account(request: Request, session: ReadSession, user: CurrentUser) -> Response:
    """Show a person their account and where they can go from it."""
    asked = user.id in who_asked(session)
    return render(request, "accounts/account.html", owner=user.role == Role.OWNER, asked=asked)


@router.get("/account/data")
def data(session: ReadSession, user: CurrentUser) -> Response:
    """Give a person everything that is kept about them, as a file."""
    headers = {"Content-Disposition": 'attachment; filename="tuneshift-my-data.json"'}
    return JSONResponse(own_data(session, user), headers=headers)


@router.post("/account/removal")
def removal(session: WriteSession, user: CurrentUser) -> Response:
    """Write down that a person wants to be removed; an owner does it."""
    ask_removal(session, user)
    return RedirectResponse("/account", status_code=303)


@router.get("/account/tokens")
def tokens(request: Request, session: ReadSession, user: CurrentUser) -> Response:
    """Show a person's tokens and the form for a new one."""
    return _page(request, session, user, TokenForm())


@router.post("/account/tokens")
def make_token(
    request: Request,
    session: WriteSession,
    user: CurrentUser,
    name: Annotated[str, Form(max_length=1_000)] = "",
    scopes: Annotated[list[str], Form()] = [],  # noqa: B006 - FastAPI copies it
    days: Annotated[str, Form(max_length=20)] = str(DEFAULT_DAYS),
) -> Response:
    """Make a token and show its secret once; what is wrong comes back in the form."""
    typed = TokenForm(name=name, scopes=tuple(scopes), days=days)
    number = int(days) if days.strip().isascii() and days.strip().isdecimal() else 0
    try:
        _, secret = add_token(session, user, name=name, scopes=scopes, days=number, now=now())
    except AppError as error:
        session.rollback()
        wrong = TokenForm(typed.name, typed.scopes, typed.days, problem=str(error))
        return _page(request, session, user, wrong, status_code=error.status)
    return _page(request, session, user, TokenForm(secret=secret))


@router.post("/account/tokens/revoke")
def revoke(session: WriteSession, user: CurrentUser, token_id: Annotated[str, Form(max_length=40)]) -> Response:
    """End one of one's own tokens at once."""
    revoke_token(session, token_id, user_id=user.id, by=user.id, now=now())
    return RedirectResponse("/account/tokens", status_code=303)


def _page(request: Request, session: Session, user: User, form: TokenForm, *, status_code: int = 200) -> Response:
    moment = now()
    return render(
        request,
        "accounts/tokens.html",
        status_code=status_code,
        rows=[(one, _state(one)) for one in tokens_of(session, user.id)],
        form=form,
        scopes=[(scope.value, words) for scope, words in _SCOPES.items()],
        limits={"days": MAX_DAYS, "name": MAX_NAME},
        moment=moment,
    )


def _state(token: ApiToken) -> str:
    if token.revoked_at is not None:
        return "revoked"
    return "valid" if is_alive(token, now()) else "over"
