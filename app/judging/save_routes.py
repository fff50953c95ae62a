"""Saving an answer, by script or as a plain form: drafts and judgments, each acknowledged only when it is stored."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from sqlmodel import Session

from app.accounts.access import CurrentUser
from app.errors import InvalidInputError, NotFoundError
from app.judging.answers import Saved, StaleAnswerError, note_foreign, save_answer
from app.judging.claims import claim
from app.judging.desk_routes import lease_of, next_url
from app.judging.forms import SentAnswer, form_fields, read_form, read_json
from app.judging.page import blind_questions
from app.judging.queries import own_presentation
from app.judging.versions import side_by_side
from app.studies.questions import read_questions
from app.web.errors import error_response
from app.web.metrics import JUDGMENTS_SAVED
from app.web.templates import render
from app.web.transactions import WriteSession
from models import ItemKind, RevisionKind, User
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


@router.post("/judge/{presentation_id}/draft")
def save_draft(
    request: Request, session: WriteSession, user: CurrentUser, presentation_id: str, answer: _Answer
) -> Response:
    """Keep unfinished work; it never counts as a judgment."""
    try:
        saved = save_answer(session, presentation_id, user, answer, RevisionKind.DRAFT, now(), lease=lease_of(request))
    except StaleAnswerError as error:
        return _stale(error)
    except NotFoundError as error:
        return _foreign(request, session, user, presentation_id, error)
    JUDGMENTS_SAVED.labels("draft").inc()
    return JSONResponse(_receipt(saved))


@router.post("/judge/{presentation_id}/submit")
def submit(
    request: Request, session: WriteSession, user: CurrentUser, presentation_id: str, answer: _Answer
) -> Response:
    """Make the answer a judgment and hand out the next item, in one transaction; practice leads to its feedback."""
    moment = now()
    by_script = request.headers.get("content-type", "").startswith(_JSON)
    try:
        saved = save_answer(
            session, presentation_id, user, answer, RevisionKind.SUBMITTED, moment, lease=lease_of(request)
        )
    except StaleAnswerError as error:
        return _stale(error) if by_script else _two_versions(request, session, user, presentation_id, answer, error)
    except NotFoundError as error:
        return _foreign(request, session, user, presentation_id, error)
    JUDGMENTS_SAVED.labels("submitted").inc()
    if saved.work.kind == ItemKind.PRACTICE:
        # What was right comes first; the next item is handed out from there.
        url = f"/judge/{presentation_id}/feedback"
    else:
        url = next_url(claim(session, saved.work.study, user, moment, lease=lease_of(request)))
    if by_script:
        return JSONResponse(_receipt(saved) | {"next": url})
    return RedirectResponse(url, status_code=303)


def _foreign(
    request: Request, session: WriteSession, user: CurrentUser, presentation_id: str, error: NotFoundError
) -> Response:
    """Refuse as if there were no such item, and note it; answered here, because raising would undo the note."""
    note_foreign(session, presentation_id, user, now())
    return error_response(request, error)


def _receipt(saved: Saved) -> dict[str, Any]:
    return {"revision": saved.revision, "saved_at": _iso(saved.saved_at)}


def _stale(error: StaleAnswerError) -> Response:
    """Refuse with the answer that came between, so that the page can show both side by side."""
    problem = {"status": error.status, "message": error.message, "remedy": error.remedy}
    answer = asdict(error.current)
    current = {"revision": answer["revision"], "saved_at": answer["saved_at"], "answer": answer}
    return JSONResponse({"error": problem, "current": current}, status_code=error.status)


def _two_versions(
    request: Request, session: Session, user: User, token: str, answer: SentAnswer, error: StaleAnswerError
) -> Response:
    """Refuse a form with the answer that came between beside the one it brought, and a way to keep either."""
    _, study = own_presentation(session, token, user)
    return render(
        request,
        "judging/versions.html",
        status_code=error.status,
        token=token,
        message=error.message,
        current=error.current,
        said=side_by_side(blind_questions(read_questions(study.questions)), answer, error.current),
        fields=form_fields(answer, base_revision=error.current.revision, idempotency_key=new_id()),
    )


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")
