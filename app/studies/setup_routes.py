"""Setting a study up: one page that makes and edits it, with a preview; duplicating and deleting."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.responses import RedirectResponse
from sqlmodel import Session

from app.accounts.access import CurrentUser
from app.errors import AppError, ConflictError
from app.studies.checking import check_form
from app.studies.copies import delete_draft, duplicate
from app.studies.drafts import save_draft
from app.studies.filling import fill
from app.studies.forms import SetupForm, act, empty_form, focus_after, read_form
from app.studies.guidelines import diff, versions
from app.studies.imports import last_import
from app.studies.queries import get_study
from app.studies.settled import CHANGEABLE, SettledForm, change_settled, refuse_design_fields, settled_form
from app.studies.setup_view import bounds_of, roles_of, setup_view
from app.studies.stored import design_of, form_of, has_judgments
from app.web.templates import render
from app.web.transactions import ReadSession, WriteSession
from models import Study, StudyState
from models.base import now

router = APIRouter()


async def _sent(request: Request) -> list[tuple[str, object]]:
    return list((await request.form()).multi_items())


Sent = Annotated[list[tuple[str, object]], Depends(_sent)]


@router.get("/studies/new")
def new_study(request: Request, session: ReadSession, preset: str = "") -> Response:
    """Show the form for a new study, filled from a preset where one is named."""
    return _page(request, session, fill(empty_form(), preset, roles_of(request)))


@router.post("/studies")
def add_study(request: Request, session: WriteSession, user: CurrentUser, sent: Sent) -> Response:
    """Make a draft; with anything wrong, show the form again and store nothing."""
    return _save(request, session, read_form(sent), user_id=user.id, study=None)


@router.post("/studies/preview")
def preview(request: Request, session: ReadSession, user: CurrentUser, sent: Sent) -> Response:
    """Show what annotators would see of a form, or the form with a row more, a row less, or a preset filled in.

    Nothing is stored. For htmx the preview alone, unless the form itself is asked for.
    """
    form = read_form(sent)
    study = get_study(session, form.typed["study_id"], user) if form.typed["study_id"] else None
    action = next((value for name, value in sent if name == "do" and isinstance(value, str)), "")
    form = fill(form, form.typed["preset"], roles_of(request)) if action == "preset" else act(form, action)
    alone = request.headers.get("HX-Target") == "preview"
    part = "studies/_preview.html" if alone else ""
    return _page(request, session, form, study=study, part=part, focus=focus_after(form, action))


@router.get("/studies/{study_id}/setup")
def show_setup(request: Request, session: ReadSession, user: CurrentUser, study_id: str, saved: str = "") -> Response:
    """Show a draft's form, or what may still change of a study that was opened."""
    study = get_study(session, study_id, user)
    if study.state is not StudyState.DRAFT:
        return _settled_page(request, session, study, settled_form(session, study), saved=saved)
    form = form_of(design_of(session, study), empty_form(), study_id=study.id)
    said = last_import(session, study) if saved == "import" else "Saved." * bool(saved)
    return _page(request, session, form, study=study, saved=said)


@router.post("/studies/{study_id}/setup")
def save_setup(request: Request, session: WriteSession, user: CurrentUser, study_id: str, sent: Sent) -> Response:
    """Save a draft's form, or what may still change; with anything wrong nothing is stored."""
    study = get_study(session, study_id, user)
    if study.state is StudyState.DRAFT:
        return _save(request, session, read_form([*sent, ("study_id", study.id)]), user_id=user.id, study=study)
    fields = {name: value.replace("\r\n", "\n") for name, value in sent if isinstance(value, str)}
    typed = {name: value for name, value in fields.items() if name in CHANGEABLE}
    try:
        refuse_design_fields(fields)
        form = change_settled(session, study, typed, user_id=user.id, now=now())
    except ConflictError as error:
        session.rollback()
        standing = settled_form(session, study)
        form = SettledForm({**standing.typed, **typed}, {"": str(error)})
        return _settled_page(request, session, study, form, status_code=error.status)
    if form.problems:
        return _settled_page(request, session, study, form, status_code=422)
    return RedirectResponse(f"/studies/{study.id}/setup?saved=yes", status_code=303)


@router.post("/studies/{study_id}/duplicate")
def duplicate_study(session: WriteSession, user: CurrentUser, study_id: str) -> Response:
    """Make a new draft of a study."""
    copy = duplicate(session, get_study(session, study_id, user), user_id=user.id)
    return RedirectResponse(f"/studies/{copy.id}/setup", status_code=303)


@router.post("/studies/{study_id}/delete")
def delete_study(
    session: WriteSession, user: CurrentUser, study_id: str, confirm: Annotated[str, Form(max_length=10)] = ""
) -> Response:
    """Delete a draft, with `confirm=yes`."""
    delete_draft(session, get_study(session, study_id, user), user_id=user.id, confirmed=confirm == "yes")
    return RedirectResponse("/studies", status_code=303)


@router.get("/studies/{study_id}/guidelines")
def show_guidelines(
    request: Request, session: ReadSession, user: CurrentUser, study_id: str, version: int = 0
) -> Response:
    """Show one version of the guidelines, else the newest, and how it differs from the one before."""
    study = get_study(session, study_id, user)
    rows = versions(session, study)
    at = next((place for place, row in enumerate(rows) if row.version == version), 0)
    before = rows[at + 1].text if at + 1 < len(rows) else None
    return render(
        request,
        "studies/guidelines.html",
        study=study,
        rows=rows,
        shown=rows[at],
        changes=diff(before, rows[at].text) if before is not None else (),
    )


def _save(request: Request, session: Session, form: SetupForm, *, user_id: str, study: Study | None) -> Response:
    checked = check_form(form, bounds_of(request, session, study))
    if checked.problems:
        return _page(request, session, form, study=study, refused=checked.problems, status_code=422)
    try:
        saved = save_draft(session, checked.design, user_id=user_id, study=study)
    except AppError as error:
        session.rollback()
        field = "slug" if "address" in error.message else ""
        return _page(request, session, form, study=study, refused={field: str(error)}, status_code=error.status)
    return RedirectResponse(f"/studies/{saved.id}/setup?saved=yes", status_code=303)


def _page(
    request: Request,
    session: Session,
    form: SetupForm,
    *,
    study: Study | None = None,
    refused: Mapping[str, str] | None = None,
    saved: str = "",
    part: str = "",
    focus: str = "",
    status_code: int = 200,
) -> Response:
    checked = check_form(form, bounds_of(request, session, study))
    problems = refused or checked.problems
    shown = SetupForm(form.typed, form.rows, form.chosen, refused or {})
    return render(
        request,
        part or "studies/setup.html",
        status_code=status_code,
        view=setup_view(request, session, shown, checked, study=study, problems=problems),
        study=study,
        saved=saved,
        alone=bool(part),
        focus=focus,
    )


def _settled_page(
    request: Request, session: Session, study: Study, form: SettledForm, *, saved: str = "", status_code: int = 200
) -> Response:
    return render(
        request,
        "studies/settled.html",
        status_code=status_code,
        study=study,
        form=form,
        design=design_of(session, study),
        judged=has_judgments(session, study),
        saved=saved,
    )
