"""The interface for programs as a whole: its routes under one address, their description, and a page to read it."""

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse

from app.accounts.access import ACCESS, Access, CurrentUser
from app.accounts.tokens import Bearer
from app.api import asking, exports, studies
from app.api.shapes import Failure, Me
from app.cells import utc_text
from app.compare.answers import APP_VERSION
from app.web.templates import render

_ABOUT = (
    "What the pages of Tuneshift do, for programs. Send `Authorization: Bearer tsh_…` with a token made under Account; "
    "a token may `read`, `run` (models, and changes to studies) or `export`. Every failure is "
    '`{"error": {"status", "message", "where", "remedy"}}`.'
)
_ERRORS = {
    code: {"model": Failure, "description": words}
    for code, words in {
        400: "It could not be read",
        401: "No token, or one that is not known, over or revoked",
        403: "The token or its person may not do this",
        404: "Not there, or not yours",
        409: "The state moved on",
        413: "Too large",
        422: "Something is missing or wrong",
        429: "Too many; wait as Retry-After says",
        502: "A model could not answer",
        503: "A model or a part of the server is not ready",
        504: "A model took too long",
    }.items()
}

_described = APIRouter(responses=_ERRORS)  # type: ignore[arg-type]


@_described.get("/api/v1/me", tags=["token"])
def me(request: Request, user: CurrentUser) -> Me:
    """Tell whom the token stands for, what it may do, and until when."""
    bearer: Bearer = request.state.bearer
    return Me(
        id=user.id,
        role=user.role.value,
        scopes=sorted(scope.value for scope in bearer.scopes),
        expires_at=utc_text(bearer.expires_at),
    )


for part in (asking, studies, exports):
    _described.include_router(part.router)

router = APIRouter()
router.include_router(_described)


@router.get("/api/v1/openapi.json", include_in_schema=False)
def description() -> Response:
    """Describe the interface in OpenAPI: these routes and no others."""
    return JSONResponse(schema())


@router.get("/api/v1/docs", include_in_schema=False)
def docs(request: Request) -> Response:
    """Show the description as a page."""
    return render(request, "api/docs.html", schema=schema(), scopes=_scopes())


def schema() -> dict[str, Any]:
    """Build the OpenAPI document, with the scope each operation needs."""
    found = get_openapi(title="Tuneshift", version=APP_VERSION, description=_ABOUT, routes=_described.routes)
    found.setdefault("components", {})["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    scopes = _scopes()
    for path, operations in found["paths"].items():
        for method, operation in operations.items():
            operation["operationId"] = operation["operationId"].partition("_api_v1_")[0]
            operation["security"] = [{"token": []}]
            operation["x-scope"] = scopes[method.upper(), path]
    return found


def _scopes() -> dict[tuple[str, str], str]:
    names = {Access.MAY_READ: "read", Access.MAY_RUN: "run", Access.MAY_EXPORT: "export"}
    return {row: names[needed] for row, needed in ACCESS.items() if needed in names}
