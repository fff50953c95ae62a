"""Exports for programs: begin one, see how far it is, download it, also in pieces; and single tables."""

from typing import Annotated

from fastapi import APIRouter, Body, Request, Response
from sqlmodel import Session

from app.accounts.access import CurrentUser
from app.api.shapes import ExportIn, ExportOut
from app.cells import utc_text
from app.errors import NotFoundError
from app.results.build_routes import begin_building, download
from app.results.builds import exports_of, is_alive
from app.results.routes import export as download_table
from app.studies.queries import get_study
from app.web.transactions import ReadSession
from models import Export, ExportState, Study
from models.base import now

router = APIRouter(tags=["exports"])

_FILE = {"description": "The file.", "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}}
_TABLE = {"description": "The table, as its ending says.", "content": {"text/csv": {"schema": {"type": "string"}}}}


@router.get("/api/v1/studies/{study_id}/exports")
def list_exports(session: ReadSession, user: CurrentUser, study_id: str) -> list[ExportOut]:
    """List a study's exports, newest first."""
    study = get_study(session, study_id, user)
    return [_shown(study, one) for one in exports_of(session, study)]


@router.post("/api/v1/studies/{study_id}/exports", status_code=202)
def begin_export(
    request: Request, session: ReadSession, user: CurrentUser, study_id: str, sent: Annotated[ExportIn, Body()]
) -> ExportOut:
    """Begin to build an export of the study as it is now; one of the same state is used again."""
    study = get_study(session, study_id, user)
    export_id = begin_building(request, study, user, external_ids=sent.external_ids)
    # The session that looked the study up began before the export was there.
    session.rollback()
    return _shown(study, _found(session, study, export_id))


@router.get("/api/v1/studies/{study_id}/exports/{export_id}")
def show_export(session: ReadSession, user: CurrentUser, study_id: str, export_id: str) -> ExportOut:
    """Tell how far an export is."""
    study = get_study(session, study_id, user)
    return _shown(study, _found(session, study, export_id))


@router.get(
    "/api/v1/studies/{study_id}/exports/{export_id}/file", response_class=Response, responses={200: _FILE, 206: _FILE}
)
def export_file(request: Request, session: ReadSession, user: CurrentUser, study_id: str, export_id: str) -> Response:
    """Download a finished export, whole or the bytes a Range header asks for."""
    return download(request, session, user, study_id, export_id)


@router.get("/api/v1/studies/{study_id}/tables/{table}", response_class=Response, responses={200: _TABLE})
def table_file(
    request: Request, session: ReadSession, user: CurrentUser, study_id: str, table: str, *, external_ids: bool = False
) -> Response:
    """Download one table of a study, such as `preferences.csv`, `.jsonl` or `.parquet`."""
    return download_table(request, session, user, study_id, table, external_ids=external_ids)


def _found(session: Session, study: Study, export_id: str) -> Export:
    export = session.get(Export, export_id)
    if export is None or export.study_id != study.id:
        raise NotFoundError("There is no such export, or a newer one took its place.", remedy="Build it again.")
    return export


def _shown(study: Study, export: Export) -> ExportOut:
    dead = export.state == ExportState.RUNNING and not is_alive(export, now())
    done = export.state == ExportState.DONE
    return ExportOut(
        id=export.id,
        state=ExportState.FAILED.value if dead else export.state.value,
        done=export.done,
        total=export.total,
        message="The server was stopped while it was built." if dead else export.message,
        external_ids=export.external_ids,
        bytes=export.bytes,
        sha256=export.sha256,
        as_of=utc_text(export.as_of) if export.as_of else None,
        file=f"/api/v1/studies/{study.id}/exports/{export.id}/file" if done else None,
    )
