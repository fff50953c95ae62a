"""The application: `create_app` is the only place where parts are wired together."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from types import MappingProxyType, SimpleNamespace

import structlog
from fastapi import APIRouter, Depends, FastAPI
from fastapi.concurrency import run_in_threadpool
from fastapi.staticfiles import StaticFiles
from starlette.middleware import Middleware
from starlette.routing import BaseRoute

from app import migrate
from app.accounts import audit_routes as audit
from app.accounts import own_routes as own_account
from app.accounts import people_routes as accounts_of_people
from app.accounts import routes as accounts
from app.accounts.access import check_table, enforce
from app.accounts.limits import Limits
from app.accounts.moments import Stored
from app.accounts.throttle import LoginThrottle, join_throttle, link_throttle
from app.api import routes as api
from app.checkpoints import routes as checkpoints
from app.compare import forks
from app.compare import routes as compare
from app.compare.live import LiveRuns
from app.compare.readers import Readers
from app.db import connect
from app.engines.open import Engines, open_engines
from app.engines.registry import Registry, load_registry
from app.errors import AppError, ConfigurationError
from app.find import file_routes as find_files
from app.find import routes as find
from app.judging import check_routes as check
from app.judging import desk_routes as desk
from app.judging import evidence_routes as evidence
from app.judging import own_routes as own_judging
from app.judging import routes as judging
from app.judging import save_routes as saving
from app.leaks import routes as leaks
from app.monitor import exclusion_routes as exclusions
from app.monitor import routes as monitor
from app.people import join_routes as joining
from app.people import routes as people
from app.provenance import borrowing_routes as borrowing
from app.provenance import routes as provenance
from app.provenance.borrowing_jobs import BorrowingJobs
from app.provenance.store import Indexes
from app.responses import routes as responses
from app.results import build_routes as exports
from app.results import import_routes as judgment_files
from app.results import page_routes as result_pages
from app.results import routes as results
from app.results.build_jobs import Exports
from app.results.finding_jobs import FindingJobs
from app.settings import Settings, load_secret
from app.share import routes as share
from app.studies import generation_routes as generation
from app.studies import import_routes as study_files
from app.studies import routes as studies
from app.studies import scoring_routes as scoring
from app.studies import setup_routes as setup
from app.studies.generation_tasks import Generations
from app.studies.scoring_work import Scorings
from app.tuning_sets import routes as tuning_sets
from app.tuning_sets.files import places_of
from app.tuning_sets.queue import Imports
from app.web import pages
from app.web.body import BodyLimitMiddleware
from app.web.compression import compression
from app.web.csrf import CSRFMiddleware
from app.web.errors import add_error_handlers
from app.web.headers import HeadersMiddleware
from app.web.logs import configure_logs
from app.web.requests import RequestMiddleware, refuse_unstorable
from app.web.session import Sessions, cookie_name
from app.web.templates import STATIC
from app.workers.forward import AskedByMiddleware, ForwardMiddleware
from app.workers.place import WHOLE, Place

log = structlog.get_logger(__name__)

_SECONDS_PER_DAY = 86_400
_BEFORE_ANY_ROUTE = (Depends(refuse_unstorable), Depends(enforce))
# Looked through in this order for every request: what annotators ask for all day comes first.
_ROUTERS = (
    saving.router,
    desk.router,
    own_judging.router,
    check.router,
    judging.router,
    evidence.router,
    pages.router,
    accounts.router,
    own_account.router,
    audit.router,
    accounts_of_people.router,
    checkpoints.router,
    compare.router,
    forks.router,
    responses.router,
    share.router,
    find.router,
    find_files.router,
    setup.router,
    study_files.router,
    generation.router,
    scoring.router,
    studies.router,
    exports.router,
    judgment_files.router,
    results.router,
    people.router,
    joining.router,
    result_pages.router,
    monitor.router,
    exclusions.router,
    provenance.router,
    borrowing.router,
    leaks.router,
    tuning_sets.router,
    api.router,
)


def create_app(settings: Settings | None = None, *, engines: Engines | None = None, place: Place = WHOLE) -> FastAPI:
    """Build the app, or the part of it that one of several processes serves.

    `engines` replaces those the registry names; the app closes only what it opened itself.
    """
    settings = settings or Settings()
    configure_logs(settings.log_format)
    secret = load_secret(settings)
    app = FastAPI(
        title="Tuneshift",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        # A redirect to the other spelling would name the host that the request claims to have been sent to.
        redirect_slashes=False,
        lifespan=_lifespan,
        dependencies=_BEFORE_ANY_ROUTE,
        middleware=[
            compression(),
            Middleware(HeadersMiddleware, https_only=settings.https_only),
            *_between_processes(place),
            Middleware(RequestMiddleware, log_requests=settings.log_format == "json"),
            Middleware(BodyLimitMiddleware, max_upload_bytes=settings.max_upload_bytes),
            Middleware(CSRFMiddleware, settings=settings),
            Middleware(
                Sessions,
                secret_key=secret,
                session_cookie=cookie_name(settings),
                max_age=settings.session_days * _SECONDS_PER_DAY,
                https_only=settings.https_only,
            ),
        ],
    )
    app.state.settings = settings
    app.state.place = place
    app.state.secret = secret
    app.state.engines = engines
    app.state.registry_problem = ""
    app.state.limits = Limits()
    add_error_handlers(app)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.router.routes.extend(_routes())
    return app


@cache
def _routes() -> list[BaseRoute]:
    """Put the routes of every feature behind what each of them needs; merged once for all apps of a process."""
    behind = APIRouter(dependencies=_BEFORE_ANY_ROUTE)
    for router in _ROUTERS:
        behind.include_router(router)
    check_table(behind.routes)
    return behind.routes


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    app.state.database = connect(settings.resolved_database_url)
    if not await run_in_threadpool(migrate.is_current, app.state.database):
        app.state.database.dispose()
        raise ConfigurationError("The database lacks migrations.", remedy="Run: tuneshift db upgrade")
    counted = Stored(app.state.database, app.state.secret)
    app.state.login_throttle = LoginThrottle(memory=counted)
    app.state.link_throttle = link_throttle(counted)
    app.state.join_throttle = join_throttle(counted)
    given = app.state.engines
    if given is None:
        app.state.engines, app.state.registry_problem = await run_in_threadpool(_open_engines, settings)
    app.state.indexes = Indexes(settings.data_dir / "provenance", app.state.database)
    # Kept apart from the app, which tests may start twice at once: whoever begins work ends that work and no other.
    opened = app.state.database, app.state.indexes, app.state.engines
    work = await _begin_work(app) if app.state.place.has_models else None
    try:
        yield
    finally:
        database, indexes, engines = opened
        if work is not None:
            await _end_work(work)
        await run_in_threadpool(indexes.close)
        if given is None:
            await engines.aclose()
        database.dispose()


async def _begin_work(app: FastAPI) -> SimpleNamespace:
    """Start what belongs to one process alone; what an earlier one left unfinished is marked, so no other may do it."""
    settings: Settings = app.state.settings
    app.state.live_runs = await run_in_threadpool(LiveRuns, app.state.database)
    app.state.readers = Readers()
    app.state.generations = await run_in_threadpool(Generations, app.state.database)
    app.state.scorings = Scorings(app.state.database, app.state.engines)
    app.state.scorings.start()
    app.state.imports = await run_in_threadpool(Imports, app.state.database, places_of(settings), app.state.engines)
    app.state.borrowing = BorrowingJobs(app.state.database, app.state.indexes)
    app.state.exports = Exports(app.state.database, settings.data_dir / "exports")
    app.state.findings = FindingJobs(app.state.database)
    app.state.probing = asyncio.create_task(_probe_adapters(app.state.engines))
    names = ("probing", "live_runs", "generations", "scorings", "imports", "borrowing", "exports", "findings")
    return SimpleNamespace(**{name: getattr(app.state, name) for name in names})


async def _end_work(work: SimpleNamespace) -> None:
    work.probing.cancel()
    for tasks in (work.live_runs, work.generations, work.scorings):
        await tasks.aclose()
    for jobs in (work.imports, work.borrowing, work.exports, work.findings):
        await run_in_threadpool(jobs.close)


async def drain(app: FastAPI) -> None:
    """End what streams, so that a server that stops need not break it off."""
    if app.state.place.has_models:
        await app.state.live_runs.aclose()


def _between_processes(place: Place) -> list[Middleware]:
    if place.folder is None:
        return []
    return [Middleware(AskedByMiddleware)] if place.has_models else [Middleware(ForwardMiddleware, place=place)]


async def _probe_adapters(engines: Engines) -> None:
    """Probe shared adapters at start-up: some servers compute a base with its adapter, and none says so."""
    for name in engines.shared_adapters():
        try:
            found = await engines.probe_isolation(name)
        except AppError as error:
            log.warning("adapter not probed", checkpoint=name, reason=str(error))
        else:
            log.log(logging.INFO if found.isolated else logging.ERROR, "adapter probed", detail=found.detail)


def _open_engines(settings: Settings) -> tuple[Engines, str]:
    """Open what the registry names; one that is missing or wrong leaves the app without checkpoints, and says why."""
    path = settings.resolved_checkpoints
    try:
        return open_engines(load_registry(path), settings), ""
    except ConfigurationError as error:
        log.warning("no checkpoints", reason=str(error))
        return open_engines(Registry(path=path, checkpoints=MappingProxyType({})), settings), str(error)
