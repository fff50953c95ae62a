"""The signed session cookie: its name, and what starts and ends a session. It holds `uid` and `version` only."""

from fastapi import Request

from app.settings import Settings
from models import Role, User


def cookie_name(settings: Settings) -> str:
    """Name the cookie; over HTTPS the prefix makes browsers refuse one planted by a sibling domain."""
    return "__Host-tuneshift_session" if settings.https_only else "tuneshift_session"


def sign_in(request: Request, user: User) -> None:
    """Start a fresh session for `user`; nothing of an earlier one survives."""
    request.session.clear()
    request.session.update(uid=user.id, version=user.session_version)
    request.state.user = user


def sign_out(request: Request) -> None:
    """End the session in this browser."""
    request.session.clear()
    request.state.user = None


def home_of(user: User) -> str:
    """Name the page a person starts on."""
    return "/judge" if user.role == Role.ANNOTATOR else "/explore"
