"""The audit log: who did what to the server and to its studies, and when; written here, read by owners.

What is done to a study stands in the study's own trail (`StudyEvent`), everything else in `AuditEvent`; both refuse
changes in the database, and the log is read from both. No name, address or secret is written into either.
"""

import hashlib
import hmac
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, literal, or_, select, union_all
from sqlmodel import Session, col, func

from models import AuditEvent, Study, StudyEvent, User

PAGE = 50
COLUMNS = ("at", "who", "user_id", "action", "about", "study_id", "detail", "client")
_MARK_DIGITS = 10


@dataclass(frozen=True, slots=True)
class Asked:
    """What of the log is wanted; empty fields ask for nothing. `who` is a person's id, `since` and `until` days."""

    action: str = ""
    who: str = ""
    study: str = ""
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the log. `who` is how a person is called now; a person who was removed is so called.

    `about` is the person or, by its address, the study that it was done to.
    """

    at: datetime
    who: str
    user_id: str
    action: str
    about: str
    study_id: str
    detail: str
    client: str


def record(
    session: Session, *, by: str | None, action: str, about: str = "", detail: str = "", client: str = ""
) -> None:
    """Write down what `by` (a person's id; None for the command line or a stranger) did. Never changed afterwards.

    `about` is the id of the person or study that it was done to, `client` a mark of `client_mark`.
    """
    session.add(AuditEvent(user_id=by, action=action, about=about, detail=detail, client=client))
    session.flush()


def client_mark(secret: str, address: str) -> str:
    """Mark a network address so that its events can be told to be of one client, and the address is not kept."""
    digest = hmac.new(secret.encode(), f"client:{address}".encode(), hashlib.sha256).hexdigest()
    return f"c{digest[:_MARK_DIGITS]}"


def read_log(session: Session, asked: Asked, page: int) -> tuple[list[Entry], int]:
    """Return one page of the log, newest first, and how many entries there are in all."""
    rows = _rows(asked).subquery()
    total = session.execute(select(func.count()).select_from(rows)).scalar_one()
    query = select(rows).order_by(rows.c.at.desc(), rows.c.id).offset((page - 1) * PAGE).limit(PAGE)
    return list(_entries(session, query)), total


def whole_log(session: Session, asked: Asked) -> Iterator[Entry]:
    """Yield all that is asked for, newest first."""
    rows = _rows(asked).subquery()
    return _entries(session, select(rows).order_by(rows.c.at.desc(), rows.c.id))


def actions(session: Session) -> list[str]:
    """List what is in the log, to choose from."""
    found = union_all(select(col(AuditEvent.action)), select(col(StudyEvent.action))).subquery()
    return sorted(session.execute(select(found.c.action).distinct()).scalars())


def _rows(asked: Asked) -> Select[Any]:
    server: Any = select(
        col(AuditEvent.id).label("id"),
        col(AuditEvent.created_at).label("at"),
        col(AuditEvent.user_id).label("user_id"),
        col(AuditEvent.action).label("action"),
        col(AuditEvent.about).label("about"),
        literal("").label("study_id"),
        col(AuditEvent.detail).label("detail"),
        col(AuditEvent.client).label("client"),
    )
    study = select(
        col(StudyEvent.id),
        col(StudyEvent.created_at),
        col(StudyEvent.user_id),
        col(StudyEvent.action),
        literal(""),
        col(StudyEvent.study_id),
        col(StudyEvent.detail),
        literal(""),
    )
    both = union_all(server, study).subquery()
    query = select(both)
    if asked.action:
        query = query.where(both.c.action == asked.action)
    if asked.who:
        query = query.where(both.c.user_id == asked.who)
    if asked.study:
        query = query.where(or_(both.c.study_id == asked.study, both.c.about == asked.study))
    if asked.since:
        query = query.where(both.c.at >= asked.since)
    return query.where(both.c.at < asked.until) if asked.until else query


def _entries(session: Session, query: Select[Any]) -> Iterator[Entry]:
    people: Mapping[str, str] = dict(session.execute(select(col(User.id), col(User.name))).all())
    slugs: Mapping[str, str] = dict(session.execute(select(col(Study.id), col(Study.slug))).all())
    known = {**slugs, **people}
    for row in session.execute(query.execution_options(yield_per=1_000)):
        yield Entry(
            at=row.at,
            who=people.get(row.user_id, row.user_id) if row.user_id else "",
            user_id=row.user_id or "",
            action=row.action,
            about=known.get(row.study_id or row.about, row.study_id or row.about),
            study_id=row.study_id,
            detail=row.detail,
            client=row.client,
        )
