"""The page that brings judgments made elsewhere into a study: checked first, row by row, then imported whole."""

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from app.accounts.access import CurrentUser
from app.db import reading, writing
from app.errors import AppError
from app.leaks.scanning import scan_study
from app.results.given_rows import NEEDED
from app.results.importing import Found, import_judgments
from app.results.outside_rows import FORMS
from app.studies.imports import MAX_FILE_BYTES, SentFile
from app.studies.queries import get_study
from app.web.templates import is_htmx, render
from app.web.transactions import ReadSession
from app.web.uploads import Upload, receive_upload
from models import Study, User
from models.base import now

router = APIRouter()


@router.get("/studies/{study_id}/import")
def show_import(request: Request, session: ReadSession, user: CurrentUser, study_id: str) -> Response:
    """Show the form for judgments made elsewhere."""
    return _page(request, get_study(session, study_id, user))


@router.post("/studies/judgments")
async def add_judgments(request: Request, user: CurrentUser) -> Response:
    """Check the file of field `file` for the study `study_id`, or with `do` = import bring its judgments in."""
    settings = request.app.state.settings
    limit = min(MAX_FILE_BYTES, settings.max_upload_bytes)
    upload = await receive_upload(request, field="file", max_bytes=limit, folder=settings.data_dir / "uploads")
    return await run_in_threadpool(_bring_in, request, upload, user)


def _bring_in(request: Request, upload: Upload, user: User) -> Response:
    try:
        file = SentFile(upload.filename, upload.sha256, upload.path.read_bytes())
    finally:
        upload.path.unlink(missing_ok=True)
    database, check_only = request.app.state.database, upload.fields.get("do") != "import"
    with reading(database) as session:
        study = get_study(session, upload.fields.get("study_id", ""), user)
    try:
        with writing(database) as session:
            found = import_judgments(
                session,
                get_study(session, study.id, user),
                file,
                secret=request.app.state.secret,
                by=user.id,
                now=now(),
                form=upload.fields.get("form", ""),
                max_chars=request.app.state.settings.max_prompt_chars,
                check_only=check_only,
            )
    except AppError as error:
        return _page(
            request,
            study,
            file=upload.filename,
            form=upload.fields.get("form", ""),
            error=error,
            status_code=error.status,
        )
    if found.prepared and not check_only:
        scan_study(database, study.id)
    return _page(request, study, file=upload.filename, form=found.form, found=found, checked=check_only)


def _page(
    request: Request,
    study: Study,
    *,
    file: str = "",
    form: str = "",
    found: Found | None = None,
    error: AppError | None = None,
    checked: bool = False,
    status_code: int = 200,
) -> Response:
    name = "results/_import.html" if is_htmx(request) else "results/import.html"
    return render(
        request,
        name,
        # htmx swaps in what a refusal says as well.
        status_code=200 if is_htmx(request) else status_code,
        study=study,
        needed=NEEDED,
        formats=FORMS,
        form=form,
        file=file,
        found=found,
        error=error,
        checked=checked,
    )
