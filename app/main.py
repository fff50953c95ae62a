"""The application: `create_app` is the only place where parts are wired together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any

import structlog
from fastapi import APIRouter, Depends, FastAPI
from fastapi.concurrency import run_in_threadpool
from fastapi.staticfiles import StaticFiles
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware

from app.accounts.access import check_table, enforce
from app.accounts.throttle import LoginThrottle
from app.db import connect
from app.engines.registry import Registry, load_registry
from app.errors import ConfigurationError
from app.settings import Settings, load_secret
from app.web.csrf import CSRFMiddleware
from app.web.errors import add_error_handlers
from app.web.headers import HeadersMiddleware
from app.web.requests import RequestMiddleware, refuse_unstorable
from app.web.session import cookie_name
from app.web.templates import STATIC

log = structlog.get_logger(__name__)

MAX_BODY_BYTES = 2 * 1024 * 1024
_SECONDS_PER_DAY = 86_400
_ROUTERS = ("web.pages", "accounts", "checkpoints", "compare", "studies", "judging", "results")


def create_app(settings: Settings | None = None, *, engines: Any | None = None) -> FastAPI:
    """Build the app. `engines` replaces those the registry names; the app closes only what it opened itself."""
    settings = settings or Settings()
    secret = load_secret(settings)
    app = FastAPI(
        title="Tuneshift",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=_lifespan,
        max_body_size=MAX_BODY_BYTES,
        dependencies=[Depends(refuse_unstorable), Depends(enforce)],
        middleware=[
            Middleware(HeadersMiddleware),
            Middleware(RequestMiddleware),
            Middleware(CSRFMiddleware, settings=settings),
            Middleware(
                SessionMiddleware,
                secret_key=secret,
                session_cookie=cookie_name(settings),
                max_age=settings.session_days * _SECONDS_PER_DAY,
                https_only=settings.https_only,
            ),
        ],
    )
    app.state.settings = settings
    app.state.secret = secret
    app.state.engines = engines
    app.state.registry_problem = ""
    app.state.login_throttle = LoginThrottle()
    add_error_handlers(app)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    routers = _routers()
    for router in routers:
        app.include_router(router)
    if len(routers) == len(_ROUTERS):
        check_table(app.routes)
    return app


def _routers() -> list[APIRouter]:
    names = [f"app.{name}" if "." in name else f"app.{name}.routes" for name in _ROUTERS]
    return [import_module(name).router for name in names if find_spec(name)]


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    app.state.database = connect(settings.resolved_database_url)
    given = app.state.engines
    if given is None:
        app.state.engines, app.state.registry_problem = await run_in_threadpool(_open_engines, settings)
    try:
        yield
    finally:
        if given is None:
            await app.state.engines.aclose()
        app.state.database.dispose()


def _open_engines(settings: Settings) -> tuple[Any, str]:
    """Open what the registry names; one that is missing or wrong leaves the app without checkpoints, and says why."""
    from app.engines.open import open_engines

    path = settings.resolved_checkpoints
    try:
        return open_engines(load_registry(path), settings), ""
    except ConfigurationError as error:
        log.warning("no checkpoints", reason=str(error))
        return open_engines(Registry(path=path, checkpoints=MappingProxyType({})), settings), str(error)
