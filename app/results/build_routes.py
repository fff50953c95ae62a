"""The page of a study's exports: build one in the background, see how far it is, download it, also in pieces."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import FileResponse, RedirectResponse

from app.accounts.access import CurrentUser
from app.accounts.write_down import is_first_piece, write_down
from app.cells import utc_text
from app.errors import NotFoundError
from app.results.build_jobs import Exports
from app.results.builds import exports_of, file_of, is_alive, the_export
from app.results.export import COLUMNS, FORMATS, MEANINGS
from app.studies.queries import get_study
from app.web.templates import is_htmx, render
from app.web.transactions import ReadSession
from app.web.uploads import size_words
from models import Export, ExportState, Study, User
from models.base import now

router = APIRouter()


@dataclass(frozen=True, slots=True)
class ExportRow:
    """An export as the page shows it."""

    id: str
    percent: int
    what: str
    as_of: str
    size: str
    bytes: int
    sha256: str
    external_ids: bool
    state: str


@router.get("/studies/{study_id}/export")
def show_exports(request: Request, session: ReadSession, user: CurrentUser, study_id: str) -> Response:
    """Show a study's exports; a request of htmx gets the list alone."""
    study = get_study(session, study_id, user)
    rows = [_row(one, now()) for one in exports_of(session, study)]
    return render(
        request,
        "results/_exports.html" if is_htmx(request) else "results/export.html",
        study=study,
        running=[row for row in rows if row.state == "running"],
        done=[row for row in rows if row.state == "done"],
        failed=next((row for row in rows[:1] if row.state == "failed"), None),
        tables=[(table, MEANINGS[table]) for table in COLUMNS],
        formats=FORMATS,
    )


def _row(export: Export, moment: datetime) -> ExportRow:
    alive = is_alive(export, moment)
    state = export.state.value
    return ExportRow(
        id=export.id,
        percent=100 * export.done // export.total if export.total else 0,
        what=export.message if alive or state == "failed" else "The server was stopped while it was built.",
        as_of=utc_text(export.as_of)[:19].replace("T", " ") if export.as_of else "",
        size=size_words(export.bytes),
        bytes=export.bytes,
        sha256=export.sha256,
        external_ids=export.external_ids,
        state="failed" if export.state == ExportState.RUNNING and not alive else state,
    )


@router.post("/studies/{study_id}/export")
def build_export(
    request: Request,
    session: ReadSession,
    user: CurrentUser,
    study_id: str,
    external_ids: Annotated[str, Form(max_length=3)] = "",
) -> Response:
    """Begin to build an export of the study as it is now; one of the same state is used again."""
    study = get_study(session, study_id, user)
    begin_building(request, study, user, external_ids=external_ids == "yes")
    return RedirectResponse(f"/studies/{study.id}/export", status_code=303)


def begin_building(request: Request, study: Study, user: User, *, external_ids: bool) -> str:
    """Write down that an export is asked for, begin to build it, and return its id."""
    write_down(request, user, "export begun", about=study.id, detail=in_words(external_ids=external_ids))
    return _exports(request).start(study, user, external_ids=external_ids)


@router.get("/studies/{study_id}/exports/{export_id}")
def download(request: Request, session: ReadSession, user: CurrentUser, study_id: str, export_id: str) -> Response:
    """Send the file of a finished export, whole or the bytes a Range header asks for."""
    study = get_study(session, study_id, user)
    export = the_export(session, study, export_id)
    path = file_of(_exports(request).folder, export)
    if not path.exists():
        raise NotFoundError("The file of this export is gone.", remedy="Build it again.")
    if is_first_piece(request):
        what = f"of {export.as_of:%Y-%m-%d %H:%M} UTC" if export.as_of else ""
        ids = in_words(external_ids=export.external_ids)
        write_down(request, user, "export downloaded", about=study.id, detail=f"{what} {ids}".strip())
    # The same state is the same file, so a download that broke off goes on by its hash, whatever the time of the file.
    headers = {"ETag": f'"{export.sha256}"', "Cache-Control": "private, no-cache"}
    return FileResponse(path, media_type="application/zip", filename=_name(study.slug, export), headers=headers)


def in_words(*, external_ids: bool) -> str:
    """Say for the log whether people can be told by it."""
    return "with the ids of recruiting platforms" if external_ids else ""


def _name(slug: str, export: Export) -> str:
    moment = utc_text(export.as_of)[:19].translate({ord(one): None for one in "-:"}) if export.as_of else ""
    return f"{slug}-{moment}{'-external-ids' if export.external_ids else ''}.zip"


def _exports(request: Request) -> Exports:
    exports: Exports = request.app.state.exports
    return exports
