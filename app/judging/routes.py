"""The annotator's pages. Every answer here is built from `BlindItem` and `Desk`, which know no checkpoint."""

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse

from app.accounts.access import CurrentUser
from app.db import ReadSession, WriteSession
from app.errors import InvalidInputError, NotFoundError
from app.judging.answers import Saved, StaleAnswerError, save_answer
from app.judging.blind import BlindItem
from app.judging.forms import SentAnswer, read_form, read_json
from app.judging.queries import blind_item, claim, desks_of, own_presentation
from app.judging.rules import DIMENSIONS, SPAN_TYPES
from app.web.requests import JUDGMENTS_SAVED
from app.web.templates import render
from models import Membership, RevisionKind, Study
from models.base import new_id, now

router = APIRouter()

_JSON = "application/json"
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


async def _sent_answer(request: Request) -> SentAnswer:
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind == _JSON:
        return read_json(await request.body())
    if kind in _FORMS:
        return read_form((await request.form()).multi_items())
    raise InvalidInputError("An answer is sent as JSON or as a form.")


_Answer = Annotated[SentAnswer, Depends(_sent_answer)]


def _lease(request: Request) -> timedelta:
    return timedelta(minutes=request.app.state.settings.lease_minutes)


@router.get("/judge")
def desk(request: Request, session: ReadSession, user: CurrentUser) -> Response:
    """Show the studies an annotator judges in; with work in hand in the only one, lead straight to it."""
    moment = now()
    desks = desks_of(session, user, moment)
    if len(desks) == 1 and desks[0].in_hand and request.query_params.get("stay") is None:
        return RedirectResponse(f"/judge/{desks[0].in_hand}", status_code=303)
    return render(request, "judging/desk.html", desks=desks, moment=moment)


@router.post("/judge/next")
def next_item(
    request: Request, session: WriteSession, user: CurrentUser, study_id: Annotated[str, Form(max_length=40)]
) -> Response:
    """Take the next item of a study and lead to it; back to the desk where there is none."""
    study = session.get(Study, study_id)
    if study is None or session.get(Membership, (study_id, user.id)) is None:
        raise NotFoundError("There is no such study, or you are not one of its annotators.")
    return RedirectResponse(_next_url(claim(session, study, user, now(), lease=_lease(request))), status_code=303)


def _next_url(token: str | None) -> str:
    return f"/judge/{token}" if token else "/judge?stay"


@router.get("/judge/{presentation_id}")
def judge(request: Request, session: ReadSession, user: CurrentUser, presentation_id: str) -> Response:
    """Show one item: a prompt, A and B, and the annotator's own answer so far."""
    item = blind_item(session, presentation_id, user, now(), secret=request.app.state.secret)
    return render(
        request,
        "judging/item.html",
        item=item,
        data=page_data(item),
        dimensions=DIMENSIONS,
        span_types=SPAN_TYPES,
        attempt=new_id(),
    )


def page_data(item: BlindItem) -> dict[str, Any]:
    """Build what the page's scripts need, offsets and texts exact: HTML alone would turn CRLF into LF."""
    return {
        "token": item.token,
        "outbox": item.outbox,
        "open": item.open,
        "submitted": item.submitted,
        "texts": {"left": item.left.text, "right": item.right.text},
        "types": SPAN_TYPES,
        "answer": asdict(item.answer),
    }


@router.post("/judge/{presentation_id}/draft")
def save_draft(
    request: Request, session: WriteSession, user: CurrentUser, presentation_id: str, answer: _Answer
) -> Response:
    """Keep unfinished work; it never counts as a judgment."""
    try:
        saved = save_answer(session, presentation_id, user, answer, RevisionKind.DRAFT, now(), lease=_lease(request))
    except StaleAnswerError as error:
        return _stale(error)
    JUDGMENTS_SAVED.labels("draft").inc()
    return JSONResponse(_receipt(saved))


@router.post("/judge/{presentation_id}/submit")
def submit(
    request: Request, session: WriteSession, user: CurrentUser, presentation_id: str, answer: _Answer
) -> Response:
    """Make the answer a judgment and hand out the next item, in one transaction."""
    moment = now()
    by_script = request.headers.get("content-type", "").startswith(_JSON)
    try:
        saved = save_answer(
            session, presentation_id, user, answer, RevisionKind.SUBMITTED, moment, lease=_lease(request)
        )
    except StaleAnswerError as error:
        if by_script:
            return _stale(error)
        raise
    JUDGMENTS_SAVED.labels("submitted").inc()
    _, study = own_presentation(session, presentation_id, user)
    url = _next_url(claim(session, study, user, moment, lease=_lease(request)))
    if by_script:
        return JSONResponse(_receipt(saved) | {"next": url})
    return RedirectResponse(url, status_code=303)


def _receipt(saved: Saved) -> dict[str, Any]:
    return {"revision": saved.revision, "saved_at": _iso(saved.saved_at)}


def _stale(error: StaleAnswerError) -> Response:
    problem = {"status": error.status, "message": error.message, "remedy": error.remedy}
    return JSONResponse({"error": problem, "current": _receipt(error.current)}, status_code=error.status)


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")
