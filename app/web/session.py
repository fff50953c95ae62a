"""The signed session cookie: its name, and what starts and ends a session. It holds `uid` and `version` only."""

from typing import Any

from fastapi import Request
from itsdangerous import SignatureExpired, TimestampSigner
from starlette.middleware.sessions import SessionMiddleware
from starlette.types import ASGIApp

from app.settings import Settings
from models import Role, User


class _Signer(TimestampSigner):
    """Signs with the time, and takes back what was signed a little ahead of a clock that has been set back since."""

    def unsign(self, signed_value: str | bytes, max_age: int | None = None, return_timestamp: bool = False) -> Any:  # noqa: FBT001, FBT002
        """Return what was signed no longer than `max_age` seconds from now, either way. Raises BadSignature."""
        value, moment = super().unsign(signed_value, return_timestamp=True)
        apart = abs(self.get_timestamp() - int(moment.timestamp()))
        if max_age is not None and apart > max_age:
            msg = f"Signed {apart} s from now"
            raise SignatureExpired(msg, payload=value, date_signed=moment)
        return (value, moment) if return_timestamp else value


class Sessions(SessionMiddleware):
    """Sessions that do not end for everybody when the server's clock is put right, or differs between two servers."""

    def __init__(self, app: ASGIApp, *, secret_key: str, session_cookie: str, max_age: int, https_only: bool) -> None:
        super().__init__(app, secret_key, session_cookie, max_age, https_only=https_only)
        self.signer = _Signer(secret_key)


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
