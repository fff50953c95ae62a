"""The invitations of a study: made, listed and revoked. Their links are shown once, since only hashes are kept."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import Session, col, select, update

from app.accounts.queries import create_invite, invite_url
from app.accounts.standing import note
from app.cells import csv_line
from app.errors import AccessDeniedError, ConflictError, NotFoundError
from app.monitor.votes import aware
from app.people.rules import invite_state
from app.settings import Settings
from models import Invite, Membership, Role, Study, User

EVERY = "all"


@dataclass(frozen=True, slots=True)
class InviteRow:
    """An invitation in the list; `used_by` is the pseudonym of whoever accepted it."""

    id: str
    note: str
    role: str
    created_at: datetime
    expires_at: datetime
    state: str
    used_by: str


@dataclass(frozen=True, slots=True)
class NewInvites:
    """What is asked for: how many, for how long, for whom, in what role."""

    count: int
    days: int
    note: str
    role: Role


@dataclass(frozen=True, slots=True)
class Made:
    """Links just made; this is the only time they can be shown."""

    links: tuple[str, ...]
    role: str
    note: str
    expires_at: datetime


def make_invites(
    session: Session, study: Study, wanted: NewInvites, settings: Settings, now: datetime, *, by: User
) -> Made:
    """Make invitations and return their links. Raises AccessDeniedError where a researcher invites researchers."""
    if wanted.role != Role.ANNOTATOR and by.role != Role.OWNER:
        raise AccessDeniedError("Only an owner of this server may let in researchers.")
    tokens = [
        create_invite(
            session, role=wanted.role, days=wanted.days, study_id=study.id, created_by=by.id, note=wanted.note
        )
        for _ in range(wanted.count)
    ]
    people = f"{wanted.count} {wanted.role.value}{'' if wanted.count == 1 else 's'}"
    note(session, study.id, by.id, "invited", f"links for {people}, for {wanted.days} days")
    return Made(
        links=tuple(invite_url(settings, token) for token in tokens),
        role=wanted.role.value,
        note=wanted.note,
        expires_at=now + timedelta(days=wanted.days),
    )


def links_csv(made: Made) -> str:
    """Write links just made as a table for a mail merge."""
    lines = [csv_line(("link", "role", "expires_at", "note"))]
    lines += [csv_line((link, made.role, made.expires_at, made.note)) for link in made.links]
    return "".join(lines)


def list_invites(session: Session, study: Study, now: datetime) -> list[InviteRow]:
    """List every invitation of a study, newest first."""
    query = (
        select(Invite, Membership.pid)
        .outerjoin(
            Membership,
            (col(Membership.user_id) == col(Invite.used_by)) & (col(Membership.study_id) == col(Invite.study_id)),
        )
        .where(Invite.study_id == study.id)
        .order_by(col(Invite.created_at).desc(), col(Invite.id))
    )
    return [
        InviteRow(
            id=invite.id,
            note=invite.note,
            role=invite.role.value,
            created_at=aware(invite.created_at),
            expires_at=aware(invite.expires_at),
            state=invite_state(
                used_at=invite.used_at,
                revoked_at=invite.revoked_at,
                expires_at=aware(invite.expires_at),
                now=now,
            ),
            used_by=pid or "",
        )
        for invite, pid in session.exec(query)
    ]


def revoke(session: Session, study: Study, which: str, now: datetime, *, by: User) -> int:
    """Revoke one open invitation, or `all` of them; return how many.

    Raises NotFoundError for one that is not of this study, ConflictError for one that is not open any more.
    """
    is_open = (
        col(Invite.study_id) == study.id,
        col(Invite.used_at).is_(None),
        col(Invite.revoked_at).is_(None),
        col(Invite.expires_at) > now,
    )
    if which != EVERY and session.exec(select(Invite.id).where(Invite.id == which, is_open[0])).first() is None:
        raise NotFoundError("There is no such invitation in this study.")
    only = () if which == EVERY else (col(Invite.id) == which,)
    done: int = session.execute(update(Invite).where(*is_open, *only).values(revoked_at=now)).rowcount  # type: ignore[attr-defined]
    if not done and which != EVERY:
        raise ConflictError("This invitation is not open any more, so there is nothing to revoke.")
    if done:
        note(session, study.id, by.id, "revoked", f"{done} open {'invitation' if done == 1 else 'invitations'}")
    return done
