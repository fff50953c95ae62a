"""Which items of a study are in somebody's hand, and how many are judged: one look at its presentations for both."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session, col, func, select

from app.monitor.exclusions import Person
from app.monitor.pace import hours_words
from app.monitor.sections import ItemName
from app.monitor.votes import aware
from models import Presentation, PresentationState, Revision

LEASES = 40
_FINAL = (PresentationState.SUBMITTED, PresentationState.SKIPPED)


@dataclass(frozen=True, slots=True)
class Leased:
    """A presentation that is nobody's judgment yet, and when its lease ends or ended. Times are aware, UTC."""

    presentation_id: str
    annotator_id: str
    item_id: str
    pair_id: str
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Unfinished:
    """How many presentations are `finished`, and those that are leased, the lease that ends first on top."""

    finished: int
    leased: tuple[Leased, ...]

    def held(self, now: datetime) -> list[Leased]:
        """List what is in somebody's hand now; a lease that ran out is in nobody's."""
        return [one for one in self.leased if one.until > now]


def unfinished_of(session: Session, study_id: str) -> Unfinished:
    """Look at a study's presentations."""
    shown = Presentation
    everything = session.exec(select(func.count()).where(shown.study_id == study_id)).one()
    query = select(  # type: ignore[call-overload]
        shown.state, shown.id, shown.annotator_id, shown.item_id, shown.pair_id, shown.created_at, shown.leased_until
    ).where(shown.study_id == study_id, col(shown.state).not_in(_FINAL))
    rows = session.exec(query).all()
    leased = [
        Leased(key, who, item_id, pair_id, aware(since), aware(until))
        for state, key, who, item_id, pair_id, since, until in rows
        if state == PresentationState.LEASED
    ]
    return Unfinished(everything - len(rows), tuple(sorted(leased, key=lambda one: (one.until, one.presentation_id))))


@dataclass(frozen=True, slots=True)
class Lease:
    """An item in somebody's hand: for how long already, how long still, and the drafts saved so far."""

    presentation_id: str
    pid: str
    item: ItemName
    age: str
    left: str
    drafts: int


def lease_rows(
    session: Session,
    held: Sequence[Leased],
    items: Mapping[str, ItemName],
    members: Mapping[str, Person],
    now: datetime,
) -> list[Lease]:
    """Describe what somebody holds, and count the drafts of it."""
    ids = [one.presentation_id for one in held]
    saved = (
        select(Revision.presentation_id, func.count())
        .where(col(Revision.presentation_id).in_(ids))
        .group_by(col(Revision.presentation_id))
    )
    drafts = dict(session.exec(saved).all())
    return [
        Lease(
            presentation_id=one.presentation_id,
            pid=members[one.annotator_id].pid,
            item=items[one.item_id],
            age=hours_words(now - one.since),
            left=hours_words(one.until - now),
            drafts=drafts.get(one.presentation_id, 0),
        )
        for one in held
    ]
