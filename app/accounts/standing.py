"""Whether somebody is at work in a study, and the trail of who changed that."""

from datetime import datetime

from sqlmodel import Session

from models import Membership, MemberState, StudyEvent


def change_standing(
    session: Session, member: Membership, state: MemberState, moment: datetime, *, told: str = "", by: str | None = None
) -> bool:
    """Set a member's state, why, and which researcher did it, if one did; tells whether anything changed."""
    if member.state == state and member.stopped_by == by:
        return False
    member.state, member.state_changed_at, member.told, member.stopped_by = state, moment, told, by
    session.add(member)
    session.flush()
    return True


def note(session: Session, study_id: str, user_id: str | None, action: str, detail: str) -> None:
    """Write into a study's trail what was done by whom; never changed afterwards."""
    session.add(StudyEvent(study_id=study_id, user_id=user_id, action=action, detail=detail))
    session.flush()
