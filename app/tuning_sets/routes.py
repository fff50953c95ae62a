"""Tuning sets: list, import, look into, search, attach to checkpoints, delete."""

from dataclasses import replace
from typing import Annotated, Literal
from urllib.parse import urlencode, urlsplit

from fastapi import APIRouter, Form, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse
from sqlmodel import Session

from app.accounts.access import CurrentUser
from app.db import reading, writing
from app.errors import AppError, NotFoundError
from app.tuning_sets import queries
from app.tuning_sets.files import Source, copy_source
from app.tuning_sets.forms import ImportForm, import_form, known_checkpoint, offered, offers
from app.tuning_sets.queue import AlreadyImportedError, Imports, begin_import
from app.tuning_sets.view import instance_page, progress_of, turns_of
from app.web.templates import is_htmx, render
from app.web.transactions import ReadSession, WriteSession
from app.web.uploads import receive_upload, size_words
from models import ImportState

router = APIRouter()


@router.get("/tuning-sets")
def list_page(request: Request, session: ReadSession) -> Response:
    """List the tuning sets, with the form to import another."""
    return _list(request, session, ImportForm())


def _list(request: Request, session: Session, form: ImportForm, *, status_code: int = 200) -> Response:
    rows = queries.list_sets(session)
    attached = queries.attached_checkpoints(session)
    registry = request.app.state.engines.registry
    limit = request.app.state.settings.max_upload_bytes
    return render(
        request,
        "tuning_sets/list.html",
        status_code=status_code,
        rows=rows,
        progress={row.row.id: progress_of(row.row) for row in rows if row.row.state in queries.UNFINISHED},
        offers=offers(registry.checkpoints.values(), attached),
        checkpoints=tuple(registry.checkpoints),
        form=form,
        max_bytes=limit,
        max_words=size_words(limit),
    )


@router.post("/tuning-sets")
async def add_set(request: Request, user: CurrentUser, checkpoint: str = "") -> Response:
    """Import an uploaded file, or the one the registry names for `checkpoint`; goes to the set's page at once."""
    imports: Imports = request.app.state.imports
    form = ImportForm()
    try:
        if checkpoint:
            set_id = await run_in_threadpool(_import_offered, request, checkpoint, user.id)
        else:
            places = imports.places
            upload = await receive_upload(request, field="file", max_bytes=places.max_bytes, folder=places.folder)
            form = import_form(upload.fields)
            source = Source(path=upload.path, filename=upload.filename, sha256=upload.sha256)
            set_id = await run_in_threadpool(_import_uploaded, request, source, form, user.id)
    except AppError as error:
        return await run_in_threadpool(_refused, request, form, error)
    return _go(request, f"/tuning-sets/{set_id}")


def _import_offered(request: Request, checkpoint: str, user_id: str) -> str:
    state = request.app.state
    with reading(state.database) as session:
        attached = queries.attached_checkpoints(session)
    offer = offered(offers(state.engines.registry.checkpoints.values(), attached), checkpoint)
    source = copy_source(offer.path, state.imports.places)
    try:
        return _begin(request, source, ImportForm(checkpoints=offer.checkpoints), user_id)
    except AlreadyImportedError as error:
        # What was asked for is that these checkpoints have their set, and it is here.
        with writing(state.database) as session:
            queries.attach(session, error.row.id, offer.checkpoints)
        return error.row.id


def _import_uploaded(request: Request, source: Source, form: ImportForm, user_id: str) -> str:
    try:
        for name in form.checkpoints:
            known_checkpoint(name, request.app.state.engines.registry.checkpoints)
    except AppError:
        source.path.unlink(missing_ok=True)
        raise
    return _begin(request, source, form, user_id)


def _begin(request: Request, source: Source, form: ImportForm, user_id: str) -> str:
    imports: Imports = request.app.state.imports
    set_id = begin_import(
        request.app.state.database,
        imports.places,
        source,
        name=form.name,
        checkpoints=form.checkpoints,
        created_by=user_id,
    )
    imports.start(set_id)
    return set_id


def _refused(request: Request, form: ImportForm, error: AppError) -> Response:
    same = error.row.id if isinstance(error, AlreadyImportedError) else ""
    form = replace(form, problem=str(error), same=same)
    # htmx puts a 422 into the page, and shows others as passing messages.
    status_code = 422 if is_htmx(request) else error.status
    with reading(request.app.state.database) as session:
        return _list(request, session, form, status_code=status_code)


def _go(request: Request, url: str) -> Response:
    if is_htmx(request):
        return Response(status_code=204, headers={"HX-Redirect": url})
    return RedirectResponse(url, status_code=303)


@router.get("/tuning-sets/{set_id}")
def show_set(request: Request, session: ReadSession, set_id: str) -> Response:
    """Show a set: its facts, its checkpoints, its instances; or how far its import is, or why it failed."""
    row = queries.get_set(session, set_id)
    imports: Imports = request.app.state.imports
    attached = queries.checkpoints_of(session, set_id)
    ready = row.state is ImportState.READY
    # A base was tuned on nothing, so it comes last.
    known = sorted(request.app.state.engines.registry.checkpoints.values(), key=lambda entry: entry.role == "base")
    return render(
        request,
        "tuning_sets/_instances.html" if ready and is_htmx(request) else "tuning_sets/set.html",
        row=row,
        ready=ready,
        progress=progress_of(row) if row.state in queries.UNFINISHED else None,
        attached=attached,
        others=[entry.name for entry in known if entry.name not in attached],
        can_retry=row.state is ImportState.FAILED and imports.places.source(set_id).exists(),
        borrowings=queries.borrowings(session, set_id),
        page=instance_page(session, row, imports.places, request.query_params) if ready else None,
    )


@router.get("/tuning-sets/{set_id}/progress")
def show_progress(request: Request, session: ReadSession, set_id: str) -> Response:
    """Show how far an import is, then how it ended; the set's own page is loaded anew for that."""
    row = queries.get_set(session, set_id)
    if row.state in queries.UNFINISHED:
        return render(request, "tuning_sets/_progress.html", row=row, progress=progress_of(row))
    page = f"/tuning-sets/{set_id}"
    if not is_htmx(request):
        return RedirectResponse(page, status_code=303)
    if urlsplit(request.headers.get("HX-Current-URL", "")).path == page:
        return Response(status_code=204, headers={"HX-Refresh": "true"})
    return render(request, "tuning_sets/_state.html", row=row)


@router.get("/tuning-sets/{set_id}/instances/{position}")
def show_instance(request: Request, session: ReadSession, set_id: str, position: int, q: str = "") -> Response:
    """Show one instance whole: a page, or for htmx the part that stands beside a response."""
    row = queries.get_set(session, set_id, ready=True)
    if not 0 <= position < row.n:
        raise NotFoundError("There is no such instance in this tuning set.", remedy=f"It has {row.n:,} instances.")
    instance = queries.get_instance(session, set_id, position)
    return render(
        request,
        "tuning_sets/_instance.html" if is_htmx(request) else "tuning_sets/instance.html",
        row=row,
        instance=instance,
        turns=turns_of(instance, q),
        q=q[:200],
        query=urlencode({"q": q[:200]}) if q else "",
    )


@router.post("/tuning-sets/{set_id}/uses")
def set_use(
    request: Request,
    session: WriteSession,
    set_id: str,
    checkpoint: Annotated[str, Form(max_length=200)] = "",
    action: Annotated[Literal["attach", "detach"], Form()] = "attach",
) -> Response:
    """Say that a checkpoint was tuned on a set, or take it back; one the registry lost can still be taken off."""
    queries.get_set(session, set_id)
    if action == "attach":
        known = request.app.state.engines.registry.checkpoints
        queries.attach(session, set_id, [known_checkpoint(checkpoint, known)])
    else:
        queries.detach(session, set_id, checkpoint)
    return RedirectResponse(f"/tuning-sets/{set_id}", status_code=303)


@router.post("/tuning-sets/{set_id}/retry")
def retry(request: Request, set_id: str) -> Response:
    """Try a failed import again with the file that was sent."""
    imports: Imports = request.app.state.imports
    imports.retry(set_id)
    return RedirectResponse(f"/tuning-sets/{set_id}", status_code=303)


@router.post("/tuning-sets/{set_id}/delete")
def delete(request: Request, set_id: str, confirm: Annotated[str, Form(max_length=10)] = "") -> Response:
    """Delete a set and what was measured with it; the latter only with `confirm=yes`."""
    imports: Imports = request.app.state.imports
    imports.delete(set_id, confirmed=confirm == "yes")
    return RedirectResponse("/tuning-sets", status_code=303)
