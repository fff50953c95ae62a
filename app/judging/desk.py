"""The annotator's desk: where they stand in each of their studies. Counts only, nothing of sides or other people."""

from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session, col, select

from app.judging.claims import may_hold, own_presentations, slots_of, taken_places
from app.judging.queries import DONE, done_tokens
from models import Membership, Presentation, PresentationState, Study, StudyState, User


@dataclass(frozen=True, slots=True)
class Desk:
    """A study as its annotator finds it: what is done, what is in hand, what is free, and when held work comes back."""

    study_id: str
    name: str
    guidelines: str
    state: StudyState
    done: int
    in_hand: str
    free: int
    held_until: datetime | None
    last_done: str

    @property
    def total(self) -> int:
        """Items this annotator has done or could still do."""
        return self.done + self.free + bool(self.in_hand)


def desks_of(session: Session, annotator: User, now: datetime) -> list[Desk]:
    """List the studies an annotator belongs to, drafts left out, those with work first."""
    studies = session.exec(
        select(Study)
        .join(Membership, col(Membership.study_id) == col(Study.id))
        .where(Membership.user_id == annotator.id, Study.state != StudyState.DRAFT)
        .order_by(col(Membership.joined_at), col(Study.id))
    ).all()
    desks = [desk(session, study, annotator, now) for study in studies]
    return sorted(desks, key=lambda one: (one.state != StudyState.OPEN, not (one.in_hand or one.free)))


def desk(session: Session, study: Study, annotator: User, now: datetime) -> Desk:
    """Tell an annotator where they stand in a study: counts only, nothing of sides or of other people's answers."""
    taken = taken_places(session, study.id, now)
    own = own_presentations(session, study.id, annotator.id)
    in_hand = [one.id for one in own if one.state not in DONE and may_hold(one, taken, study, now)]
    seen = {(one.item_id, one.pair_id) for one in own}
    slots = [slot for slot in slots_of(session, study.id, taken) if (slot.item_id, slot.pair_id) not in seen]
    done = done_tokens(session, study.id, annotator.id)
    return Desk(
        study_id=study.id,
        name=study.name,
        guidelines=study.guidelines,
        state=study.state,
        done=len(done),
        in_hand=in_hand[0] if in_hand else "",
        free=sum(slot.taken < study.overlap for slot in slots) + max(0, len(in_hand) - 1),
        held_until=_held_until(session, study.id, annotator.id, seen, now),
        last_done=done[-1] if done else "",
    )


def _held_until(
    session: Session, study_id: str, annotator_id: str, seen: set[tuple[str, str]], now: datetime
) -> datetime | None:
    """When the first item that others hold, and this annotator has not seen, may come back."""
    held = session.exec(
        select(Presentation.item_id, Presentation.pair_id, Presentation.leased_until)
        .where(
            Presentation.study_id == study_id,
            Presentation.annotator_id != annotator_id,
            Presentation.state == PresentationState.LEASED,
            col(Presentation.leased_until) > now,
        )
        .order_by(col(Presentation.leased_until))
    ).all()
    return next((until for item_id, pair_id, until in held if (item_id, pair_id) not in seen), None)
