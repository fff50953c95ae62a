"""The scoring of a study's responses: ordered, watched, paused, resumed, cancelled, and tried again where it failed."""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import RedirectResponse
from sqlmodel import Session
from starlette.concurrency import run_in_threadpool

from app.accounts.access import CurrentUser
from app.db import reading, writing
from app.engines.traffic import in_words
from app.studies import scoring
from app.studies.queries import get_study
from app.studies.scoring_view import scoring_view
from app.studies.scoring_work import Scorings
from app.web.templates import is_htmx, render
from models import BasePrompt, Study, User
from models.base import now

router = APIRouter()


@router.get("/studies/{study_id}/scoring")
def show_scoring(
    request: Request, user: CurrentUser, study_id: str, said: Annotated[str, Query(max_length=4_000)] = ""
) -> Response:
    """Show what is scored; `said` is what the page read out last, so that nothing is read out twice."""
    return _page(request, user, study_id, said=said)


@router.post("/studies/{study_id}/scoring/start")
async def start_scoring(
    request: Request,
    user: CurrentUser,
    study_id: str,
    reader: Annotated[str, Form(max_length=200)] = "",
    base_prompt: Annotated[BasePrompt, Form()] = BasePrompt.SAME_IDS,
) -> Response:
    """Order everything to be read that `reader` (empty: each response's own checkpoint) has not read yet."""
    if reader:
        request.app.state.engines.registry.get(reader)

    def order(session: Session, study: Study) -> None:
        scoring.order(session, study, reader=reader, base_prompt=base_prompt, user=user, now=now())

    return await _changed(request, user, study_id, order)


@router.post("/studies/{study_id}/scoring/pause")
async def pause_scoring(request: Request, user: CurrentUser, study_id: str) -> Response:
    """Begin nothing more; what is under way is finished and kept."""
    return await _changed(request, user, study_id, lambda session, study: scoring.pause(session, study.id, user))


@router.post("/studies/{study_id}/scoring/resume")
async def resume_scoring(request: Request, user: CurrentUser, study_id: str) -> Response:
    """Go on where it was paused."""
    return await _changed(
        request, user, study_id, lambda session, study: scoring.resume(session, study.id, user, now=now())
    )


@router.post("/studies/{study_id}/scoring/cancel")
async def cancel_scoring(request: Request, user: CurrentUser, study_id: str) -> Response:
    """End it for good; what is scored is kept."""
    return await _changed(
        request, user, study_id, lambda session, study: scoring.cancel(session, study.id, user, now=now())
    )


@router.post("/studies/{study_id}/scoring/retry")
async def retry_scoring(request: Request, user: CurrentUser, study_id: str) -> Response:
    """Try again what failed."""
    return await _changed(
        request, user, study_id, lambda session, study: scoring.retry(session, study, user, now=now())
    )


async def _changed(request: Request, user: User, study_id: str, change: Callable[[Session, Study], None]) -> Response:
    def store() -> None:
        with writing(request.app.state.database) as session:
            change(session, get_study(session, study_id, user))

    await run_in_threadpool(store)
    scorings: Scorings = request.app.state.scorings
    await scorings.drop_lost()
    scorings.wake()
    if is_htmx(request):
        return await run_in_threadpool(_page, request, user, study_id, acted=True)
    return RedirectResponse(f"/studies/{study_id}/scoring", status_code=303)


def _page(request: Request, user: User, study_id: str, *, said: str = "", acted: bool = False) -> Response:
    engines = request.app.state.engines
    known = tuple(engines.registry.checkpoints)
    with reading(request.app.state.database) as session:
        view = scoring_view(session, study_id, user, known=known, now=now())
        return render(
            request,
            "studies/_scoring.html" if is_htmx(request) else "studies/scoring.html",
            study=view.study,
            view=view,
            servers=[in_words(one) for one in engines.traffic(view.asked)] if view.running else [],
            said=said,
            acted=acted,
        )
