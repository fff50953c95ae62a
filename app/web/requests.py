"""What surrounds every request: an id for the log and the error page, a count, and a last resort for the unforeseen."""

import json
import re
import secrets
import time
from collections.abc import AsyncIterator, Iterable, Iterator

import structlog
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import InvalidInputError
from app.web.errors import unexpected_response
from app.web.metrics import count_request
from app.web.uploads import UPLOAD_PATHS

log = structlog.get_logger(__name__)

FORMS = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
# Asked for without end by machines.
_UNREMARKABLE = frozenset({"/static", "/healthz", "/readyz", "/metrics"})
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class RequestMiddleware:
    """Pure ASGI: gives the request its id, counts its answer, and turns an unforeseen exception into a 500 page."""

    def __init__(self, app: ASGIApp, *, log_requests: bool = False) -> None:
        self.app = app
        self.log_requests = log_requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the app; the id is in the log lines, in `X-Request-ID`, and on the error page."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = secrets.token_hex(6)
        started = time.perf_counter()
        status = 0

        async def send_counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
                _count(scope, status=status, seconds=time.perf_counter() - started, logged=self.log_requests)
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self.app(scope, receive, send_counted)
            except Exception:
                log.exception("unexpected error", method=scope["method"], route=_route(scope))
                if status:
                    # The answer has begun: only breaking it off tells the client that it is incomplete.
                    raise
                await unexpected_response(Request(scope), request_id)(scope, receive, send_counted)


def _count(scope: Scope, *, status: int, seconds: float, logged: bool) -> None:
    route = _route(scope)
    method = scope["method"] if scope["method"] in _METHODS else "other"
    count_request(method, route, status=status, seconds=seconds)
    if logged and route not in _UNREMARKABLE:
        log.info("request", method=method, route=route, status=status, ms=round(1000 * seconds, 1))


def _route(scope: Scope) -> str:
    """Name the route, not the path: paths hold ids and tokens, and would grow the metrics without end."""
    path: str = getattr(scope.get("route"), "path", "")
    return path or ("/static" if scope["path"].startswith("/static/") else "unmatched")


def content_type(request: Request) -> str:
    """Return the kind of body that was announced, in lower case and without its parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def refuse_unstorable(request: Request) -> AsyncIterator[None]:
    """Refuse text no database can keep, in the address, a form or JSON: NUL, and halves of surrogate pairs."""
    try:
        await _look_through(request)
        yield
    finally:
        # Nobody else closes the files of a form that was sent to a route without one.
        await request.close()


async def _look_through(request: Request) -> None:
    if _unstorable(request.url.path) or "%00" in request.scope["query_string"].decode("latin-1"):
        raise InvalidInputError("The address contains a NUL character.")
    kind = content_type(request)
    sent: Iterable[tuple[str, object]] = ()
    if request.url.path in UPLOAD_PATHS and kind == "multipart/form-data":
        # Reading it here would hold a whole file; `receive_upload` refuses the same in the form around it.
        return
    if kind in FORMS:
        sent = (await request.form()).multi_items()
    elif kind == "application/json":
        sent = _fields(await request.body())
    for name, value in sent:
        if _unstorable(name) or (isinstance(value, str) and _unstorable(value)):
            raise InvalidInputError(
                f"{name[:40]!r} contains a character that cannot be stored (NUL or half of a surrogate pair).",
                remedy="Remove it and send it again.",
            )


def _fields(body: bytes) -> Iterator[tuple[str, object]]:
    """Walk the fields of a JSON body, each with the name nearest to it; nothing comes of one that is not JSON."""
    try:
        waiting = [("the request", json.loads(body))]
    except (ValueError, RecursionError):
        return
    while waiting:
        name, value = waiting.pop()
        yield name, value
        if isinstance(value, dict):
            waiting += value.items()
        elif isinstance(value, list):
            waiting += [(name, entry) for entry in value]


def _unstorable(text: str) -> bool:
    return _UNSTORABLE.search(text) is not None
