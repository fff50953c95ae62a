"""Removing what is known of a person, while what they judged stays as it was under their pseudonyms.

Gone: name, address, password, shortcuts, tokens, what platforms call them, who sat beside whom, and the notes on
invitations that were theirs. Left: judgments, comments in them and answers at the end of a study, which name nobody
and which exports and their hashes rest on; the trails, by an id that leads to no person any more.
"""

from datetime import datetime

from sqlmodel import Session, col, func, or_, select, update

from app.accounts.audit import record
from app.accounts.standing import change_standing, note
from app.accounts.tokens import revoke_token, tokens_of
from app.errors import ConflictError
from app.judging.claims import release
from models import AuditEvent, Invite, Membership, MemberState, Role, Study, StudyState, User, WithdrawalPolicy

REMOVED_NAME = "Removed person"
REMOVED_DOMAIN = "removed.invalid"
ASKED = "deletion asked"
_REMOVED = "person removed"


def is_removed(user: User) -> bool:
    """Tell whether nothing is known of a person any more."""
    return user.email.endswith(f"@{REMOVED_DOMAIN}")


def ask_removal(session: Session, user: User, *, client: str = "") -> None:
    """Write down that a person wants to be removed; once is enough."""
    if user.id not in who_asked(session):
        record(session, by=user.id, action=ASKED, about=user.id, client=client)


def who_asked(session: Session) -> set[str]:
    """List who asked to be removed."""
    return {one for one in session.exec(select(AuditEvent.about).where(AuditEvent.action == ASKED)) if one}


def remove_person(session: Session, user: User, *, by: str | None, now: datetime) -> None:
    """Remove what is known of a person; doing it again changes nothing. Raises ConflictError for the last owner.

    They withdraw from studies that go on, and from those whose policy is that the judgments of who withdraws count no
    more; a closed study that keeps them stays as it is, to the last byte of its export.
    """
    if is_removed(user):
        return
    if user.role == Role.OWNER and _owners(session) <= 1:
        raise ConflictError("This is the last owner, and a server needs one.", remedy="Make somebody else owner first.")
    for member in session.exec(select(Membership).where(Membership.user_id == user.id)):
        _leave(session, member, by, now)
        member.external_id, member.joined_beside = None, None
        session.add(member)
    beside = update(Membership).where(col(Membership.joined_beside) == user.id)
    session.execute(beside.values(joined_beside=None))
    invites = update(Invite).where(or_(col(Invite.user_id) == user.id, col(Invite.used_by) == user.id))
    session.execute(invites.values(note=""))
    open_ones = update(Invite).where(col(Invite.user_id) == user.id, col(Invite.used_at).is_(None))
    session.execute(open_ones.values(revoked_at=now))
    for token in tokens_of(session, user.id):
        revoke_token(session, token.id, user_id=None, by=by, now=now)
        token.name = "removed"
    user.email, user.name = f"{user.id}@{REMOVED_DOMAIN}", REMOVED_NAME
    user.password_hash, user.shortcuts, user.disabled_at = None, {}, now
    user.session_version += 1
    session.add(user)
    record(session, by=by, action=_REMOVED, about=user.id)


def _owners(session: Session) -> int:
    query = select(func.count()).select_from(User).where(User.role == Role.OWNER, col(User.disabled_at).is_(None))
    return session.exec(query).one()


def _leave(session: Session, member: Membership, by: str | None, now: datetime) -> None:
    study = session.get_one(Study, member.study_id)
    settled = study.state is StudyState.CLOSED and study.withdrawal is WithdrawalPolicy.KEEP
    if settled or member.state == MemberState.WITHDRAWN:
        return
    change_standing(session, member, MemberState.WITHDRAWN, now)
    release(session, study.id, member.user_id, now)
    note(session, study.id, by, MemberState.WITHDRAWN.value, f"{member.pid} was removed at their wish")
