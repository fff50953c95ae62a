"""Who may reach which route. The table is the enforcement: a route without a row stops the app from starting.

Rows say what kind of person a route is for; whether *this* study or presentation is theirs is decided by the query
that loads it, which answers 404 for anybody else's.
"""

from collections.abc import Iterable
from contextlib import suppress
from enum import StrEnum
from typing import Annotated

from fastapi import Depends, Request
from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute

from app.accounts.limits import Limits
from app.accounts.tokens import Bearer, find_bearer, note_use
from app.db import reading, writing
from app.errors import AccessDeniedError, AppError
from app.storage import STORAGE_FAILURES
from models import Role, Scope, User
from models.base import now


class Access(StrEnum):
    """The least a person must be, or what their token must allow."""

    PUBLIC = "public"
    SIGNED_IN = "signed in"
    RESEARCHER = "researcher"
    OWNER = "owner"
    MAY_READ = "a token that may read"
    MAY_RUN = "a token that may run"
    MAY_EXPORT = "a token that may export"


class SignInRequiredError(AppError):
    """Nobody is signed in, or the session ended."""

    status = 401


ACCESS: dict[tuple[str, str], Access] = {
    ("GET", "/healthz"): Access.PUBLIC,
    ("GET", "/readyz"): Access.PUBLIC,
    ("GET", "/metrics"): Access.PUBLIC,
    ("GET", "/"): Access.PUBLIC,
    # accounts
    ("GET", "/login"): Access.PUBLIC,
    ("POST", "/login"): Access.PUBLIC,
    ("POST", "/logout"): Access.SIGNED_IN,
    ("GET", "/invite/{token}"): Access.PUBLIC,
    ("POST", "/invite/{token}"): Access.PUBLIC,
    ("GET", "/account"): Access.SIGNED_IN,
    ("GET", "/account/tokens"): Access.RESEARCHER,
    ("POST", "/account/tokens"): Access.RESEARCHER,
    ("POST", "/account/tokens/revoke"): Access.RESEARCHER,
    ("GET", "/account/data"): Access.SIGNED_IN,
    ("POST", "/account/removal"): Access.SIGNED_IN,
    ("GET", "/accounts"): Access.OWNER,
    ("GET", "/accounts/{user_id}/remove"): Access.OWNER,
    ("POST", "/accounts/{user_id}/remove"): Access.OWNER,
    ("GET", "/audit"): Access.OWNER,
    ("GET", "/audit.csv"): Access.OWNER,
    # people
    ("GET", "/join/{open_token}"): Access.PUBLIC,
    ("POST", "/join/{open_token}"): Access.PUBLIC,
    ("GET", "/studies/{study_id}/people"): Access.RESEARCHER,
    ("GET", "/studies/{study_id}/people/{pid}"): Access.RESEARCHER,
    ("POST", "/studies/{study_id}/people/{pid}/pause"): Access.RESEARCHER,
    ("POST", "/studies/{study_id}/people/{pid}/remove"): Access.RESEARCHER,
    ("POST", "/studies/{study_id}/people/{pid}/resume"): Access.RESEARCHER,
    ("POST", "/studies/{study_id}/people/{pid}/try"): Access.RESEARCHER,
    ("POST", "/studies/{study_id}/people/invites"): Access.RESEARCHER,
    ("POST", "/studies/{study_id}/people/invites/revoke"): Access.RESEARCHER,
    ("POST", "/studies/{study_id}/people/link"): Access.RESEARCHER,
    # checkpoints
    ("GET", "/checkpoints"): Access.RESEARCHER,
    ("POST", "/checkpoints/check"): Access.RESEARCHER,
    ("POST", "/checkpoints/load"): Access.OWNER,
    ("POST", "/checkpoints/unload"): Access.OWNER,
    # compare
    ("GET", "/explore"): Access.RESEARCHER,
    ("GET", "/explore/{comparison_id}"): Access.RESEARCHER,
    ("GET", "/explore/{comparison_id}/responses/{position}/tokens/{index}"): Access.RESEARCHER,
    ("POST", "/compare"): Access.RESEARCHER,
    ("GET", "/compare/{comparison_id}/stream"): Access.RESEARCHER,
    ("POST", "/compare/{comparison_id}/stop"): Access.RESEARCHER,
    ("POST", "/responses/{response_id}/fork"): Access.RESEARCHER,
    ("GET", "/responses/{response_id}/branches"): Access.RESEARCHER,
    # share
    ("GET", "/responses/{response_id}/export.{format_}"): Access.RESEARCHER,
    ("GET", "/explore/{comparison_id}/export.{format_}"): Access.RESEARCHER,
    # responses
    ("GET", "/responses/new"): Access.RESEARCHER,
    ("POST", "/responses"): Access.RESEARCHER,
    ("GET", "/responses/{response_id}"): Access.RESEARCHER,
    ("POST", "/responses/{response_id}/readings"): Access.RESEARCHER,
    ("GET", "/responses/{response_id}/measures"): Access.RESEARCHER,
    ("GET", "/responses/{response_id}/tokens/{index}"): Access.RESEARCHER,
    # find
    ("GET", "/traces"): Access.RESEARCHER,
    ("GET", "/traces/types"): Access.RESEARCHER,
    ("GET", "/traces/table"): Access.RESEARCHER,
    ("GET", "/traces/progress"): Access.RESEARCHER,
    ("GET", "/traces/files"): Access.RESEARCHER,
    ("POST", "/traces/files"): Access.RESEARCHER,
    ("GET", "/traces/files/{file_id}"): Access.RESEARCHER,
    ("GET", "/responses/{response_id}/shifted"): Access.RESEARCHER,
    ("GET", "/lexicon"): Access.RESEARCHER,
    ("POST", "/lexicon"): Access.RESEARCHER,
    # studies
    ("GET", "/studies"): Access.RESEARCHER,
    ("POST", "/studies"): Access.RESEARCHER,
    ("GET", "/studies/new"): Access.RESEARCHER,
    ("POST", "/studies/preview"): Access.RESEARCHER,
    ("POST", "/studies/imports"): Access.RESEARCHER,
    ("GET", "/studies/{study_id}"): Access.RESEARCHER,
    ("GET", "/studies/{study_id}/setup"): Access.RESEARCHER,
    ("POST", "/studies/{study_id}/setup"): Access.RESEARCHER,
    ("POST", "/studies/{study_id}/duplicate"): Access.RESEARCHER,
    ("POST", "/studies/{study_id}/delete"): Access.RESEARCHER,
    ("GET", "/studies/{study_id}/guidelines"): Access.RESEARCHER,
    ("GET", "/studies/{study_id}/try"): Access.RESEARCHER,
    ("POST", "/studies/{study_id}/state"): Access.RESEARCHER,
    ("GET", "/studies/{study_id}/export"): Access.RESEARCHER,
    ("POST", "/studies/{study_id}/export"): Access.RESEARCHER,
    ("GET", "/studies/{study_id}/export/{table}"): Access.RESEARCHER,
    ("GET", "/studies/{study_id}/exports/{export_id}"): Access.RESEARCHER,
    ("GET", "/studies/{study_id}/import"): Access.RESEARCHER,
    ("POST", "/studies/judgments"): Access.RESEARCHER,
    # results
    ("GET", "/studies/{study_id}/results"): Access.RESEARCHER,
    ("GET", "/studies/{study_id}/results/figures/{figure}"): Access.RESEARCHER,
    ("GET", "/studies/{study_id}/results/judgments"): Access.RESEARCHER,
    ("GET", "/studies/{study_id}/report.html"): Access.RESEARCHER,
    # monitor
    ("GET", "/studies/{study_id}/monitor"): Access.RESEARCHER,
    ("POST", "/studies/{study_id}/monitor/release"): Access.RESEARCHER,
    ("GET", "/studies/{study_id}/judgments"): Access.RESEARCHER,
    ("GET", "/studies/{study_id}/judgments/{presentation_id}"): Access.RESEARCHER,
    ("GET", "/studies/{study_id}/exclusions"): Access.RESEARCHER,
    ("POST", "/studies/{study_id}/exclusions"): Access.RESEARCHER,
    ("POST", "/studies/{study_id}/exclusions/{exclusion_id}/revoke"): Access.RESEARCHER,
    # provenance
    ("GET", "/responses/{response_id}/sources"): Access.RESEARCHER,
    ("GET", "/responses/{response_id}/sources/{set_id}/{position}"): Access.RESEARCHER,
    ("GET", "/studies/{study_id}/borrowing"): Access.RESEARCHER,
    ("POST", "/studies/{study_id}/borrowing"): Access.RESEARCHER,
    ("GET", "/studies/{study_id}/borrowing.csv"): Access.RESEARCHER,
    # generation
    ("GET", "/studies/{study_id}/generation"): Access.RESEARCHER,
    ("POST", "/studies/{study_id}/generation/start"): Access.RESEARCHER,
    ("POST", "/studies/{study_id}/generation/retry"): Access.RESEARCHER,
    ("POST", "/studies/{study_id}/generation/stop"): Access.RESEARCHER,
    ("GET", "/studies/{study_id}/scoring"): Access.RESEARCHER,
    ("POST", "/studies/{study_id}/scoring/start"): Access.RESEARCHER,
    ("POST", "/studies/{study_id}/scoring/pause"): Access.RESEARCHER,
    ("POST", "/studies/{study_id}/scoring/resume"): Access.RESEARCHER,
    ("POST", "/studies/{study_id}/scoring/cancel"): Access.RESEARCHER,
    ("POST", "/studies/{study_id}/scoring/retry"): Access.RESEARCHER,
    # leaks
    ("GET", "/studies/{study_id}/leaks"): Access.RESEARCHER,
    ("POST", "/studies/{study_id}/leaks"): Access.RESEARCHER,
    ("POST", "/studies/{study_id}/leaks/scan"): Access.RESEARCHER,
    # tuning sets
    ("GET", "/tuning-sets"): Access.RESEARCHER,
    ("POST", "/tuning-sets"): Access.RESEARCHER,
    ("GET", "/tuning-sets/{set_id}"): Access.RESEARCHER,
    ("GET", "/tuning-sets/{set_id}/progress"): Access.RESEARCHER,
    ("GET", "/tuning-sets/{set_id}/instances/{position}"): Access.RESEARCHER,
    ("POST", "/tuning-sets/{set_id}/uses"): Access.RESEARCHER,
    ("POST", "/tuning-sets/{set_id}/retry"): Access.RESEARCHER,
    ("POST", "/tuning-sets/{set_id}/delete"): Access.RESEARCHER,
    # judging
    ("GET", "/judge"): Access.SIGNED_IN,
    ("POST", "/judge/next"): Access.SIGNED_IN,
    ("GET", "/judge/history"): Access.SIGNED_IN,
    ("POST", "/judge/shortcuts"): Access.SIGNED_IN,
    ("GET", "/judge/guidelines/{study_id}"): Access.SIGNED_IN,
    ("POST", "/judge/guidelines/{study_id}/seen"): Access.SIGNED_IN,
    ("GET", "/judge/exit/{study_id}"): Access.SIGNED_IN,
    ("POST", "/judge/exit/{study_id}"): Access.SIGNED_IN,
    ("GET", "/judge/check/{study_id}"): Access.SIGNED_IN,
    ("POST", "/judge/check/{study_id}"): Access.SIGNED_IN,
    ("POST", "/judge/studies/{study_id}/pause"): Access.SIGNED_IN,
    ("POST", "/judge/studies/{study_id}/resume"): Access.SIGNED_IN,
    ("GET", "/judge/studies/{study_id}/withdraw"): Access.SIGNED_IN,
    ("POST", "/judge/studies/{study_id}/withdraw"): Access.SIGNED_IN,
    ("POST", "/judge/{presentation_id}/heartbeat"): Access.SIGNED_IN,
    ("GET", "/judge/{presentation_id}"): Access.SIGNED_IN,
    ("GET", "/judge/{presentation_id}/feedback"): Access.SIGNED_IN,
    ("POST", "/judge/{presentation_id}/draft"): Access.SIGNED_IN,
    ("POST", "/judge/{presentation_id}/submit"): Access.SIGNED_IN,
    ("POST", "/judge/{presentation_id}/evidence"): Access.SIGNED_IN,
    ("POST", "/judge/{presentation_id}/evidence/{evidence_id}/opened"): Access.SIGNED_IN,
    # programs
    ("GET", "/api/v1/openapi.json"): Access.PUBLIC,
    ("GET", "/api/v1/docs"): Access.PUBLIC,
    ("GET", "/api/v1/me"): Access.MAY_READ,
    ("GET", "/api/v1/checkpoints"): Access.MAY_READ,
    ("POST", "/api/v1/compare"): Access.MAY_RUN,
    ("GET", "/api/v1/comparisons/{comparison_id}"): Access.MAY_READ,
    ("POST", "/api/v1/score"): Access.MAY_RUN,
    ("GET", "/api/v1/studies"): Access.MAY_READ,
    ("POST", "/api/v1/studies"): Access.MAY_RUN,
    ("GET", "/api/v1/studies/{study_id}"): Access.MAY_READ,
    ("POST", "/api/v1/studies/{study_id}/prompts"): Access.MAY_RUN,
    ("POST", "/api/v1/studies/{study_id}/state"): Access.MAY_RUN,
    ("GET", "/api/v1/studies/{study_id}/judgments"): Access.MAY_READ,
    ("GET", "/api/v1/studies/{study_id}/results"): Access.MAY_READ,
    ("GET", "/api/v1/studies/{study_id}/exports"): Access.MAY_EXPORT,
    ("POST", "/api/v1/studies/{study_id}/exports"): Access.MAY_EXPORT,
    ("GET", "/api/v1/studies/{study_id}/exports/{export_id}"): Access.MAY_EXPORT,
    ("GET", "/api/v1/studies/{study_id}/exports/{export_id}/file"): Access.MAY_EXPORT,
    ("GET", "/api/v1/studies/{study_id}/tables/{table}"): Access.MAY_EXPORT,
}

_RESEARCHERS = frozenset({Role.RESEARCHER, Role.OWNER})
_SCOPES = {Access.MAY_READ: Scope.READ, Access.MAY_RUN: Scope.RUN, Access.MAY_EXPORT: Scope.EXPORT}
_ROLES: dict[Access, frozenset[Role]] = {
    Access.SIGNED_IN: frozenset(Role),
    Access.RESEARCHER: _RESEARCHERS,
    Access.OWNER: frozenset({Role.OWNER}),
}


def served(routes: Iterable[BaseRoute]) -> set[tuple[str, str]]:
    """List the method and path of every route, those of included routers too."""
    return {
        (method, route.path)
        for route in iter_route_contexts(list(routes))
        if route.path and route.methods
        for method in route.methods - {"HEAD"}
    }


def check_table(routes: Iterable[BaseRoute]) -> None:
    """Refuse to start when a route has no row, or a row no route."""
    wrong = sorted(served(routes) ^ ACCESS.keys())
    if wrong:
        msg = f"the access table and the routes disagree about {wrong}"
        raise RuntimeError(msg)


def enforce(request: Request) -> None:
    """Let the request through or raise 401/403; leaves the person, if any, on `request.state.user`."""
    # HEAD reaches a GET handler, so it needs that handler's row.
    method = "GET" if request.method == "HEAD" else request.method
    needed = ACCESS[method, request.scope["route"].path]
    if needed in _SCOPES:
        # No cookie counts here: what a browser sends by itself opens nothing.
        request.state.bearer = bearer = _bearer(request, _SCOPES[needed])
        request.state.user = bearer.user
        _count(request, (method, request.scope["route"].path), bearer.user)
        return
    request.state.user = user = signed_in(request)
    if needed is Access.PUBLIC:
        return
    if user is None:
        raise SignInRequiredError("Please sign in first.")
    if user.role not in _ROLES[needed]:
        raise AccessDeniedError(f"This page is for {needed.value}s.")
    _count(request, (method, request.scope["route"].path), user)


def _count(request: Request, row: tuple[str, str], user: User) -> None:
    limits: Limits = request.app.state.limits
    limits.take(row, person=user.id, client=request.client.host if request.client else "unknown")


def signed_in(request: Request) -> User | None:
    """Load the person the signed cookie names; a disabled one, or one who signed out everywhere, is nobody."""
    user_id = request.session.get("uid")
    if not isinstance(user_id, str):
        return None
    with reading(request.app.state.database) as session:
        user = session.get(User, user_id)
        if user is None or user.disabled_at or user.session_version != request.session.get("version"):
            return None
        session.expunge(user)
        return user


def _bearer(request: Request, scope: Scope) -> Bearer:
    """Load whom the request's token stands for, and see that it may do `scope`; the same rules as for pages."""
    kind, _, secret = request.headers.get("authorization", "").partition(" ")
    database, moment = request.app.state.database, now()
    found = None
    if kind.lower() == "bearer":
        with reading(database) as session:
            found = find_bearer(session, secret.strip(), moment)
            session.expunge_all()
    if found is None:
        raise SignInRequiredError(
            "This address needs a token that is known, not over and not revoked.",
            remedy="Make one under Account, and send it as the header Authorization: Bearer tsh_…",
        )
    if found.user.role not in _RESEARCHERS:
        raise AccessDeniedError("The person this token stands for is no researcher.")
    if scope not in found.scopes:
        raise AccessDeniedError(
            f"This token may not {scope.value}.", remedy=f"Make one with the scope '{scope.value}' under Account."
        )
    if found.note_use:
        # A disk that is full or read-only is no reason to keep a program from reading.
        with suppress(*STORAGE_FAILURES), writing(database) as session:
            note_use(session, found.token_id, moment)
    return found


# Not in a thread of its own: it only looks at what `enforce` found.
async def _current_user(request: Request) -> User:
    user: User | None = request.state.user
    if user is None:
        raise SignInRequiredError("Please sign in first.")
    return user


CurrentUser = Annotated[User, Depends(_current_user)]
