"""Scored files: list them, bring one in, watch it being read."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from sqlmodel import Session, col, select
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool

from app.accounts.access import CurrentUser
from app.db import reading, writing
from app.errors import AppError, NotFoundError
from app.find.imports import NamesIds, admit, import_file, undo_stale, with_hash
from app.web.templates import is_htmx, render
from app.web.transactions import ReadSession
from app.web.uploads import Upload, receive_upload, size_words
from models import FileState, ScoredFile, User

router = APIRouter()

_FIELDS = ("name", "tuned", "base")


@router.get("/traces/files")
def files(request: Request, session: ReadSession) -> Response:
    """List the scored files, with the form for another."""
    return _files_page(request, session, {"tuned": "tuned", "base": "base"})


@router.post("/traces/files")
async def add_file(request: Request, user: CurrentUser) -> Response:
    """Receive a scored file and read it in the background; one that is here already is refused with its link."""
    settings = request.app.state.settings
    try:
        upload = await receive_upload(
            request, field="file", max_bytes=settings.max_upload_bytes, folder=settings.data_dir / "uploads"
        )
    except AppError as error:
        return await run_in_threadpool(_refused, request, {}, error)
    return await run_in_threadpool(_admit, request, user, upload)


@router.get("/traces/files/{file_id}")
def file(request: Request, session: ReadSession, file_id: str) -> Response:
    """Show one scored file: how far it is, or what was wrong with it."""
    found = session.get(ScoredFile, file_id)
    if found is None:
        raise NotFoundError("There is no such file.", remedy="Choose one from the list of scored files.")
    name = "find/_file.html" if is_htmx(request) else "find/file.html"
    response = render(request, name, file=found, progress=_progress(found))
    response.background = BackgroundTask(undo_stale, request.app.state.database)
    return response


def _admit(request: Request, user: User, upload: Upload) -> Response:
    fields = {name: upload.fields.get(name, "").strip() for name in _FIELDS}
    database = request.app.state.database
    try:
        with writing(database) as session:
            new = admit(
                session,
                user,
                upload,
                name=fields["name"] or upload.filename,
                tuned=fields["tuned"],
                base=fields["base"],
            )
            known = None if new else with_hash(session, upload.sha256)
    except AppError as error:
        upload.path.unlink(missing_ok=True)
        return _refused(request, fields, error)
    if new is None:
        upload.path.unlink(missing_ok=True)
        with reading(database) as session:
            return _files_page(request, session, fields, known=known, status_code=409)
    work = BackgroundTask(import_file, database, new.id, upload.path, _names_of(request, new.tuned))
    return RedirectResponse(f"/traces/files/{new.id}", status_code=303, background=work)


def _names_of(request: Request, checkpoint: str) -> NamesIds:
    """Name ids by our own tokenizer where the file's model is one of ours; the file itself names only what it wrote."""
    try:
        name: NamesIds = request.app.state.engines.tokenizer_for(checkpoint).token_bytes
    except (AppError, OSError, ValueError):
        return lambda _token: None
    return name


def _refused(request: Request, fields: dict[str, str], error: AppError) -> Response:
    with reading(request.app.state.database) as session:
        return _files_page(request, session, fields, problem=str(error), status_code=error.status)


def _files_page(
    request: Request,
    session: Session,
    fields: dict[str, str],
    *,
    problem: str = "",
    known: ScoredFile | None = None,
    status_code: int = 200,
) -> Response:
    rows = session.exec(select(ScoredFile).order_by(col(ScoredFile.created_at).desc())).all()
    names = [one.name for one in request.app.state.engines.registry.checkpoints.values()]
    response = render(
        request,
        "find/files.html",
        status_code=status_code,
        files=rows,
        fields={name: fields.get(name, "") for name in _FIELDS},
        checkpoints=names,
        problem=problem,
        known=known,
        limit=size_words(request.app.state.settings.max_upload_bytes),
        max_bytes=request.app.state.settings.max_upload_bytes,
    )
    response.background = BackgroundTask(undo_stale, request.app.state.database)
    return response


def _progress(found: ScoredFile) -> str:
    """Say how far an import is; bytes are counted while it is read, lines while it is stored."""
    if found.state is FileState.READING:
        return f"Checking every line: {size_words(found.done)} of {size_words(found.n)}."
    return f"Storing: {found.done:,} of {found.n:,} lines."
