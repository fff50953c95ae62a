"""Refuse writes that another website made a browser send; no tokens in forms.

Browsers say where a request came from (after Filippo Valsorda's "Cross-Site Request Forgery", 2025, and Datasette).

1. GET, HEAD and OPTIONS change nothing and pass.
2. `Sec-Fetch-Site` decides where it is present: `same-origin` and `none` (typed by the person) pass, nothing else.
   Browsers send it to HTTPS and localhost only.
3. Otherwise `Origin` must name the host the request was sent to, or the public address of the app.
4. With neither, the client is no browser of this decade. It may write only without a session cookie, because a cookie
   is what a forged request would abuse.

Requests to the interface for programs that carry a token pass: a forged request has none, and no cookie counts there.
"""

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from app.errors import AccessDeniedError
from app.settings import Settings
from app.web.errors import error_response, is_api
from app.web.session import cookie_name

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class CSRFMiddleware:
    """Pure ASGI, so that streams pass through untouched."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self.settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 403 in words."""
        if scope["type"] != "http" or is_same_origin(request := Request(scope), settings=self.settings):
            await self.app(scope, receive, send)
            return
        error = AccessDeniedError(
            "This request seems to come from another website, so it was refused.",
            remedy="Open the page on this site and try again.",
        )
        await error_response(request, error)(scope, receive, send)


def is_same_origin(request: Request, *, settings: Settings) -> bool:
    """Tell whether a request is safe by method or came from our own pages, by the rules above."""
    if request.method in _SAFE_METHODS:
        return True
    if is_api(request.scope) and request.headers.get("authorization"):
        return True
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in {"same-origin", "none"}
    origin = request.headers.get("origin")
    if origin is None:
        return cookie_name(settings) not in request.cookies
    return _is_ours(origin, host=request.headers.get("host", ""), settings=settings)


def _is_ours(origin: str, *, host: str, settings: Settings) -> bool:
    if origin == settings.public_url.rstrip("/"):
        return True
    scheme, _, authority = origin.partition("://")
    # Behind a TLS proxy our own scheme reads http, so the origin's is judged by the setting alone.
    schemes = {"https"} if settings.https_only else {"http", "https"}
    return scheme in schemes and bool(host) and authority == host
