"""The comprehension check's pages: two attempts, then on to the items or politely out."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse
from sqlmodel import Session

from app.accounts.access import CurrentUser
from app.accounts.standing import note
from app.errors import ConflictError
from app.judging.check import (
    CheckQuestion,
    CheckStanding,
    attempts_of,
    questions_of,
    read_answers,
    record_attempt,
    standing,
)
from app.judging.desk_routes import joined_study
from app.web.templates import render
from app.web.transactions import ReadSession, WriteSession
from models import ComprehensionAttempt, MemberState, Study, StudyState, User
from models.base import now

router = APIRouter()


@router.get("/judge/check/{study_id}")
def check_page(request: Request, session: ReadSession, user: CurrentUser, study_id: str) -> Response:
    """Ask the questions, or say how the check ended; lead to the desk where there is none."""
    study = _open_study(session, study_id, user)
    where = standing(session, study, user.id)
    if not study.comprehension or where.passed:
        return RedirectResponse("/judge?stay", status_code=303)
    attempts = attempts_of(session, study.id, user.id)
    return _page(request, study, where, attempts[-1] if attempts else None)


async def _chosen(request: Request) -> dict[str, str]:
    return {name: value for name, value in (await request.form()).items() if isinstance(value, str)}


@router.post("/judge/check/{study_id}")
def answer_check(
    request: Request,
    session: WriteSession,
    user: CurrentUser,
    study_id: str,
    sent: Annotated[dict[str, str], Depends(_chosen)],
) -> Response:
    """Mark one attempt. Right in all leads to the items; the second one that is not ends the person's part."""
    study = _open_study(session, study_id, user)
    where = standing(session, study, user.id)
    if where.left <= 0:
        return RedirectResponse(f"/judge/check/{study.id}", status_code=303)
    answers = read_answers(study, sent)
    if answers is None:
        problem = "Answer every question. This did not count as an attempt."
        return _page(request, study, where, None, problem=problem, chosen=sent, status_code=422)
    attempt = record_attempt(session, study, user.id, answers, now())
    if attempt.passed:
        return RedirectResponse("/judge?stay", status_code=303)
    where = standing(session, study, user.id)
    if where.failed:
        note(session, study.id, user.id, "check failed", f"{attempt.right} of {where.asked} right at the last attempt")
    return RedirectResponse(f"/judge/check/{study.id}", status_code=303)


def _open_study(session: Session, study_id: str, user: User) -> Study:
    study, member = joined_study(session, study_id, user)
    if study.state != StudyState.OPEN or member.state != MemberState.ACTIVE:
        raise ConflictError("There is nothing to answer in this study now.", remedy="Your desk says how it stands.")
    return study


def _page(
    request: Request,
    study: Study,
    where: CheckStanding,
    last: ComprehensionAttempt | None,
    *,
    problem: str = "",
    chosen: dict[str, str] | None = None,
    status_code: int = 200,
) -> Response:
    # What was right is told only when nothing can be gained from it any more.
    questions: list[CheckQuestion] = questions_of(study, last if where.failed else None)
    return render(
        request,
        "judging/check.html",
        status_code=status_code,
        study_id=study.id,
        study=study.name,
        guidelines=study.guidelines,
        questions=questions,
        where=where,
        right=last.right if last else None,
        problem=problem,
        chosen=chosen or {},
    )
