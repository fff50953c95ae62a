"""The audit log for owners: a page with filters, and the same as CSV."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Engine as Database

from app.accounts.access import CurrentUser
from app.accounts.audit import COLUMNS, PAGE, Asked, Entry, actions, read_log, whole_log
from app.accounts.write_down import write_down
from app.cells import csv_line, utc_text
from app.db import snapshot
from app.errors import InvalidInputError
from app.web.templates import render
from app.web.transactions import ReadSession
from models.base import now

router = APIRouter()

_MAX_PAGE = 1_000_000


class AuditQuery(BaseModel):
    """What of the log is wanted, as the address says it. `since` and `until` are days, both included."""

    model_config = ConfigDict(extra="ignore")

    action: str = Field("", max_length=40)
    who: str = Field("", max_length=40)
    study: str = Field("", max_length=40)
    since: str = Field("", max_length=10)
    until: str = Field("", max_length=10)
    page: int = Field(1, ge=1, le=_MAX_PAGE)

    def asked(self) -> Asked:
        """Read it. Raises InvalidInputError for a day that is none."""
        until = _day("until", self.until)
        return Asked(
            action=self.action,
            who=self.who,
            study=self.study,
            since=_day("since", self.since),
            until=until + timedelta(days=1) if until else None,
        )

    def at(self, page: int) -> str:
        """Address another page of the same."""
        kept = {name: value for name, value in self.model_dump(exclude={"page"}).items() if value}
        return urlencode(kept | {"page": page})


@router.get("/audit")
def audit_page(request: Request, session: ReadSession, query: Annotated[AuditQuery, Query()]) -> Response:
    """Show the log, newest first, fifty entries a page."""
    entries, total = read_log(session, query.asked(), query.page)
    return render(
        request,
        "accounts/audit.html",
        entries=entries,
        total=total,
        pages=max(1, -(-total // PAGE)),
        query=query,
        actions=actions(session),
    )


@router.get("/audit.csv")
def audit_file(request: Request, user: CurrentUser, query: Annotated[AuditQuery, Query()]) -> Response:
    """Download what is asked for, all of it; that it was downloaded is in the log too."""
    asked = query.asked()
    write_down(request, user, "audit log downloaded")
    name = f"tuneshift-audit-{now():%Y%m%dT%H%M%S}.csv"
    return StreamingResponse(
        _lines(request.app.state.database, asked),
        media_type="text/csv; charset=utf-8; header=present",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _lines(database: Database, asked: Asked) -> Iterator[str]:
    # The request's session ends before a stream begins, so the stream opens its own.
    with snapshot(database) as session:
        yield csv_line(COLUMNS)
        for entry in whole_log(session, asked):
            yield csv_line(_cells(entry))


def _cells(entry: Entry) -> tuple[str, ...]:
    return (utc_text(entry.at), *(getattr(entry, name) for name in COLUMNS[1:]))


def _day(field: str, text: str) -> datetime | None:
    if not text:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError as error:
        raise InvalidInputError(
            f"{field}: {text!r} is no day.", remedy="Write it like 2030-01-31.", where=field
        ) from error
