"""What the arms of a study borrowed from a tuning set: measured in the background, shown with intervals, exported."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import RedirectResponse, StreamingResponse
from sqlalchemy import Engine as Database
from sqlmodel import Session

from app.accounts.access import CurrentUser
from app.db import reading
from app.errors import ConflictError
from app.provenance.borrowing_jobs import BorrowingJobs
from app.provenance.borrowing_rates import arm_rates, differences
from app.provenance.borrowing_rows import METHOD, Answered, answered, lengths, rows_of
from app.provenance.borrowing_table import csv_lines
from app.provenance.borrowing_view import (
    difference_rows,
    kind_tables,
    measured_by_arm,
    response_rows,
    shares,
)
from app.provenance.look import indexes
from app.provenance.queries import SetChoice, chosen_set, study_set_choices
from app.studies.queries import get_study
from app.web.templates import is_htmx, render
from app.web.transactions import ReadSession
from models import Borrowing, ImportState, Study

router = APIRouter()

PAGE = 100


@dataclass(frozen=True, slots=True)
class Opened:
    """A study, the tuning sets it may be measured against, and the one chosen."""

    study: Study
    choices: tuple[SetChoice, ...]
    chosen: SetChoice | None


def _open(session: Session, study: Study, set_id: str) -> Opened:
    choices = study_set_choices(session, study.id)
    return Opened(study, choices, chosen_set(choices, set_id))


@router.get("/studies/{study_id}/borrowing")
def borrowing(
    request: Request,
    session: ReadSession,
    user: CurrentUser,
    study_id: str,
    set_id: Annotated[str, Query(alias="set", max_length=40)] = "",
    arm: Annotated[str, Query(max_length=200)] = "",
    page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
) -> Response:
    """Show the borrowing rates of a study, or how far their measurement is."""
    opened = _open(session, get_study(session, study_id, user), set_id)
    rows = answered(session, opened.study.id)
    chosen = opened.chosen
    have = rows_of(session, opened.study.id, chosen.row.id) if chosen else {}
    waiting = sum((one.response_id, one.checkpoint) not in have for one in rows)
    name = "provenance/_borrowing.html" if is_htmx(request) else "provenance/borrowing.html"
    return render(
        request,
        name,
        study=opened.study,
        opened=opened,
        ready=chosen is not None and chosen.row.state == ImportState.READY,
        job=_jobs(request).get(opened.study.id, chosen.row.id) if chosen else None,
        total=len(rows),
        waiting=waiting,
        method=METHOD,
        arm=arm,
        page=page,
        **_figures(request, session, opened, rows, have),
        **_page(rows, have, arm, page),
    )


def _jobs(request: Request) -> BorrowingJobs:
    jobs: BorrowingJobs = request.app.state.borrowing
    return jobs


def _page(rows: list[Answered], have: dict[tuple[str, str], Borrowing], arm: str, page: int) -> dict[str, Any]:
    listed = response_rows(rows, have, arm=arm)
    return {"listed": listed[PAGE * (page - 1) : PAGE * page], "listed_n": len(listed), "page_size": PAGE}


def _figures(
    request: Request,
    session: Session,
    opened: Opened,
    rows: list[Answered],
    have: dict[tuple[str, str], Borrowing],
) -> dict[str, Any]:
    """Work the statistics out, once for the same rows."""
    registry = request.app.state.engines.registry.checkpoints
    roles = {one.arm: str(registry[one.checkpoint].role) for one in rows if one.checkpoint in registry}

    def work() -> dict[str, Any]:
        arms = measured_by_arm(rows, have, lengths(session, opened.study.id))
        rated = [arm_rates(name, measured) for name, measured in arms.items()]
        return {
            "kinds": kind_tables(rated),
            "verbatim": [(one.arm, shares(one.verbatim) or one.verbatim.reason) for one in rated],
            "differences": difference_rows(differences(arms), roles),
            "content_differences": difference_rows(differences(arms, "content"), roles),
        }

    newest = max((row.created_at for row in have.values()), default=None)
    set_id = opened.chosen.row.id if opened.chosen else ""
    return indexes(request).remembered(("borrowing", opened.study.id, set_id, len(rows), len(have), newest), work)


@router.post("/studies/{study_id}/borrowing")
def measure_borrowing(
    request: Request,
    session: ReadSession,
    user: CurrentUser,
    study_id: str,
    set_id: Annotated[str, Form(alias="set", max_length=40)] = "",
) -> Response:
    """Begin to measure what is missing, in the background."""
    opened = _open(session, get_study(session, study_id, user), set_id)
    chosen = opened.chosen
    if chosen is None or chosen.row.state != ImportState.READY:
        raise ConflictError("There is no tuning set to measure against.", remedy="Import one, and attach it.")
    _jobs(request).start(opened.study.id, chosen.row.id, request.app.state.engines)
    link = f"/studies/{opened.study.id}/borrowing?set={chosen.row.id}"
    if is_htmx(request):
        return Response(status_code=204, headers={"HX-Redirect": link})
    return RedirectResponse(link, status_code=303)


@router.get("/studies/{study_id}/borrowing.csv")
def borrowing_csv(
    request: Request,
    session: ReadSession,
    user: CurrentUser,
    study_id: str,
    set_id: Annotated[str, Query(alias="set", max_length=40)] = "",
) -> StreamingResponse:
    """Download every measured response as a row."""
    opened = _open(session, get_study(session, study_id, user), set_id)
    chosen = opened.chosen.row.id if opened.chosen else ""
    return StreamingResponse(
        _lines(request.app.state.database, opened.study.id, chosen),
        media_type="text/csv; charset=utf-8; header=present",
        headers={"Content-Disposition": f'attachment; filename="{opened.study.slug}-borrowing.csv"'},
    )


def _lines(database: Database, study_id: str, set_id: str) -> Iterator[str]:
    # The request's session ends before a stream begins, so the stream opens its own.
    with reading(database) as session:
        yield from csv_lines(session, study_id, set_id)
