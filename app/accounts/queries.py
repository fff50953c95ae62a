"""People, invitations and memberships in the database. Nothing here commits."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta

from sqlmodel import Session, col, select, update

from app.accounts.audit import record
from app.accounts.passwords import hash_password
from app.accounts.rules import email_problem, name_problem, normalise_email, password_problem, pseudonym
from app.accounts.standing import note as note_down
from app.errors import AppError, ConflictError, InvalidInputError, NotFoundError
from app.settings import Settings
from models import GUEST_DOMAIN, Invite, Membership, Role, Study, User
from models.base import now

_TOKEN_BYTES = 32
_RANKS = {Role.ANNOTATOR: 0, Role.RESEARCHER: 1, Role.OWNER: 2}


class InviteGoneError(AppError):
    """The link was good once."""

    status = 410


@dataclass(frozen=True, slots=True)
class OpenInvite:
    """An invitation that can still be accepted, as its page shows it. `guest` is the person it signs in, if any."""

    id: str
    role: Role
    made_by: str | None
    study_id: str | None
    study_name: str | None
    guest_id: str | None
    guest_name: str | None
    guest_may_set_password: bool


def add_user(session: Session, *, email: str, name: str, role: Role, password: str | None = None) -> User:
    """Add a person; without a password they sign in by link only.

    Raises InvalidInputError naming the field, ConflictError when the address is taken.
    """
    email, name = normalise_email(email), name.strip()
    problem = email_problem(email) or name_problem(name) or ("" if password is None else password_problem(password))
    if problem:
        raise InvalidInputError(problem)
    # Slow, so before the first statement takes the write lock: 25 people may join at once.
    password_hash = None if password is None else hash_password(password)
    if find_user(session, email=email) is not None:
        raise ConflictError(f"There is already an account for {email}.")
    user = User(email=email, name=name, role=role, password_hash=password_hash)
    session.add(user)
    session.flush()
    record(session, by=None, action="account added", about=user.id, detail=f"as {role.value}")
    return user


def find_user(session: Session, *, email: str) -> User | None:
    """Look a person up by address, however it is written."""
    return session.exec(select(User).where(User.email == normalise_email(email))).one_or_none()


def add_guest(session: Session) -> User:
    """Add a person who has no account: nobody can sign in as them but by the link they joined with."""
    key = secrets.token_hex(8)
    user = User(email=f"{key}@{GUEST_DOMAIN}", name=f"Guest {key[:6]}", role=Role.ANNOTATOR)
    session.add(user)
    session.flush()
    return user


def create_invite(
    session: Session,
    *,
    role: Role,
    days: int,
    study_id: str | None = None,
    user_id: str | None = None,
    created_by: str | None = None,
    note: str = "",
) -> str:
    """Add a single-use invitation and return its token, which is not kept: only its hash is.

    With `user_id` the link signs that person in; with `study_id` it makes whoever accepts a member.
    """
    token = new_token()
    session.add(
        Invite(
            token_sha256=token_hash(token),
            role=role,
            note=note,
            study_id=study_id,
            user_id=user_id,
            created_by=created_by,
            expires_at=now() + timedelta(days=days),
        )
    )
    session.flush()
    return token


def invite_url(settings: Settings, token: str) -> str:
    """Write the link to send to a person."""
    return f"{settings.public_url.rstrip('/')}/invite/{token}"


def find_invite(session: Session, token: str) -> OpenInvite:
    """Look up an invitation. Raises NotFoundError for an unknown link, InviteGoneError for one that was good once."""
    invite = session.exec(select(Invite).where(Invite.token_sha256 == token_hash(token))).one_or_none()
    if invite is None:
        raise NotFoundError(
            "This link is not one we know.", remedy="Check that it was copied whole, to its last letter."
        )
    if invite.used_at is not None:
        raise InviteGoneError(
            "This link has been used; each works once.", remedy="Sign in with your password, or ask for a new link."
        )
    if invite.revoked_at is not None:
        raise InviteGoneError("This link has been withdrawn.", remedy="Ask the person who sent it for a new one.")
    if invite.expires_at <= now():
        raise InviteGoneError("This link has expired.", remedy="Ask the person who sent it for a new one.")
    study = session.get(Study, invite.study_id) if invite.study_id else None
    guest = session.get(User, invite.user_id) if invite.user_id else None
    if guest is not None and guest.disabled_at is not None:
        raise InviteGoneError("The account this link belongs to is switched off.", remedy="Ask whoever runs the study.")
    return OpenInvite(
        id=invite.id,
        role=invite.role,
        made_by=invite.created_by,
        study_id=invite.study_id,
        study_name=study.name if study else None,
        guest_id=invite.user_id,
        guest_name=guest.name if guest else None,
        guest_may_set_password=guest is not None and guest.password_hash is None,
    )


def accept_invite(session: Session, invite: OpenInvite, *, user: User, secret: str) -> None:
    """Use an invitation up, once, for `user`: they get its study and at least its role.

    A higher role ends the sessions they had. Raises InviteGoneError when someone else was first, and ConflictError
    for a guest who would come to run studies: an open link lets back in as them whoever has their participant id.
    """
    if user.is_guest and invite.role != Role.ANNOTATOR:
        raise ConflictError(
            "You take part as a guest, without an account.", remedy="Sign out, then open the link again."
        )
    # Compare and set: two people opening one link at once cannot both pass.
    used = session.execute(
        update(Invite)
        .where(col(Invite.id) == invite.id, col(Invite.used_at).is_(None), col(Invite.revoked_at).is_(None))
        .values(used_at=now(), used_by=user.id)
    )
    if used.rowcount != 1:  # type: ignore[attr-defined]
        raise InviteGoneError(
            "This link has just been used or withdrawn.", remedy="Ask for a new one if you did not use it."
        )
    if _RANKS[invite.role] > _RANKS[user.role]:
        record(
            session,
            by=invite.made_by,
            action="role changed",
            about=user.id,
            detail=f"from {user.role.value} to {invite.role.value}",
        )
        user.role = invite.role
        # A cookie taken from an annotator must not become a researcher's.
        user.session_version += 1
        session.add(user)
    if invite.study_id is not None:
        member = join_study(session, study_id=invite.study_id, user_id=user.id, secret=secret)
        if _RANKS[invite.role] > _RANKS[member.role]:
            member.role = invite.role
            session.add(member)


def join_study(session: Session, *, study_id: str, user_id: str, secret: str) -> Membership:
    """Make a person a member of a study, once, under their pseudonym there."""
    member = session.get(Membership, (study_id, user_id))
    if member is None:
        pid = pseudonym(secret, study_id=study_id, user_id=user_id)
        member = Membership(study_id=study_id, user_id=user_id, pid=pid)
        session.add(member)
        session.flush()
        note_down(session, study_id, user_id, "joined", f"{pid} joined")
    return member


def end_sessions(session: Session, *, user_id: str) -> None:
    """End every session of a person, in every browser."""
    session.execute(update(User).where(col(User.id) == user_id).values(session_version=User.session_version + 1))


def new_token() -> str:
    """Draw the secret part of a link; nobody can guess it."""
    return secrets.token_urlsafe(_TOKEN_BYTES)


def token_hash(token: str) -> str:
    """Hash the secret part of a link for storage and look-up."""
    return hashlib.sha256(token.encode("utf-8", errors="replace")).hexdigest()
