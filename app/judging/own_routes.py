"""The annotator's own pages beside the judging page: history, feedback, guidelines, the question at the end, keys."""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Query, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from pydantic import TypeAdapter, ValidationError

from app.accounts.access import CurrentUser
from app.errors import InvalidInputError
from app.judging.ending import SentExit, answer_exit, asked_at_the_end, membership, read_exit
from app.judging.feedback import feedback_on
from app.judging.forms import no_repetition
from app.judging.history import history_of
from app.judging.shortcuts import checked_shortcuts
from app.web.templates import render
from app.web.transactions import ReadSession, WriteSession
from models import ExitAnswer, User
from models.base import now

router = APIRouter()

_DESK = "/judge?stay"
_MOST_PAGES = 10_000


@router.get("/judge/history")
def history(
    request: Request, session: ReadSession, user: CurrentUser, page: Annotated[int, Query(ge=1, le=_MOST_PAGES)] = 1
) -> Response:
    """List the annotator's own judgments, newest first, each with its revisions."""
    return render(request, "judging/history.html", history=history_of(session, user, page=page))


@router.get("/judge/{presentation_id}/feedback")
def feedback(request: Request, session: ReadSession, user: CurrentUser, presentation_id: str) -> Response:
    """Tell the right answer of a practice item that was answered, and why it is right."""
    return render(request, "judging/feedback.html", feedback=feedback_on(session, presentation_id, user))


@router.get("/judge/guidelines/{study_id}")
def guidelines(request: Request, session: ReadSession, user: CurrentUser, study_id: str) -> Response:
    """Show a study's guidelines; reading them changes nothing until the annotator says so."""
    study, member = membership(session, study_id, user)
    return render(
        request,
        "judging/guidelines.html",
        study_id=study.id,
        study=study.name,
        text=study.guidelines,
        version=study.guideline_version,
        seen=member.guideline_seen,
    )


@router.post("/judge/guidelines/{study_id}/seen")
def guidelines_seen(
    request: Request,
    session: WriteSession,
    user: CurrentUser,
    study_id: str,
    version: Annotated[int | None, Form(ge=1)] = None,
) -> Response:
    """Note which version the annotator read: the newest, or the older one their page had open."""
    study, member = membership(session, study_id, user)
    read = min(version or study.guideline_version, study.guideline_version)
    member.guideline_seen = max(member.guideline_seen, read)
    session.add(member)
    if "application/json" in request.headers.get("accept", ""):
        return JSONResponse({"seen": member.guideline_seen})
    return RedirectResponse(_DESK, status_code=303)


@router.get("/judge/exit/{study_id}")
def leave(request: Request, session: ReadSession, user: CurrentUser, study_id: str) -> Response:
    """Ask what is asked at the end of a study; back to the desk where nothing is."""
    study, _ = membership(session, study_id, user)
    if not asked_at_the_end(study):
        return RedirectResponse(_DESK, status_code=303)
    given = session.get(ExitAnswer, (study_id, user.id))
    return render(request, "judging/exit.html", study_id=study.id, study=study.name, given=given)


async def _sent_exit(request: Request) -> SentExit:
    return read_exit((await request.form()).multi_items())


@router.post("/judge/exit/{study_id}")
def answer_at_the_end(
    session: WriteSession, user: CurrentUser, study_id: str, sent: Annotated[SentExit, Depends(_sent_exit)]
) -> Response:
    """Keep the answer given at the end and lead back to the desk."""
    study, _ = membership(session, study_id, user)
    answer_exit(session, study, user, sent, now())
    return RedirectResponse(_DESK, status_code=303)


async def _sent_shortcuts(request: Request) -> dict[str, str]:
    if not request.headers.get("content-type", "").startswith("application/json"):
        raise InvalidInputError("Shortcuts are sent as JSON.")
    return checked_shortcuts(_json(await request.body()))


_Shortcuts = Annotated[dict[str, str], Depends(_sent_shortcuts)]


def _json(body: bytes) -> Any:
    try:
        TypeAdapter(dict[str, str]).validate_json(body, strict=True)
        return json.loads(body, object_pairs_hook=no_repetition)
    except ValidationError as error:
        raise InvalidInputError('Shortcuts are sent as {"action": "key"}, each key one character.') from error


@router.post("/judge/shortcuts")
def keep_shortcuts(session: WriteSession, user: CurrentUser, shortcuts: _Shortcuts) -> Response:
    """Keep the keys a person chose; an empty map goes back to the defaults."""
    session.get_one(User, user.id).shortcuts = shortcuts
    return JSONResponse({"shortcuts": shortcuts})
