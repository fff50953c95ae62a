"""The leaks of a study: scanned on demand, decided one by one or by group."""

from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import RedirectResponse
from sqlmodel import Session

from app.accounts.access import CurrentUser
from app.db import reading
from app.errors import InvalidInputError
from app.leaks.decisions import decide, flags_by_id, flags_of_group
from app.leaks.scanning import scan_study, undecided, unscanned
from app.leaks.view import groups_of
from app.studies.queries import get_study
from app.web.templates import is_htmx, render
from app.web.transactions import ReadSession, WriteSession
from models import LeakDecision, Study, StudyState
from models.base import now

router = APIRouter()


@router.get("/studies/{study_id}/leaks")
def leaks(
    request: Request,
    session: ReadSession,
    user: CurrentUser,
    study_id: str,
    show: Annotated[str, Query(max_length=20)] = "",
) -> Response:
    """Show what the scan found in a study, undecided flags first; `show=all` shows the decided ones too."""
    return _page(request, session, get_study(session, study_id, user), show)


def _page(request: Request, session: Session, study: Study, show: str) -> Response:
    groups, left_out = groups_of(session, study.id, everything=show == "all")
    return render(
        request,
        "leaks/_flags.html" if is_htmx(request) else "leaks/page.html",
        study=study,
        groups=groups,
        left_out=left_out,
        show="all" if show == "all" else "",
        undecided=undecided(session, study.id),
        unscanned=unscanned(session, study.id),
        locked=study.state is StudyState.OPEN,
    )


@router.post("/studies/{study_id}/leaks")
def decide_flags(
    request: Request,
    session: WriteSession,
    user: CurrentUser,
    study_id: str,
    decision: Annotated[str, Form(max_length=20)] = "",
    flag: Annotated[list[str] | None, Form(max_length=1_000)] = None,
    kind: Annotated[str, Form(max_length=40)] = "",
    arm: Annotated[str, Form(max_length=200)] = "",
    show: Annotated[str, Form(max_length=20)] = "",
) -> Response:
    """Decide the flags named, or those of a whole group that wait; `undecided` takes a decision back."""
    study = get_study(session, study_id, user)
    if decision not in set(LeakDecision):
        offered = ", ".join(LeakDecision)
        raise InvalidInputError(f"{decision!r} is no decision.", remedy=f"There are {offered}.")
    wanted = LeakDecision(decision)
    flags = flags_by_id(session, study, flag) if flag else flags_of_group(session, study, kind, arm, wanted)
    decide(session, study, flags, wanted, user=user, now=now())
    if is_htmx(request):
        return _page(request, session, study, show)
    return RedirectResponse(_link(study.id, show), status_code=303)


@router.post("/studies/{study_id}/leaks/scan")
def scan_now(
    request: Request, user: CurrentUser, study_id: str, show: Annotated[str, Form(max_length=20)] = ""
) -> Response:
    """Scan all responses of a study now."""
    database = request.app.state.database
    with reading(database) as session:
        study = get_study(session, study_id, user)
    scan_study(database, study.id)
    if is_htmx(request):
        with reading(database) as session:
            return _page(request, session, get_study(session, study_id, user), show)
    return RedirectResponse(_link(study.id, show), status_code=303)


def _link(study_id: str, show: str) -> str:
    return f"/studies/{study_id}/leaks{'?show=all' if show == 'all' else ''}"
