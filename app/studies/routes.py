"""The researcher's studies: list, make, look into, open and close, invite annotators."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse
from sqlmodel import Session, col, func, select

from app.accounts.access import CurrentUser
from app.accounts.queries import create_invite, invite_url
from app.db import ReadSession, WriteSession, reading, writing
from app.errors import InvalidInputError
from app.leaks.scanning import scan_study, unscanned
from app.results.export import TABLES
from app.studies.coverage import arm_coverage, missing_responses, pair_progress
from app.studies.drafts import regular_items
from app.studies.presets import PRESETS
from app.studies.queries import TRANSITIONS, answers_of, change_state, get_study, studies_of
from app.studies.rules import named_arms
from app.studies.stored import has_judgments
from app.web.templates import render
from models import Arm, Invite, Item, ItemKind, Membership, Role, Study, StudyState
from models.base import now

router = APIRouter()

MAX_INVITES = 50
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


@dataclass(frozen=True, slots=True)
class InviteRow:
    """An invite in the list; its link itself was shown once."""

    created_at: datetime
    expires_at: datetime
    state: str


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
def show_study(request: Request, session: ReadSession, user: CurrentUser, study_id: str) -> Response:
    """Show a study to its researcher."""
    return _study_page(request, session, get_study(session, study_id, user))


def _study_page(request: Request, session: Session, study: Study, *, links: tuple[str, ...] = ()) -> Response:
    arms = session.exec(select(Arm.name).where(Arm.study_id == study.id, col(Arm.special).is_(False))).all()
    return render(
        request,
        "studies/study.html",
        study=study,
        items=regular_items(session, study),
        answers=answers_of(session, study.id),
        arms=arm_coverage(session, study.id),
        pairs=pair_progress(session, study),
        missing=len(missing_responses(session, study.id)),
        annotators=session.exec(select(func.count()).where(Membership.study_id == study.id)).one(),
        invites=_invites(session, study.id),
        links=links,
        actions=[(state.value, _ACTIONS[state]) for state in TRANSITIONS[study.state]],
        leaks=named_arms(f"{study.name}\n{study.guidelines}", arms),
        tables=TABLES,
        can_delete=study.state is StudyState.DRAFT and not has_judgments(session, study),
    )


def whole_number(what: str, text: str, *, largest: int) -> int:
    """Read a whole number from 1 to `largest`. Raises InvalidInputError naming the field."""
    text = text.strip()
    if text.isascii() and text.isdecimal() and len(text) <= 9 and 1 <= int(text) <= largest:  # noqa: PLR2004
        return int(text)
    raise InvalidInputError(f"{what}: a whole number from 1 to {largest} is needed, not {text[:20]!r}.")


def _invites(session: Session, study_id: str) -> list[InviteRow]:
    query = select(Invite).where(Invite.study_id == study_id).order_by(col(Invite.created_at).desc(), col(Invite.id))
    return [
        InviteRow(invite.created_at, invite.expires_at, _invite_state(invite, now())) for invite in session.exec(query)
    ]


def _invite_state(invite: Invite, moment: datetime) -> str:
    if invite.used_at is not None:
        return "used"
    expires = invite.expires_at if invite.expires_at.tzinfo else invite.expires_at.replace(tzinfo=UTC)
    return "open" if expires > moment else "expired"


@router.post("/studies/{study_id}/state")
def set_state(
    request: Request, user: CurrentUser, study_id: str, state: Annotated[str, Form(max_length=20)]
) -> Response:
    """Open, pause or close a study; before it opens, its responses are scanned for what tells who wrote them."""
    database = request.app.state.database
    with reading(database) as session:
        study = get_study(session, study_id, user)
        found, to_scan = study.id, unscanned(session, study.id)
    if state not in set(StudyState):
        raise InvalidInputError(f"A study cannot be {state!r}.", remedy="It can be open, paused or closed.")
    if state == StudyState.OPEN and to_scan:
        scan_study(database, found)
    with writing(database) as session:
        change_state(session, get_study(session, study_id, user), StudyState(state))
    return RedirectResponse(f"/studies/{found}", status_code=303)


@router.post("/studies/{study_id}/invites")
def add_invites(
    request: Request,
    session: WriteSession,
    user: CurrentUser,
    study_id: str,
    count: Annotated[str, Form(max_length=10)] = "1",
) -> Response:
    """Make single-use invite links and show them once; only their hashes are kept."""
    study = get_study(session, study_id, user)
    settings = request.app.state.settings
    tokens = [
        create_invite(session, role=Role.ANNOTATOR, days=settings.invite_days, study_id=study.id, created_by=user.id)
        for _ in range(whole_number("Number of invites", count, largest=MAX_INVITES))
    ]
    return _study_page(request, session, study, links=tuple(invite_url(settings, token) for token in tokens))
