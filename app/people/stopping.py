"""What a researcher may do about a member's part in a study: pause it, end it, undo both, give another try."""

from datetime import datetime

from sqlmodel import Session, select

from app.accounts.standing import change_standing, note
from app.errors import ConflictError, NotFoundError
from app.judging.check import standing
from app.judging.claims import release
from models import Membership, MemberState, Study, User

PAUSED_WORDS = "Your part in this study is paused for now."
REMOVED_WORDS = "Your part in this study has ended. Thank you for your time."
_NOT_THERE = "There is no such person in this study."
_LEFT = "They left the study themselves, so only the judgments they made are still here."


def member_called(session: Session, study: Study, pid: str) -> Membership:
    """Load a member by pseudonym. Raises NotFoundError for one who is not in this study."""
    found = session.exec(select(Membership).where(Membership.study_id == study.id, Membership.pid == pid)).first()
    if found is None:
        raise NotFoundError(_NOT_THERE)
    return found


def stop(
    session: Session, study: Study, member: Membership, state: MemberState, now: datetime, *, by: User, told: str
) -> None:
    """Pause or end a member's part: what they have in hand goes back at once, and they read `told` on their desk.

    Raises ConflictError for somebody who left by themselves.
    """
    if member.state == MemberState.WITHDRAWN and member.stopped_by is None:
        raise ConflictError(_LEFT)
    words = told or (PAUSED_WORDS if state == MemberState.PAUSED else REMOVED_WORDS)
    if member.state == state and member.stopped_by is not None and member.told == words:
        return
    member.stopped_by = None
    change_standing(session, member, state, now, told=words, by=by.id)
    release(session, study.id, member.user_id, now)
    what = "paused" if state == MemberState.PAUSED else "removed"
    note(session, study.id, by.id, what, f"{member.pid} was {what}")


def undo(session: Session, study: Study, member: Membership, now: datetime, *, by: User) -> None:
    """Let somebody whom a researcher stopped go on. Raises ConflictError where they stopped by themselves."""
    if member.state == MemberState.ACTIVE:
        return
    if member.stopped_by is None:
        raise ConflictError(
            _LEFT if member.state == MemberState.WITHDRAWN else "They are taking a break.",
            remedy="It is theirs to come back." if member.state == MemberState.PAUSED else "",
        )
    change_standing(session, member, MemberState.ACTIVE, now)
    note(session, study.id, by.id, "resumed", f"{member.pid} may go on")


def give_try(session: Session, study: Study, member: Membership, *, by: User) -> None:
    """Give somebody who failed the comprehension check one more attempt. Raises ConflictError for anybody else."""
    if not standing(session, study, member.user_id).failed:
        raise ConflictError("They still have an attempt, or passed, so there is none to give.")
    member.extra_tries += 1
    session.add(member)
    session.flush()
    note(session, study.id, by.id, "another try", f"{member.pid} got another try at the check")
