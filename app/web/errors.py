"""How failures reach a person: a page, a toast inside the page, or JSON; decided here and nowhere else."""

from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, RedirectResponse
from starlette.exceptions import HTTPException
from starlette.types import Scope

from app.accounts.access import signed_in
from app.errors import AppError, TooManyRequestsError
from app.storage import STORAGE_FAILURES, explained
from app.web.templates import is_htmx, render
from models import User

log = structlog.get_logger(__name__)

API = "/api/v1/"
_UNAUTHORIZED = 401
_NOT_FOUND = 404
_TITLES = {
    400: "That request could not be read",
    401: "Please sign in",
    403: "Not allowed",
    404: "Not found",
    405: "Not possible here",
    408: "That came too slowly",
    409: "Not possible as things stand",
    410: "No longer valid",
    413: "Too large",
    422: "Something is missing or wrong",
    429: "Too many attempts",
    500: "Something went wrong on our side",
    502: "A model could not answer",
    503: "Not ready yet",
    504: "A model took too long",
    507: "The server cannot store anything now",
}
_JSON = "Send a JSON object in UTF-8, not compressed, with Content-Type: application/json."
_SENTENCES = {
    404: "There is nothing at this address, or it is not yours to see.",
    405: "This address does not take that kind of request.",
    408: "What you sent did not come in time, so nothing of it was kept. Send it again over a better connection.",
    413: "What you sent is larger than the 2 MiB a page accepts.",
}


def add_error_handlers(app: FastAPI) -> None:
    """Register the handlers; exceptions nobody foresaw are caught by `RequestMiddleware`."""
    app.add_exception_handler(AppError, _on_app_error)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    for failure in STORAGE_FAILURES:
        app.add_exception_handler(failure, _on_storage_error)


def error_response(request: Request, error: AppError) -> Response:
    """Answer with a failure the app explains."""
    if error.status == _UNAUTHORIZED:
        return _sign_in_first(request, error)
    answer = _answer(request, status=error.status, message=error.message, remedy=error.remedy, where=error.where)
    if isinstance(error, TooManyRequestsError):
        answer.headers["Retry-After"] = str(error.retry_after_s)
    return answer


def unexpected_response(request: Request, request_id: str) -> Response:
    """Answer 500 without a word about what failed; the log has it under the same id."""
    # Whatever failed may fail again, so nothing is loaded for this page.
    request.state.user = None
    remedy = f"Try again; if it stays, tell whoever runs this server the code {request_id}."
    return _answer(request, status=500, message="The server met an error it did not expect.", remedy=remedy)


def safe_next(target: str) -> str:
    """Return `target` when it is a path on this site, else the home page."""
    inside = target.startswith("/") and not target.startswith("//") and "\\" not in target
    return target if inside and target.isprintable() else "/"


def _on_app_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, AppError)  # noqa: S101 - registered for this class only
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.warning("request failed", status=error.status, error=str(error))
    return error_response(request, error)


def _on_storage_error(request: Request, error: Exception) -> Response:
    """Say in words what a disk or database could not do; any other mistake stays unforeseen."""
    if (known := explained(error)) is None:
        raise error
    # The error itself quotes what was to be stored.
    log.error("storage failed", status=known.status, error=known.message, cause=str(getattr(error, "orig", error)))
    if not hasattr(request.state, "user"):
        # Who this is could not be read, and the page must not try again.
        request.state.user = None
    return error_response(request, known)


def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class only
    message = _SENTENCES.get(error.status_code, str(error.detail))
    unread = is_api(request.scope) and error.status_code == HTTPStatus.BAD_REQUEST
    response = _answer(request, status=error.status_code, message=message, remedy=_JSON if unread else "")
    response.headers.update(error.headers or {})
    return response


def _on_validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class only
    first = error.errors()[0]
    place = first["loc"][0] if first["loc"] else "request"
    if place == "path":
        return _answer(request, status=_NOT_FOUND, message=_SENTENCES[_NOT_FOUND])
    if is_api(request.scope) and (first["type"] == "json_invalid" or first["loc"] == ("body",)):
        return _answer(request, status=422, message=_no_object(first), remedy=_JSON)
    return _answer(request, status=422, message=_field_sentence(first), where=_field(first))


def _no_object(problem: dict[str, Any]) -> str:
    """Say what a body is that should have been a JSON object; where it breaks off, if it is none at all."""
    if problem["type"] == "json_invalid":
        return f"The body is no JSON: {problem['ctx']['error'].lower()} at character {problem['loc'][1] + 1}."
    return "There is no body." if problem["type"] == "missing" else "The body is no JSON object."


def _field_sentence(problem: dict[str, Any]) -> str:
    """Name the field and what is wrong with it, without repeating what was sent."""
    field = _field(problem) or "the request"
    reason = str(problem["msg"]).removeprefix("Value error, ")
    return f"{field}: {reason[:1].lower()}{reason[1:]}."


def _field(problem: dict[str, Any]) -> str:
    return " → ".join(str(part) for part in problem["loc"][1:])


def _sign_in_first(request: Request, error: AppError) -> Response:
    """Lead to the sign-in page and back; only a path on this site comes along. A program is told what it lacks."""
    if is_api(request.scope):
        answer = _answer(request, status=_UNAUTHORIZED, message=error.message, remedy=error.remedy)
        answer.headers["WWW-Authenticate"] = "Bearer"
        return answer
    if is_htmx(request):
        page = request.headers.get("HX-Current-URL", "")
        _, _, path = page.partition("://")[2].partition("/")
        return Response(status_code=_UNAUTHORIZED, headers={"HX-Redirect": _login_url(f"/{path}")})
    if request.method == "GET" and not _wants_json(request) and not _wants_stream(request):
        query = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(_login_url(f"{request.url.path}{query}"), status_code=303)
    return _answer(request, status=_UNAUTHORIZED, message=error.message, remedy=error.remedy)


def _login_url(came_from: str) -> str:
    target = safe_next(came_from.partition("#")[0])
    return "/login" if target == "/" else f"/login?next={quote(target, safe='/')}"


def _answer(request: Request, *, status: int, message: str, remedy: str = "", where: str = "") -> Response:
    if is_api(request.scope) or _wants_json(request):
        body = {"error": {"status": status, "message": message, "where": where, "remedy": remedy}}
        return JSONResponse(body, status_code=status, headers={"Vary": "HX-Request, Accept"})
    if _wants_stream(request):
        return PlainTextResponse(f"{message} {remedy}".strip(), status_code=status)
    title = _TITLES.get(status, "That did not work")
    if not is_htmx(request):
        if "session" in request.scope and not hasattr(request.state, "user"):
            # No route matched, so nobody has looked who this is; their way back is in the top bar.
            request.state.user = _known(request)
        words = {"status": status, "title": title, "message": message, "remedy": remedy, "code": _code(status, remedy)}
        return render(request, "errors/page.html", status_code=status, **words)
    response = render(request, "errors/_toast.html", status_code=status, title=title, message=message, remedy=remedy)
    response.headers["HX-Retarget"] = "#toasts"
    response.headers["HX-Reswap"] = "beforeend"
    return response


def _known(request: Request) -> User | None:
    """Load who this is for the top bar; an error page needs nobody when the database cannot tell."""
    try:
        return signed_in(request)
    except STORAGE_FAILURES:
        return None


def is_api(scope: Scope) -> bool:
    """Tell whether a request is to the interface for programs, which knows tokens, JSON and no cookies."""
    return bool(scope["path"].startswith(API))


def _wants_json(request: Request) -> bool:
    accept = request.headers.get("accept", "")
    return "application/json" in accept and "text/html" not in accept


def _wants_stream(request: Request) -> bool:
    return "text/event-stream" in request.headers.get("accept", "")


def _code(status: int, remedy: str) -> str:
    """Return the id under which the log has a failure of ours, unless the remedy names it already."""
    found = str(structlog.contextvars.get_contextvars().get("request_id", ""))
    return found if status >= HTTPStatus.INTERNAL_SERVER_ERROR and found not in remedy else ""
