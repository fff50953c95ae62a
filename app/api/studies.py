"""Studies for programs: list, look into, make from JSON, add prompts, open and close; judgments and results."""

import hashlib
import json
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Query, Request
from sqlmodel import Session

from app.accounts.access import CurrentUser
from app.api.shapes import (
    ArmOut,
    Imported,
    JudgmentOut,
    JudgmentsOut,
    PairOut,
    ResultsOut,
    StateIn,
    StudyIn,
    StudyOut,
    StudyRow,
)
from app.cells import utc_text
from app.db import reading
from app.errors import InvalidInputError
from app.results.page_routes import RowsQuery, looked_at
from app.results.rows import Asked, judgments_like
from app.studies.checking import check_form
from app.studies.coverage import arm_coverage, pair_progress
from app.studies.drafts import regular_items, save_draft
from app.studies.filling import fill
from app.studies.forms import SetupForm, empty_form, pair_value
from app.studies.imports import SentFile, import_file
from app.studies.queries import get_study, studies_of
from app.studies.routes import move_study
from app.studies.setup_view import bounds_of, roles_of
from app.web.requests import FORMS, content_type
from app.web.transactions import ReadSession, WriteSession
from models import Study

router = APIRouter(tags=["studies"])

_LINES = {"application/jsonl": {"schema": {"type": "string"}}}


@router.get("/api/v1/studies")
def list_studies(session: ReadSession, user: CurrentUser) -> list[StudyRow]:
    """List the studies this person may see, newest first."""
    return [StudyRow(**_about(study)) for study in studies_of(session, user)]


@router.post("/api/v1/studies", status_code=201)
def add_study(request: Request, session: WriteSession, user: CurrentUser, sent: Annotated[StudyIn, Body()]) -> StudyOut:
    """Make a draft by the rules of the set-up page; with anything wrong nothing is stored."""
    form = _form(request, sent)
    checked = check_form(form, bounds_of(request, session, None))
    if checked.problems:
        where, message = next(iter(checked.problems.items()))
        raise InvalidInputError(message, where=where, remedy=" ".join(list(checked.problems.values())[1:4]))
    return _study(session, save_draft(session, checked.design, user_id=user.id))


@router.get("/api/v1/studies/{study_id}")
def show_study(session: ReadSession, user: CurrentUser, study_id: str) -> StudyOut:
    """Tell how a study stands; it is named by its id or its address."""
    return _study(session, get_study(session, study_id, user))


async def _sent(request: Request) -> bytes:
    """Return the body as it is; a form around it would be taken for prompts, line by line."""
    if content_type(request) in FORMS:
        raise InvalidInputError(
            "Prompts are the body itself, not a form.",
            where="Content-Type",
            remedy="Send the file as it is, with Content-Type: application/jsonl (curl: --data-binary @FILE).",
        )
    return await request.body()


@router.post("/api/v1/studies/{study_id}/prompts", openapi_extra={"requestBody": {"content": _LINES, "required": True}})
def add_prompts(
    request: Request,
    session: WriteSession,
    user: CurrentUser,
    study_id: str,
    raw: Annotated[bytes, Depends(_sent)],
) -> Imported:
    """Give a draft its prompts: JSON Lines of `{"prompt": …}`, a JSON list, CSV, or one a line."""
    study = get_study(session, study_id, user)
    file = SentFile("prompts sent by a program", hashlib.sha256(raw).hexdigest(), raw)
    max_chars = request.app.state.settings.max_prompt_chars
    done = import_file(session, study, "prompts", file, arm="", max_chars=max_chars, user_id=user.id)
    return Imported(message=done)


@router.post("/api/v1/studies/{study_id}/state")
def set_state(request: Request, user: CurrentUser, study_id: str, sent: Annotated[StateIn, Body()]) -> StudyRow:
    """Open, pause or close a study; what its opening lacks is named."""
    database = request.app.state.database
    found = move_study(database, study_id, user, sent.state.value)
    with reading(database) as session:
        return StudyRow(**_about(get_study(session, found, user)))


@router.get("/api/v1/studies/{study_id}/judgments")
def judgments(
    session: ReadSession, user: CurrentUser, study_id: str, asked: Annotated[RowsQuery, Query()]
) -> JudgmentsOut:
    """List judgments, fifty a page, by item: all, or those a number of the results is made of."""
    study = get_study(session, study_id, user)
    found = judgments_like(session, study, Asked(**asked.model_dump(exclude={"page"})), asked.page)
    rows = [
        JudgmentOut(
            presentation_id=one.presentation_id,
            item=one.position,
            prompt=one.prompt,
            annotator=one.pid,
            left=one.left,
            right=one.right,
            answer=one.answer,
            excluded_by=list(one.excluded_by),
        )
        for one in found.rows
    ]
    return JudgmentsOut(judgments=rows, total=found.total, page=found.page, pages=found.pages)


@router.get("/api/v1/studies/{study_id}/results")
def results(request: Request, session: ReadSession, user: CurrentUser, study_id: str) -> ResultsOut:
    """Return what a study found, number by number, each with its interval, its n, or why it does not exist.

    Of a large study the last findings come at once while newer ones are computed. A look at an open study is written
    down, as on the page.
    """
    stands = looked_at(request, session, get_study(session, study_id, user), user)
    return ResultsOut(
        as_of=utc_text(stands.as_of) if stands.as_of else None,
        fresh=stands.fresh,
        judgments=stands.judgments,
        since=stands.since,
        findings=stands.findings.flat() if stands.findings else None,
    )


def _form(request: Request, sent: StudyIn) -> SetupForm:
    """Write what was sent as the set-up form that says the same, so that one set of rules checks both."""
    form = fill(empty_form(), sent.preset, roles_of(request)) if sent.preset else empty_form()
    arms = tuple(
        {name: str(value) for name, value in arm.model_dump().items()} | {"temperature": f"{arm.temperature:g}"}
        for arm in sent.arms
    )
    typed: dict[str, Any] = {
        "name": sent.name,
        "slug": sent.slug,
        "seed": sent.seed,
        "preset": sent.preset,
        "prompts": "\n".join(json.dumps({"prompt": one}, ensure_ascii=False) for one in sent.prompts),
        "overlap": str(sent.overlap),
        "per_annotator": "" if sent.per_annotator is None else str(sent.per_annotator),
        "withdrawal": sent.withdrawal,
        "allow_holes": "yes" if sent.allow_holes else "",
        **({} if sent.guidelines is None else {"guidelines": sent.guidelines}),
        **({} if sent.pairs is None else {"pairing": "chosen"}),
    }
    form = form.with_typed(**typed).with_rows("arm", arms or form.rows["arm"])
    names = {row["name"] or row["checkpoint"] for row in form.rows["arm"]}
    for pair in sent.pairs or ():
        if len(set(pair) & names) < 2:  # noqa: PLR2004  a pair is of two
            raise InvalidInputError(f"{pair} are not two arms of this study.", where="pairs")
    chosen = tuple(pair_value(*pair) for pair in sent.pairs or ())
    return SetupForm(form.typed, form.rows, chosen)


def _about(study: Study) -> dict[str, Any]:
    return {
        "id": study.id,
        "slug": study.slug,
        "name": study.name,
        "state": study.state.value,
        "version": study.version,
        "created_at": utc_text(study.created_at),
    }


def _study(session: Session, study: Study) -> StudyOut:
    return StudyOut(
        **_about(study),
        overlap=study.overlap,
        items=len(regular_items(session, study)),
        arms=[ArmOut(**asdict(one)) for one in arm_coverage(session, study.id)],
        pairs=[PairOut(**asdict(one)) for one in pair_progress(session, study)],
    )
