"""The generation of a study's responses: watched, started, stopped, and tried again where it failed."""

from typing import Annotated, Literal

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import RedirectResponse
from starlette.concurrency import run_in_threadpool

from app.accounts.access import CurrentUser
from app.db import reading, writing
from app.engines.traffic import in_words
from app.errors import ConflictError, NotFoundError
from app.studies import generation
from app.studies.generation import Claimed
from app.studies.generation_tasks import Generations
from app.studies.generation_view import failed_places, generation_view
from app.studies.queries import get_study
from app.web.templates import is_htmx, render
from models import User
from models.base import now

router = APIRouter()

Wanted = Literal["missing", "failed"]


@router.get("/studies/{study_id}/generation")
def show_generation(
    request: Request, user: CurrentUser, study_id: str, said: Annotated[str, Query(max_length=4_000)] = ""
) -> Response:
    """Show which responses a study has; `said` is what the page read out last, so that nothing is read out twice."""
    return _page(request, user, study_id, said=said)


@router.post("/studies/{study_id}/generation/start")
async def start_generation(request: Request, user: CurrentUser, study_id: str) -> Response:
    """Begin, or resume, to generate everything that is missing. 409 while that is under way already."""
    return await _begin(request, user, study_id, "missing")


@router.post("/studies/{study_id}/generation/retry")
async def retry_generation(
    request: Request,
    user: CurrentUser,
    study_id: str,
    item_id: Annotated[str, Form(max_length=40)] = "",
    arm_id: Annotated[str, Form(max_length=40)] = "",
) -> Response:
    """Try again what failed: one response where it is named, else all of them."""
    return await _begin(request, user, study_id, "failed", one=(item_id, arm_id) if item_id or arm_id else None)


@router.post("/studies/{study_id}/generation/stop")
async def stop_generation(request: Request, user: CurrentUser, study_id: str) -> Response:
    """End what is being generated, wherever it runs; what is stored is kept."""
    ended = await run_in_threadpool(_stop, request, user, study_id)
    _generations(request).cancel(ended)
    return await _answer(request, user, study_id)


async def _begin(
    request: Request, user: User, study_id: str, wanted: Wanted, *, one: tuple[str, str] | None = None
) -> Response:
    claimed = await run_in_threadpool(_claim, request, user, study_id, wanted, one)
    _generations(request).start(claimed, request.app.state.engines)
    return await _answer(request, user, study_id)


def _claim(request: Request, user: User, study_id: str, wanted: Wanted, one: tuple[str, str] | None) -> Claimed:
    with writing(request.app.state.database) as session:
        study = get_study(session, study_id, user)
        only = failed_places(session, study.id) if wanted == "failed" else None
        if only is not None and one is not None:
            if one not in only:
                raise NotFoundError("That response has not failed.", remedy="Load the page again; it may be there now.")
            only = {one}
        claimed = generation.claim(session, study, now=now(), user=user, only=only)
        if claimed is None:
            raise ConflictError(
                "There is nothing to generate: no response is missing that a checkpoint could give.",
                remedy="Load the page again.",
            )
        return claimed


def _stop(request: Request, user: User, study_id: str) -> list[str]:
    with writing(request.app.state.database) as session:
        return generation.stop(session, get_study(session, study_id, user), user=user, now=now())


async def _answer(request: Request, user: User, study_id: str) -> Response:
    if is_htmx(request):
        return await run_in_threadpool(_page, request, user, study_id, acted=True)
    return RedirectResponse(f"/studies/{study_id}/generation", status_code=303)


def _page(request: Request, user: User, study_id: str, *, said: str = "", acted: bool = False) -> Response:
    known = frozenset(request.app.state.engines.registry.checkpoints)
    with reading(request.app.state.database) as session:
        view = generation_view(session, study_id, user, known=known, now=now())
        engines = request.app.state.engines
        others = _generations(request).others(view.run.id) if view.running and view.run else None
        return render(
            request,
            "studies/_generation.html" if is_htmx(request) else "studies/generation.html",
            study=view.study,
            view=view,
            others=others,
            servers=[in_words(one) for one in engines.traffic(view.asked)] if others is not None else [],
            said=said,
            acted=acted,
        )


def _generations(request: Request) -> Generations:
    found: Generations = request.app.state.generations
    return found
