"""The people of a study, for its researcher: members, invitations, the open link."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.responses import RedirectResponse
from sqlmodel import Session

from app.accounts.access import CurrentUser
from app.errors import InvalidInputError
from app.people.forms import new_invites
from app.people.invites import Made, NewInvites, links_csv, list_invites, make_invites, revoke
from app.people.link import make_link, stop_link
from app.people.members import members_of
from app.people.rules import MAX_DAYS, MAX_INVITES, MAX_NOTE, MAX_TOLD, what_becomes
from app.people.stopping import PAUSED_WORDS, REMOVED_WORDS, give_try, member_called, stop, undo
from app.studies.queries import get_study
from app.web.templates import render
from app.web.transactions import ReadSession, WriteSession
from models import MemberState, Role, Study, User, WithdrawalPolicy
from models.base import now

router = APIRouter()

_Told = Annotated[str, Form(max_length=MAX_TOLD)]
_LIMITS = {"count": MAX_INVITES, "days": MAX_DAYS, "note": MAX_NOTE, "told": MAX_TOLD}


@dataclass(frozen=True, slots=True)
class _Shown:
    """What is shown this once: links just made, or the open link."""

    made: Made | None = None
    link: str = ""


@router.get("/studies/{study_id}/people")
def people(request: Request, session: ReadSession, user: CurrentUser, study_id: str) -> Response:
    """Show who takes part in a study and how people get in."""
    return _page(request, session, get_study(session, study_id, user), user, _Shown())


def _page(request: Request, session: Session, study: Study, user: User, shown: _Shown) -> Response:
    moment = now()
    settings = request.app.state.settings
    return render(
        request,
        "people/page.html",
        study=study,
        members=members_of(session, study, user, moment, lease=timedelta(minutes=settings.lease_minutes)),
        invites=list_invites(session, study, moment),
        made=shown.made,
        link=shown.link,
        moment=moment,
        days=settings.invite_days,
        limits=_LIMITS,
        owner=user.role == Role.OWNER,
    )


@router.get("/studies/{study_id}/people/{pid}")
def person(request: Request, session: ReadSession, user: CurrentUser, study_id: str, pid: str) -> Response:
    """Show one member, and what pausing or removing them would mean before anything happens."""
    study = get_study(session, study_id, user)
    member_called(session, study, pid)
    lease = timedelta(minutes=request.app.state.settings.lease_minutes)
    moment = now()
    found = next(one for one in members_of(session, study, user, moment, lease=lease) if one.pid == pid)
    return render(
        request,
        "people/person.html",
        study=study,
        member=found,
        moment=moment,
        becomes=what_becomes(found.judged + found.skipped, keep=study.withdrawal == WithdrawalPolicy.KEEP),
        words={"pause": PAUSED_WORDS, "remove": REMOVED_WORDS},
        limits=_LIMITS,
    )


@router.post("/studies/{study_id}/people/{pid}/pause")
def pause(session: WriteSession, user: CurrentUser, study_id: str, pid: str, told: _Told = "") -> Response:
    """Pause a member's part; the sentence is what they read."""
    return _stopped(session, user, study_id, pid, MemberState.PAUSED, told)


@router.post("/studies/{study_id}/people/{pid}/remove")
def remove(session: WriteSession, user: CurrentUser, study_id: str, pid: str, told: _Told = "") -> Response:
    """End a member's part; their judgments fare as the study's policy says."""
    return _stopped(session, user, study_id, pid, MemberState.WITHDRAWN, told)


def _stopped(session: Session, user: User, study_id: str, pid: str, state: MemberState, told: str) -> Response:
    study = get_study(session, study_id, user)
    stop(session, study, member_called(session, study, pid), state, now(), by=user, told=told.strip())
    return _back(study, pid)


@router.post("/studies/{study_id}/people/{pid}/resume")
def resume(session: WriteSession, user: CurrentUser, study_id: str, pid: str) -> Response:
    """Undo a pause or a removal by a researcher."""
    study = get_study(session, study_id, user)
    undo(session, study, member_called(session, study, pid), now(), by=user)
    return _back(study, pid)


@router.post("/studies/{study_id}/people/{pid}/try")
def another_try(session: WriteSession, user: CurrentUser, study_id: str, pid: str) -> Response:
    """Give another try at the comprehension check."""
    study = get_study(session, study_id, user)
    give_try(session, study, member_called(session, study, pid), by=user)
    return _back(study, pid)


def _back(study: Study, pid: str) -> Response:
    return RedirectResponse(f"/studies/{study.id}/people/{pid}", status_code=303)


@router.post("/studies/{study_id}/people/invites")
def invite(
    request: Request,
    session: WriteSession,
    user: CurrentUser,
    study_id: str,
    wanted: Annotated[NewInvites, Depends(new_invites)],
    form: Annotated[str, Form(alias="as", max_length=8)] = "page",
) -> Response:
    """Make single-use links and give them out once: on the page, or as a CSV file."""
    study = get_study(session, study_id, user)
    made = make_invites(session, study, wanted, request.app.state.settings, now(), by=user)
    if form == "csv":
        name = f"{study.slug}-invites.csv"
        return Response(
            links_csv(made),
            media_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )
    return _page(request, session, study, user, _Shown(made=made))


@router.post("/studies/{study_id}/people/invites/revoke")
def revoke_invites(
    session: WriteSession, user: CurrentUser, study_id: str, invite_id: Annotated[str, Form(max_length=40)]
) -> Response:
    """Revoke one open invitation, or all of them."""
    study = get_study(session, study_id, user)
    revoke(session, study, invite_id, now(), by=user)
    return RedirectResponse(f"/studies/{study.id}/people#invites", status_code=303)


@router.post("/studies/{study_id}/people/link")
def open_link(
    request: Request, session: WriteSession, user: CurrentUser, study_id: str, what: Annotated[str, Form(max_length=8)]
) -> Response:
    """Make or replace the open link and show it once, or stop it."""
    study = get_study(session, study_id, user)
    if what == "stop":
        stop_link(session, study, by=user)
        return RedirectResponse(f"/studies/{study.id}/people#link", status_code=303)
    if what != "make":
        raise InvalidInputError("An open link is made or stopped; nothing else.")
    link = make_link(session, study, request.app.state.settings, by=user)
    return _page(request, session, study, user, _Shown(link=link))
