"""A study's judgments in columns, kept between polls and used again only where they are proven to be all there are.

Revisions are never changed or removed: the database refuses both. So what was read before is all there is exactly when
there are as many now, and else what is missing is read. A process that knows nothing, or too little, reads all; none
can be wrong, however many there are.
"""

from collections import OrderedDict
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any

from sqlalchemy import ColumnElement, DateTime, Engine, Float, String, type_coerce
from sqlmodel import Session, col, func, or_, select

from app.monitor.columns import Columns, Judged, columns_of
from models import Presentation, PresentationState, Revision, RevisionKind, Study

_FINAL = (PresentationState.SUBMITTED, PresentationState.SKIPPED)
_STUDIES = 8
# What was committed within so long of the newest is asked for again, because clocks and commits are not in one order.
_AGAIN = timedelta(minutes=10)
_LONG_AGO = datetime(1971, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Kept:
    """What is known of a study: all its `revisions`, of which `recent` are the ids of those created since `since`.

    `everything` counted the revisions of all studies before those of this one were read.
    """

    columns: Columns
    everything: int
    revisions: int
    finished: int
    since: datetime
    recent: frozenset[str]


_kept: OrderedDict[tuple[str, str], _Kept] = OrderedDict()
_lock = Lock()


def judged_columns(session: Session, study: Study) -> Columns:
    """Read all final judgments of a study, practice and gold too; those read before are not read again."""
    key = (_database(session), study.id)
    with _lock:
        known = _kept.get(key)
    # All revisions there are count much faster than those of one study, and where none was added none was added to it.
    everything, finished = _everything(session), _finished(session, study.id)
    if known is not None and (known.everything, known.finished) == (everything, finished):
        return known.columns
    revisions = _revisions(session, study.id)
    now = _brought_up(session, study.id, known, revisions, finished) if known else None
    if now is None:
        now = _read(session, study.id, revisions, finished)
    now = replace(now, everything=everything)
    # SQLite reads of one moment. Elsewhere, what came in meanwhile may be in it or not, so it would prove nothing.
    if session.get_bind().dialect.name == "sqlite" or _revisions(session, study.id) == now.revisions:
        with _lock:
            _kept[key] = now
            _kept.move_to_end(key)
            while len(_kept) > _STUDIES:
                _kept.popitem(last=False)
    return now.columns


def _database(session: Session) -> str:
    bind = session.get_bind()
    return str(bind.url if isinstance(bind, Engine) else bind.engine.url)


def _everything(session: Session) -> int:
    return session.exec(select(func.count()).select_from(Revision)).one()


def _revisions(session: Session, study_id: str) -> int:
    query = (
        select(func.count())
        .select_from(Revision)
        .join(Presentation, col(Presentation.id) == col(Revision.presentation_id))
        .where(Presentation.study_id == study_id)
    )
    return session.exec(query).one()


def _finished(session: Session, study_id: str) -> int:
    query = select(func.count()).where(Presentation.study_id == study_id, col(Presentation.state).in_(_FINAL))
    return session.exec(query).one()


def _read(session: Session, study_id: str, revisions: int, finished: int) -> _Kept:
    since = _since(session)
    recent = frozenset(row.id for row in _created_since(session, study_id, since))
    rows = session.execute(_judged().where(col(Presentation.study_id) == study_id, *_is_final()))
    return _Kept(columns_of([_row(row) for row in rows]), 0, revisions, finished, since, recent)


def _brought_up(session: Session, study_id: str, known: _Kept, revisions: int, finished: int) -> _Kept | None:
    """Add what was created since to what is known; None where that does not add up to all there is."""
    if (known.revisions, known.finished) == (revisions, finished):
        return known
    fresh = [row for row in _created_since(session, study_id, known.since) if row.id not in known.recent]
    if known.revisions + len(fresh) != revisions:
        return None
    ids = {row.presentation_id for row in fresh if row.kind == RevisionKind.SUBMITTED}
    new = [_row(row) for row in _of_presentations(session, sorted(ids))]
    columns = columns_of(new, known.columns) if new else known.columns
    if known.finished + len(columns) - len(known.columns) != finished:
        return None
    since = _since(session)
    recent = frozenset(row.id for row in _created_since(session, study_id, since))
    return _Kept(columns, 0, revisions, finished, since, recent)


def _since(session: Session) -> datetime:
    newest = session.exec(select(func.max(Revision.created_at))).one()
    return (newest or _LONG_AGO) - _AGAIN


def _created_since(session: Session, study_id: str, since: datetime) -> list[Any]:
    query = (
        select(Revision.id, Revision.presentation_id, Revision.kind)
        .join(Presentation, col(Presentation.id) == col(Revision.presentation_id))
        # As an expression, so that the few recent revisions are looked up first and not the many of the study.
        .where(col(Revision.created_at) >= since, func.coalesce(Presentation.study_id, "") == study_id)
    )
    return list(session.exec(query))


def _of_presentations(session: Session, ids: list[str]) -> list[Any]:
    found: list[Any] = []
    for at in range(0, len(ids), 500):
        query = _judged().where(col(Presentation.id).in_(ids[at : at + 500]), *_is_final())
        found.extend(session.execute(query))
    return found


def _is_final() -> tuple[ColumnElement[bool], ...]:
    return (col(Presentation.state).in_(_FINAL), col(Revision.kind) == RevisionKind.SUBMITTED)


def _judged() -> Any:
    shown, given = Presentation, Revision
    # Both without the zone, which takes longer to put on each than to read it; all are UTC.
    submitted = type_coerce(func.coalesce(shown.submitted_at, given.created_at), DateTime)
    noted = or_(col(given.flagged), col(given.comment) != "", col(given.skip_reason) != "")
    return select(  # type: ignore[call-overload]
        shown.id, given.number, shown.annotator_id, shown.item_id, shown.pair_id, shown.left_arm_id,
        shown.right_arm_id, shown.left_response_id, shown.right_response_id, type_coerce(given.preference, String),
        given.active_ms, submitted, given.recognised_model, given.recognised_guess, given.flagged,
         noted, given.guideline_version, _read_of("left"), _read_of("right"),
    ).join(given, col(given.presentation_id) == col(shown.id))  # fmt: skip


def _read_of(side: str) -> ColumnElement[float]:
    return type_coerce(col(Revision.reading)[side].as_float(), Float)


def _row(row: Any) -> Judged:
    return Judged(*row)
