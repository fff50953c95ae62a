"""The results of a study: the page, its figures as files, and the judgments behind each number. For researchers."""

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlmodel import Session

from app.accounts.access import CurrentUser
from app.errors import NotFoundError
from app.results.looks import log_look, looks_at
from app.results.one_file import write_report
from app.results.page import draw, titles_of
from app.results.rows import OUTCOMES, Asked, judgments_like
from app.results.standing import Standing, settle
from app.results.view.page import charts_of, parts_of, reading_of
from app.results.view.parts import Reading, pair_key
from app.studies.queries import get_study
from app.web.templates import is_htmx, render
from app.web.transactions import ReadSession
from models import Study, User
from models.base import now

router = APIRouter()

_Short = Annotated[str, Query(max_length=410)]
_FORMATS = {"svg": "image/svg+xml", "csv": "text/csv; charset=utf-8; header=present"}


class RowsQuery(BaseModel):
    """What judgments are wanted, as the address says it, and which page of them."""

    model_config = ConfigDict(extra="ignore")

    first: str = Field("", max_length=200)
    second: str = Field("", max_length=200)
    outcome: str = Field("", max_length=40)
    annotator: str = Field("", max_length=40)
    item: str = Field("", max_length=40)
    marked: str = Field("", max_length=200)
    type: str = Field("", max_length=40)
    severity: str = Field("", max_length=16)
    recognised: str = Field("", max_length=8)
    rated: str = Field("", max_length=200)
    dimension: str = Field("", max_length=80)
    value: int | None = Field(None, ge=1, le=5)
    stratum: str = Field("", max_length=80)
    excluded: str = Field("", max_length=8)
    page: int = Field(1, ge=1, le=1_000_000)

    def at(self, page: int) -> str:
        """Address another page of the same list."""
        kept = {name: value for name, value in self.model_dump(exclude={"page"}).items() if value}
        return urlencode(kept | {"page": page})


@router.get("/studies/{study_id}/results")
def results(
    request: Request,
    session: ReadSession,
    user: CurrentUser,
    study_id: str,
    pair: _Short = "",
    exclusions: _Short = "with",
    stratum: _Short = "",
) -> Response:
    """Show what a study found, or what it found in one stratum; an htmx request gets the part that changes.

    `exclusions` is with or without.
    """
    study = get_study(session, study_id, user)
    stands = looked_at(request, session, study, user)
    reading = _reading(stands, study, pair, exclusions, stratum)
    return render(
        request,
        "results/_live.html" if is_htmx(request) else "results/page.html",
        study=study,
        stands=stands,
        failed=request.app.state.findings.failed(study.id),
        read=request.app.state.findings.read(study.id),
        parts=parts_of(reading) if reading else (),
        pairs=[(pair_key(*one), one) for one in stands.findings.pairs] if stands.findings else [],
        pair=pair,
        exclusions=exclusions,
        stratum=stratum,
        draw=draw,
        looks=looks_at(session, study),
    )


@router.get("/studies/{study_id}/results/figures/{figure}")
def figure_file(
    request: Request,
    session: ReadSession,
    user: CurrentUser,
    study_id: str,
    figure: str,
    pair: _Short = "",
    exclusions: _Short = "with",
    stratum: _Short = "",
) -> Response:
    """Download a figure as SVG, or as the numbers drawn in it."""
    study = get_study(session, study_id, user)
    reading = _reading(looked_at(request, session, study, user), study, pair, exclusions, stratum)
    charts = charts_of(parts_of(reading)) if reading else {}
    name, _, format_ = figure.rpartition(".")
    if name not in charts or format_ not in _FORMATS:
        there = ", ".join(f"{one}.svg" for one in charts) or "none yet"
        raise NotFoundError(f"There is no figure {figure[:40]!r}.", remedy=f"There are {there}; .csv has the numbers.")
    chart = charts[name]
    return Response(
        chart.file() if format_ == "svg" else chart.csv(),
        media_type=_FORMATS[format_],
        headers={"Content-Disposition": f'attachment; filename="{study.slug}-{name}.{format_}"'},
    )


@router.get("/studies/{study_id}/report.html")
def report(request: Request, session: ReadSession, user: CurrentUser, study_id: str) -> Response:
    """Download the report of a study as one file."""
    study = get_study(session, study_id, user)
    stands = looked_at(request, session, study, user)
    if stands.findings is None or not stands.findings.pairs:
        raise NotFoundError("There is nothing to report yet.", remedy="Results begin with the first judgment.")
    public_url = request.app.state.settings.public_url
    return Response(
        write_report(session, study, stands, stands.findings, public_url=public_url),
        media_type="text/html; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{study.slug}-report.html"'},
    )


@router.get("/studies/{study_id}/results/judgments")
def judgments(
    request: Request,
    session: ReadSession,
    user: CurrentUser,
    study_id: str,
    asked: Annotated[RowsQuery, Query()],
) -> Response:
    """List the judgments behind a number."""
    study = get_study(session, study_id, user)
    wanted = Asked(**asked.model_dump(exclude={"page"}))
    return render(
        request,
        "results/judgments.html",
        study=study,
        found=judgments_like(session, study, wanted, asked.page),
        asked=wanted,
        outcomes=OUTCOMES,
        query=asked,
    )


def looked_at(request: Request, session: Session, study: Study, user: User) -> Standing:
    """Settle the findings, see that what is out of date is computed, and write the look down."""
    moment = now()
    stands = settle(request.app.state.database, session, study, moment)
    if not stands.fresh:
        request.app.state.findings.start(study.id)
    if stands.findings:
        seen = int(stands.findings.numbers["judgments.all"].value or 0)
        log_look(request.app.state.database, session, study, user, judgments=seen, now=moment)
    return stands


def _reading(stands: Standing, study: Study, pair: str, exclusions: str, stratum: str) -> Reading | None:
    if stands.findings is None:
        return None
    return reading_of(
        stands.findings,
        study.id,
        pair=pair,
        everything=exclusions == "without",
        titles=titles_of(study),
        stratum=stratum,
    )
