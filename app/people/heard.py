"""When each member of a study was last heard of, and how many items they hold. For researchers' routes alone."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import select as columns
from sqlmodel import Session, col, func, select

from app.monitor.votes import aware
from models import ComprehensionAttempt, Presentation, PresentationState, Revision, Study

# Whoever is at work is among those who saved last; only the others are looked for one by one.
_NEWEST = 20_000
_AT_ONCE = 500
_UNFINISHED = (PresentationState.LEASED, PresentationState.EXPIRED)


@dataclass(slots=True)
class Heard:
    """The moment each was last heard of, and what is in their hands, by user id; whoever did nothing is left out."""

    last: dict[str, datetime] = field(default_factory=dict)
    in_hand: Counter[str] = field(default_factory=Counter)

    def saw(self, user_id: str, moment: datetime) -> None:
        """Note a sign of somebody; of several the latest counts."""
        self.last[user_id] = max(aware(moment), self.last.get(user_id, aware(moment)))


def heard_of(session: Session, study: Study, members: Collection[str], now: datetime, *, lease: timedelta) -> Heard:
    """Tell of `members`, by user id, when each last saved, was handed an item, had it open, or tried the check."""
    heard = Heard()
    leased = select(Presentation.annotator_id, Presentation.leased_until).where(
        Presentation.study_id == study.id, Presentation.state == PresentationState.LEASED
    )
    for user_id, until in session.exec(leased):
        if aware(until) > now:
            heard.in_hand[user_id] += 1
            # An open page renews its lease, so its end tells when the page was last heard of.
            heard.saw(user_id, min(aware(until) - lease, now))
    # Whatever is finished was saved after it was handed out.
    handed = (
        select(Presentation.annotator_id, func.max(Presentation.created_at))
        .where(Presentation.study_id == study.id, col(Presentation.state).in_(_UNFINISHED))
        .group_by(col(Presentation.annotator_id))
    )
    tried = (
        select(ComprehensionAttempt.user_id, func.max(ComprehensionAttempt.created_at))
        .where(ComprehensionAttempt.study_id == study.id)
        .group_by(col(ComprehensionAttempt.user_id))
    )
    for signs in (session.exec(handed), session.exec(tried), _saved(session, study.id, members)):
        for user_id, moment in signs:
            heard.saw(user_id, moment)
    return heard


def _saved(session: Session, study_id: str, members: Collection[str]) -> Iterator[tuple[str, datetime]]:
    """Yield when each of `members` last saved anything in a study, read from the newest backwards."""
    newest = (
        columns(col(Revision.presentation_id).label("shown"), col(Revision.created_at).label("at"))
        .order_by(col(Revision.created_at).desc())
        .limit(_NEWEST)
        .subquery()
    )
    who, where = col(Presentation.annotator_id), col(Presentation.study_id)
    # The study is not asked for here: SQLite would then begin with all of its presentations.
    query = columns(where, who, func.max(newest.c.at)).join(newest, newest.c.shown == col(Presentation.id))
    found = {user_id: at for study, user_id, at in session.execute(query.group_by(where, who)) if study == study_id}
    yield from found.items()
    for some in _parts(sorted(set(members) - set(found))):
        yield from session.exec(
            select(Presentation.annotator_id, func.max(Revision.created_at))
            .join(Revision, col(Revision.presentation_id) == col(Presentation.id))
            .where(Presentation.study_id == study_id, who.in_(some))
            .group_by(who)
        )


def _parts(ids: list[str]) -> Iterable[list[str]]:
    return (ids[at : at + _AT_ONCE] for at in range(0, len(ids), _AT_ONCE))
