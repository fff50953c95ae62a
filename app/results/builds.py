"""The rows of exports to download: begun, found, and removed when newer ones have come."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlmodel import Session, col, select

from app.errors import NotFoundError
from models import Export, ExportState, Study

KEPT = 3
_SILENT = timedelta(minutes=2)


def is_alive(export: Export, now: datetime) -> bool:
    """Tell whether somebody is working on an export; a server that was killed leaves one that nobody works on."""
    touched = export.touched_at if export.touched_at.tzinfo else export.touched_at.replace(tzinfo=UTC)
    return export.state == ExportState.RUNNING and touched > now - _SILENT


def exports_of(session: Session, study: Study) -> Sequence[Export]:
    """List a study's exports, newest first."""
    query = select(Export).where(Export.study_id == study.id)
    return session.exec(query.order_by(col(Export.created_at).desc(), col(Export.id))).all()


def begin(session: Session, study: Study, *, external_ids: bool, by: str, now: datetime) -> tuple[str, bool]:
    """Store an export to be built, or find the same one being built already; tells its id and whether it is new."""
    for one in exports_of(session, study):
        if is_alive(one, now) and one.external_ids == external_ids:
            return one.id, False
    export = Export(study_id=study.id, external_ids=external_ids, created_by=by, created_at=now, touched_at=now)
    session.add(export)
    session.flush()
    return export.id, True


def the_export(session: Session, study: Study, export_id: str) -> Export:
    """Load a finished export of a study. Raises NotFoundError."""
    export = session.get(Export, export_id)
    if export is None or export.study_id != study.id or export.state != ExportState.DONE:
        raise NotFoundError("There is no such export, or a newer one took its place.", remedy="Build it again.")
    return export


def file_of(folder: Path, export: Export) -> Path:
    """Say where the file of an export lies."""
    return folder / export.study_id / f"{export.fingerprint}.zip"


def tidy(session: Session, folder: Path, study_id: str, now: datetime) -> None:
    """Drop the rows of all but the newest exports of a study, and the files that no row names any more."""
    query = select(Export).where(Export.study_id == study_id)
    rows = session.exec(query.order_by(col(Export.created_at).desc(), col(Export.id))).all()
    done: list[str] = []
    for row in rows:
        # That the last one failed is still to be said.
        if is_alive(row, now) or (row is rows[0] and row.state == ExportState.FAILED):
            continue
        if row.state == ExportState.DONE and row.fingerprint not in done and len(done) < KEPT:
            done.append(row.fingerprint)
        else:
            session.delete(row)
    session.flush()
    named = set(session.exec(select(Export.fingerprint).where(Export.study_id == study_id)))
    for path in (folder / study_id).glob("*.zip"):
        if path.stem not in named:
            path.unlink(missing_ok=True)
