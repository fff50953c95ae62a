"""The researcher's studies: list, make, look into, open and close."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy import Engine as Database
from sqlmodel import Session, col, func, select

from app.accounts.access import CurrentUser
from app.db import reading, writing
from app.errors import InvalidInputError
from app.leaks.scanning import scan_study, unscanned
from app.studies.coverage import arm_coverage, pair_progress
from app.studies.generation_view import broken_off
from app.studies.opening_facts import checklist
from app.studies.presets import PRESETS
from app.studies.queries import TRANSITIONS, answers_of, change_state, get_study, items_page, studies_of
from app.studies.rules import named_arms
from app.studies.stored import has_judgments
from app.web.templates import render
from app.web.transactions import ReadSession
from models import Arm, Item, ItemKind, Membership, Study, StudyState, User
from models.base import now

router = APIRouter()

_ACTIONS = {StudyState.OPEN: "Open", StudyState.PAUSED: "Pause", StudyState.CLOSED: "Close"}


@dataclass(frozen=True, slots=True)
class StudyRow:
    """A study in the list."""

    id: str
    name: str
    slug: str
    state: str
    items: int
    judged: int
    wanted: int


@router.get("/studies")
def list_studies(request: Request, session: ReadSession, user: CurrentUser) -> Response:
    """List the studies of a researcher, and the starts for a new one."""
    rows = [_row(session, study) for study in studies_of(session, user)]
    return render(request, "studies/list.html", studies=rows, presets=tuple(PRESETS.values()))


def _row(session: Session, study: Study) -> StudyRow:
    regular = select(func.count()).select_from(Item).where(Item.study_id == study.id, Item.kind == ItemKind.REGULAR)
    items = session.exec(regular).one()
    progress = pair_progress(session, study)
    return StudyRow(
        id=study.id,
        name=study.name,
        slug=study.slug,
        state=study.state.value,
        items=items,
        judged=sum(pair.judged for pair in progress),
        wanted=sum(pair.wanted for pair in progress),
    )


@router.get("/studies/{study_id}")
def show_study(
    request: Request,
    session: ReadSession,
    user: CurrentUser,
    study_id: str,
    items: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
) -> Response:
    """Show a study to its researcher; `items` is the page of its items."""
    study = get_study(session, study_id, user)
    page = items_page(session, study.id, items)
    arms = session.exec(select(Arm.name).where(Arm.study_id == study.id, col(Arm.special).is_(False))).all()
    return render(
        request,
        "studies/study.html",
        study=study,
        items=page,
        answers=answers_of(session, study.id, [item.id for item in page.rows]),
        arms=arm_coverage(session, study.id),
        broken_off=broken_off(session, study, now=now()),
        pairs=pair_progress(session, study),
        opening=() if study.state is StudyState.OPEN else checklist(session, study, now()),
        annotators=session.exec(select(func.count()).where(Membership.study_id == study.id)).one(),
        actions=[(state.value, _ACTIONS[state]) for state in TRANSITIONS[study.state]],
        leaks=named_arms(f"{study.name}\n{study.guidelines}", arms),
        can_delete=study.state is StudyState.DRAFT and not has_judgments(session, study),
    )


@router.post("/studies/{study_id}/state")
def set_state(
    request: Request, user: CurrentUser, study_id: str, state: Annotated[str, Form(max_length=20)]
) -> Response:
    """Open, pause or close a study; before it opens, its responses are scanned for what tells who wrote them."""
    return RedirectResponse(
        f"/studies/{move_study(request.app.state.database, study_id, user, state)}", status_code=303
    )


def move_study(database: Database, study_id: str, user: User, state: str) -> str:
    """Bring a study of this person's to a state, its responses scanned before it opens; returns its id."""
    with reading(database) as session:
        study = get_study(session, study_id, user)
        found, to_scan = study.id, unscanned(session, study.id)
    if state not in set(StudyState):
        raise InvalidInputError(f"A study cannot be {state!r}.", remedy="It can be open, paused or closed.")
    if state == StudyState.OPEN and to_scan:
        scan_study(database, found)
    with writing(database) as session:
        change_state(session, get_study(session, study_id, user), StudyState(state), by=user.id)
    return found
