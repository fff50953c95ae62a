"""The annotator's desk and what leads on from it. Everything here is built from `Desk`, which knows no checkpoint."""

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from sqlmodel import Session

from app.accounts.access import CurrentUser
from app.accounts.standing import change_standing, note
from app.errors import ConflictError, NotFoundError
from app.judging.check import may_start
from app.judging.claims import claim, release, renew
from app.judging.desk import desk as desk_of
from app.judging.desk import desks_of
from app.judging.queries import own_presentation
from app.web.templates import render
from app.web.transactions import ReadSession, WriteSession
from models import Membership, MemberState, Study, StudyState, User
from models.base import now

router = APIRouter()

_NOT_YOURS = "There is no such study, or you are not one of its annotators."
_LONGEST_REASON = 500


@router.get("/judge")
def desk(request: Request, session: ReadSession, user: CurrentUser) -> Response:
    """Show the studies an annotator judges in; with work in hand in the only one, lead straight to it."""
    moment = now()
    desks = desks_of(session, user, moment)
    if len(desks) == 1 and desks[0].step == "item" and desks[0].in_hand and request.query_params.get("stay") is None:
        return RedirectResponse(f"/judge/{desks[0].in_hand}", status_code=303)
    return render(request, "judging/desk.html", desks=desks, moment=moment)


@router.post("/judge/next")
def next_item(
    request: Request, session: WriteSession, user: CurrentUser, study_id: Annotated[str, Form(max_length=40)]
) -> Response:
    """Take the next item of a study and lead to it; to the check where it comes first, back to the desk for none."""
    study, _ = joined_study(session, study_id, user)
    if study.state == StudyState.OPEN and not may_start(session, study, user.id):
        return RedirectResponse(f"/judge/check/{study.id}", status_code=303)
    return RedirectResponse(next_url(claim(session, study, user, now(), lease=lease_of(request))), status_code=303)


@router.post("/judge/{presentation_id}/heartbeat")
def heartbeat(request: Request, session: WriteSession, user: CurrentUser, presentation_id: str) -> Response:
    """Keep an item reserved while its page is open; tells for how many seconds it is from now.

    Raises ConflictError where it is held no more: finished, given to others, or the study or the person is paused.
    """
    presentation, study = own_presentation(session, presentation_id, user)
    lease = lease_of(request)
    if study.state != StudyState.OPEN or not renew(session, presentation, study, now(), lease=lease):
        raise ConflictError("This item is not reserved for you any more.", remedy="What you saved is kept.")
    return JSONResponse({"lease_s": int(lease.total_seconds())})


@router.post("/judge/studies/{study_id}/pause")
def pause(session: WriteSession, user: CurrentUser, study_id: str) -> Response:
    """Take a break: what is in hand goes back to the others, drafts stay."""
    study, member = joined_study(session, study_id, user)
    _leave(session, study, member, MemberState.PAUSED, now())
    return RedirectResponse("/judge?stay", status_code=303)


@router.post("/judge/studies/{study_id}/resume")
def resume(session: WriteSession, user: CurrentUser, study_id: str) -> Response:
    """Come back from a break. Raises ConflictError where a researcher stopped the work, or the person withdrew."""
    study, member = joined_study(session, study_id, user)
    if member.state == MemberState.WITHDRAWN or (member.state == MemberState.PAUSED and member.told):
        raise ConflictError("You cannot go on in this study by yourself.", remedy="Ask whoever runs it.")
    if change_standing(session, member, MemberState.ACTIVE, now()):
        note(session, study.id, user.id, "resumed", f"{member.pid} came back from a break")
    return RedirectResponse("/judge?stay", status_code=303)


@router.get("/judge/studies/{study_id}/withdraw")
def withdraw_page(request: Request, session: ReadSession, user: CurrentUser, study_id: str) -> Response:
    """Say what withdrawing means for what was judged so far, before anything happens."""
    study, member = joined_study(session, study_id, user)
    if member.state == MemberState.WITHDRAWN:
        return RedirectResponse("/judge?stay", status_code=303)
    return render(request, "judging/withdraw.html", desk=desk_of(session, study, user, now()))


@router.post("/judge/studies/{study_id}/withdraw")
def withdraw(
    session: WriteSession,
    user: CurrentUser,
    study_id: str,
    reason: Annotated[str, Form(max_length=_LONGEST_REASON)] = "",
) -> Response:
    """Leave a study for good; what is in hand goes back at once."""
    study, member = joined_study(session, study_id, user)
    _leave(session, study, member, MemberState.WITHDRAWN, now(), told=reason.strip())
    return RedirectResponse("/judge?stay", status_code=303)


def _leave(
    session: Session, study: Study, member: Membership, state: MemberState, moment: datetime, *, told: str = ""
) -> None:
    if member.state in {state, MemberState.WITHDRAWN}:
        return
    # Whom a researcher stopped may still withdraw, but not turn that stop into a break of their own.
    change_standing(session, member, state, moment, told=told)
    release(session, study.id, member.user_id, moment)
    what = "withdrew" if state == MemberState.WITHDRAWN else "takes a break"
    note(session, study.id, member.user_id, state.value, f"{member.pid} {what}")


def joined_study(session: Session, study_id: str, user: User) -> tuple[Study, Membership]:
    """Load a study this person is an annotator of, with their membership. Raises NotFoundError for any other."""
    study, member = session.get(Study, study_id), session.get(Membership, (study_id, user.id))
    if study is None or member is None:
        raise NotFoundError(_NOT_YOURS)
    return study, member


def next_url(token: str | None) -> str:
    """Name the page after a claim: the item, or the desk where there is none."""
    return f"/judge/{token}" if token else "/judge?stay"


def lease_of(request: Request) -> timedelta:
    """How long an item is reserved for whoever has it in hand."""
    return timedelta(minutes=request.app.state.settings.lease_minutes)
