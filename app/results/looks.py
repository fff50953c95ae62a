"""Who looked at the results before a study was closed, and what was changed while it ran: parts of its log."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, func, or_
from sqlalchemy import Engine as Database
from sqlmodel import Session, col, select

from app.db import writing
from app.monitor.votes import aware
from models import Presentation, Study, StudyEvent, StudyState, User

ACTION = "interim_look"
_CLOSED = "look"
# What happens in every study that runs, and says nothing of its design.
_NO_CHANGE = ("refused", "release", "join", "pause", "resume", "withdraw")


@dataclass(frozen=True, slots=True)
class Look:
    """One look or change: who, when, and in a sentence what."""

    who: str
    at: datetime
    detail: str


def log_look(database: Database, session: Session, study: Study, user: User, *, judgments: int, now: datetime) -> None:
    """Write a look down, once per person and number of judgments."""
    if not judgments:
        return
    action = _CLOSED if study.state is StudyState.CLOSED else ACTION
    detail = f"Looked at the results of {judgments:,} judgment{'' if judgments == 1 else 's'}."
    known = select(StudyEvent.id).where(
        StudyEvent.study_id == study.id,
        StudyEvent.action == action,
        StudyEvent.user_id == user.id,
        StudyEvent.detail == detail,
    )
    if session.exec(known).first() is None:
        event = StudyEvent(study_id=study.id, user_id=user.id, action=action, detail=detail, created_at=now)
        with writing(database) as other:
            other.add(event)


def looks_at(session: Session, study: Study) -> list[Look]:
    """List the looks before the study was closed, oldest first.

    Of a study that was opened again, those that came before a later judgment are among them.
    """
    last = session.exec(select(func.max(Presentation.submitted_at)).where(Presentation.study_id == study.id)).one()
    interim = col(StudyEvent.action) == ACTION
    if last is None:
        return _events(session, study, interim)
    early = and_(col(StudyEvent.action) == _CLOSED, col(StudyEvent.created_at) < last)
    return _events(session, study, or_(interim, early))


def changes_of(session: Session, study: Study) -> list[Look]:
    """List what was changed in a study and which rules were added or taken back, oldest first."""
    return _events(session, study, col(StudyEvent.action).not_in((ACTION, _CLOSED, *_NO_CHANGE)))


def _events(session: Session, study: Study, which: ColumnElement[bool]) -> list[Look]:
    query = (
        select(StudyEvent, User.name)
        .outerjoin(User, col(User.id) == col(StudyEvent.user_id))
        .where(StudyEvent.study_id == study.id, which)
        .order_by(col(StudyEvent.created_at), col(StudyEvent.id))
    )
    return [
        Look(name or "somebody", aware(event.created_at), event.detail or event.action)
        for event, name in session.exec(query)
    ]
