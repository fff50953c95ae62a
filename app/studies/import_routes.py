"""Files for a draft, streamed to disk within limits, read, and gone again; responses in them are scanned at once."""

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse

from app.accounts.access import CurrentUser
from app.db import reading, writing
from app.errors import AppError, InvalidInputError
from app.leaks.scanning import scan_study, unscanned
from app.studies.imports import MAX_FILE_BYTES, SentFile, import_file
from app.studies.queries import get_study
from app.web.templates import render
from app.web.uploads import Upload, receive_upload
from models import Study, User

router = APIRouter()


@router.post("/studies/imports")
async def add_file(request: Request, user: CurrentUser) -> Response:
    """Import the file of field `file` into the draft `study_id`, as its `kind` says; nothing of a wrong one is kept."""
    settings = request.app.state.settings
    folder = settings.data_dir / "uploads"
    limit = min(MAX_FILE_BYTES, settings.max_upload_bytes)
    upload = await receive_upload(request, field="file", max_bytes=limit, folder=folder)
    return await run_in_threadpool(_import, request, upload, user)


def _import(request: Request, upload: Upload, user: User) -> Response:
    fields, settings = upload.fields, request.app.state.settings
    try:
        study = _study(request, fields.get("study_id", ""), user)
        file = SentFile(upload.filename, upload.sha256, upload.path.read_bytes())
    finally:
        upload.path.unlink(missing_ok=True)
    database = request.app.state.database
    try:
        with writing(database) as session:
            import_file(
                session,
                get_study(session, study.id, user),
                fields.get("kind", ""),
                file,
                arm=fields.get("arm", "")[:200],
                max_chars=settings.max_prompt_chars,
                user_id=user.id,
            )
    except AppError as error:
        return render(
            request, "studies/import_refused.html", status_code=error.status, study=study, file=file.name, error=error
        )
    with reading(database) as session:
        to_scan = unscanned(session, study.id)
    if to_scan:
        scan_study(database, study.id)
    return RedirectResponse(f"/studies/{study.id}/setup?saved=import", status_code=303)


def _study(request: Request, study_id: str, user: User) -> Study:
    if not study_id:
        raise InvalidInputError("The form does not say which study the file is for.", remedy="Save the draft first.")
    with reading(request.app.state.database) as session:
        study = get_study(session, study_id, user)
        session.expunge(study)
        return study
