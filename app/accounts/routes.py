"""Signing in and out, and accepting an invitation."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.responses import RedirectResponse
from sqlmodel import Session

from app.accounts.access import CurrentUser
from app.accounts.audit import client_mark, record
from app.accounts.forms import AccountForm, Credentials, NewAccount, credentials, new_account
from app.accounts.passwords import hash_password, verify_password
from app.accounts.queries import (
    OpenInvite,
    accept_invite,
    add_user,
    end_sessions,
    find_invite,
    find_user,
)
from app.accounts.rules import password_problem
from app.accounts.throttle import ClientThrottle, LoginThrottle
from app.errors import NotFoundError, TooManyRequestsError
from app.web.errors import safe_next
from app.web.session import home_of, sign_in, sign_out
from app.web.templates import render
from app.web.transactions import ReadSession, WriteSession
from models import Role, User

router = APIRouter()

_WRONG = "That e-mail address and password do not belong together."


@router.get("/login")
def login_page(request: Request, next: str = "/") -> Response:  # noqa: A002 - the parameter's public name
    """Show the sign-in form, or lead those already signed in to where they were going."""
    if request.state.user is not None:
        return RedirectResponse(safe_next(next), status_code=303)
    return render(request, "accounts/login.html", form=AccountForm(), next=safe_next(next))


@router.post("/login")
def login(
    request: Request,
    read: ReadSession,
    write: WriteSession,
    typed: Annotated[Credentials, Depends(credentials)],
    next: Annotated[str, Form()] = "/",  # noqa: A002 - the parameter's public name
) -> Response:
    """Start a session for the right password; the answer to a wrong one does not tell whether the account exists."""
    try:
        user = _authenticate(request, typed, read=read, write=write)
    except TooManyRequestsError as error:
        form = AccountForm(email=typed.email, problem=f"{error.message} {error.remedy}")
        page = render(request, "accounts/login.html", status_code=error.status, form=form, next=safe_next(next))
        page.headers["Retry-After"] = str(error.retry_after_s)
        return page
    if user is None:
        form = AccountForm(email=typed.email, problem=_WRONG)
        return render(request, "accounts/login.html", status_code=422, form=form, next=safe_next(next))
    record(write, by=user.id, action="signed in", detail="with a password", client=_mark(request))
    sign_in(request, user)
    return RedirectResponse(safe_next(next), status_code=303)


@router.post("/logout")
def logout(request: Request, session: WriteSession, user: CurrentUser) -> Response:
    """End every session of this person: the cookie is signed, not stored, so a copy must die with it."""
    end_sessions(session, user_id=user.id)
    record(session, by=user.id, action="signed out", client=_mark(request))
    sign_out(request)
    return RedirectResponse("/login", status_code=303)


@router.get("/invite/{token}")
def invite_page(request: Request, token: str, session: ReadSession, account: str = "new") -> Response:
    """Show what the link is for. Opening it uses nothing up, so previews and scanners do no harm."""
    form = AccountForm(has_account=account == "existing")
    return _invite_page(request, _known_invite(request, session, token), form=form)


@router.post("/invite/{token}")
def accept(
    request: Request,
    token: str,
    read: ReadSession,
    write: WriteSession,
    typed: Annotated[NewAccount, Depends(new_account)],
) -> Response:
    """Accept: as the person the link names, as the person signed in, or with a new or existing account."""
    invite = _known_invite(request, read, token)
    if invite.guest_id is not None:
        found = _named_guest(invite, typed, session=write)
    elif request.state.user is not None:
        found = write.get_one(User, request.state.user.id)
    else:
        found = _by_form(request, typed, read=read, write=write)
    if isinstance(found, AccountForm):
        return _invite_page(request, invite, form=found, status_code=422)
    accept_invite(write, invite, user=found, secret=request.app.state.secret)
    record(write, by=found.id, action="signed in", detail="with a link", client=_mark(request))
    sign_in(request, found)
    to_judge = invite.study_id is not None and invite.role == Role.ANNOTATOR
    return RedirectResponse("/judge" if to_judge else home_of(found), status_code=303)


def _mark(request: Request) -> str:
    return client_mark(request.app.state.secret, client_of(request))


def client_of(request: Request) -> str:
    """Name the client by its socket; a header would let it choose its name."""
    return request.client.host if request.client else "unknown"


def _known_invite(request: Request, session: Session, token: str) -> OpenInvite:
    throttle: ClientThrottle = request.app.state.link_throttle
    throttle.check(client_of(request))
    try:
        return find_invite(session, token)
    except NotFoundError:
        throttle.count(client_of(request))
        raise


def _invite_page(request: Request, invite: OpenInvite, *, form: AccountForm, status_code: int = 200) -> Response:
    path = request.url.path
    return render(request, "accounts/invite.html", status_code=status_code, invite=invite, form=form, path=path)


def _named_guest(invite: OpenInvite, typed: NewAccount, *, session: WriteSession) -> User | AccountForm:
    """Return the person a sign-in link is for, with the first password they may choose on the way."""
    if not (typed.password and invite.guest_may_set_password):
        return session.get_one(User, invite.guest_id)
    if problem := password_problem(typed.password):
        return typed.shown(password=problem)
    password_hash = hash_password(typed.password)
    guest = session.get_one(User, invite.guest_id)
    guest.password_hash = password_hash
    # Whoever was signed in before this password was chosen has to know it from now on.
    guest.session_version += 1
    return guest


def _by_form(request: Request, typed: NewAccount, *, read: ReadSession, write: WriteSession) -> User | AccountForm:
    """Sign an existing account in or make a new one; a form with its errors when neither is possible."""
    if problems := typed.problems():
        return typed.shown(**problems)
    if typed.has_account or find_user(read, email=typed.email) is not None:
        user = _authenticate(request, Credentials(typed.email, typed.password), read=read, write=write)
        if user is None:
            return typed.shown(password=_WRONG)
        return write.get_one(User, user.id)
    return add_user(write, email=typed.email, name=typed.name, role=Role.ANNOTATOR, password=typed.password)


def _authenticate(request: Request, typed: Credentials, *, read: ReadSession, write: WriteSession) -> User | None:
    """Return the person if the password is right. The slow hash runs before the write session takes its lock."""
    throttle: LoginThrottle = request.app.state.login_throttle
    client = client_of(request)
    throttle.attempt(account=typed.email, client=client)
    user = find_user(read, email=typed.email)
    verdict = verify_password(typed.password, user.password_hash if user else None)
    if user is None or not verdict.ok or user.disabled_at is not None:
        # Whose account was tried, by its id alone: an address that has none may be a password typed in the wrong field.
        tried = {"about": user.id} if user else {"detail": "an address that has no account"}
        record(write, by=None, action="sign-in failed", client=_mark(request), **tried)
        return None
    throttle.succeeded(account=typed.email, client=client)
    if verdict.new_hash is not None:
        write.get_one(User, user.id).password_hash = verdict.new_hash
    return user
