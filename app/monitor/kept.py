"""A study's judgments in columns, kept between polls and used again only where they are proven to be all there are.

Revisions are never changed or removed: the database refuses both. So what was read before is all there is exactly when
there are as many now, and else what is missing is read. A process that knows nothing, or too little, reads all; none
can be wrong, however many there are.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any
from weakref import WeakValueDictionary

from sqlalchemy import BigInteger, ColumnElement, Engine, Float, Integer, String, cast, extract, type_coerce
from sqlmodel import Session, col, func, or_, select

from app.monitor.columns import Columns
from app.monitor.gathering import columns_of
from models import Presentation, PresentationState, Revision, RevisionKind, Study

_FINAL = (PresentationState.SUBMITTED, PresentationState.SKIPPED)
_STUDIES = 8
_AT_ONCE = 5_000
# What was committed within so long of the newest is asked for again, because clocks and commits are not in one order;
# where that is very much, as after an import, within less.
_AGAIN = (timedelta(minutes=10), timedelta(minutes=1), timedelta(seconds=5))
_MOST_RECENT = 50_000
_LONG_AGO = datetime(1971, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Kept:
    """What is known of a study, when there were `everything` revisions of all studies and it had `finished` judgments.

    `recent` are the ids of the revisions of all studies created after `since`.
    """

    columns: Columns
    everything: int
    finished: int
    since: datetime
    recent: frozenset[str]


_kept: OrderedDict[tuple[str, str], _Kept] = OrderedDict()
_lock = Lock()
# Two that read a study at once would each need the memory and the time; the second waits and has what the first read.
_reading: WeakValueDictionary[tuple[str, str], Any] = WeakValueDictionary()


def judged_columns(session: Session, study: Study, finished: int) -> Columns:
    """Read all final judgments of a study, practice and gold too; those read before are not read again.

    `finished` is how many there are.
    """
    key = (_database(session), study.id)
    with _lock:
        mine = _reading.setdefault(key, _Turn())
    with mine.lock:
        with _lock:
            known = _kept.get(key)
        everything = _everything(session)
        if known is not None and (known.everything, known.finished) == (everything, finished):
            return known.columns
        now = _brought_up(session, study.id, known, everything, finished) if known else None
        if now is None:
            now = _read(session, study.id, everything, finished)
        # Whoever reads one state of the database, as pages do, finds as many as before.
        if _everything(session) == everything:
            _keep(key, now)
        return now.columns


class _Turn:
    """A lock that is gone when nobody holds or awaits it any more."""

    def __init__(self) -> None:
        self.lock = Lock()


def _keep(key: tuple[str, str], now: _Kept) -> None:
    with _lock:
        _kept[key] = now
        _kept.move_to_end(key)
        while len(_kept) > _STUDIES:
            _kept.popitem(last=False)


def _database(session: Session) -> str:
    bind = session.get_bind()
    return str(bind.url if isinstance(bind, Engine) else bind.engine.url)


def _everything(session: Session) -> int:
    return session.exec(select(func.count()).select_from(Revision)).one()


def _read(session: Session, study_id: str, everything: int, finished: int) -> _Kept:
    query = _judged(session).where(col(Presentation.study_id) == study_id, *_is_final())
    # Past the session, which would take half as long again as the database.
    rows: Any = session.connection().execute(query.execution_options(yield_per=_AT_ONCE))
    return _Kept(columns_of(rows.partitions()), everything, finished, *_recent(session))


def _brought_up(session: Session, study_id: str, known: _Kept, everything: int, finished: int) -> _Kept | None:
    """Add what was created since to what is known; None where that does not add up to all there is."""
    fresh = [row for row in session.execute(_created_after(known.since)) if row.id not in known.recent]
    if known.everything + len(fresh) != everything:
        return None
    ids = {row.presentation_id for row in fresh if row.study_id == study_id and row.kind == RevisionKind.SUBMITTED}
    columns = columns_of(_of_presentations(session, sorted(ids)), known.columns) if ids else known.columns
    if known.finished + len(columns) - len(known.columns) != finished:
        return None
    return _Kept(columns, everything, finished, *_recent(session))


def _recent(session: Session) -> tuple[datetime, frozenset[str]]:
    """Find since when what is created may be new, and which revisions of these are known; never very many."""
    newest = session.exec(select(func.max(Revision.created_at))).one() or _LONG_AGO
    for back in _AGAIN:
        query = select(Revision.id).where(col(Revision.created_at) > newest - back)
        ids = session.exec(query.limit(_MOST_RECENT + 1)).all()
        if len(ids) <= _MOST_RECENT:
            return newest - back, frozenset(ids)
    return newest, frozenset()


def _created_after(since: datetime) -> Any:
    return (
        select(Revision.id, Revision.presentation_id, Revision.kind, Presentation.study_id)
        .join(Presentation, col(Presentation.id) == col(Revision.presentation_id))
        .where(col(Revision.created_at) > since)
    )


def _of_presentations(session: Session, ids: list[str]) -> Iterator[Any]:
    for at in range(0, len(ids), 500):
        query = _judged(session).where(col(Presentation.id).in_(ids[at : at + 500]), *_is_final())
        yield session.execute(query).all()


def _is_final() -> tuple[ColumnElement[bool], ...]:
    return (col(Presentation.state).in_(_FINAL), col(Revision.kind) == RevisionKind.SUBMITTED)


def _judged(session: Session) -> Any:
    """Select the fields of `Judged` as the driver gives them, because to convert each takes longer than to read it."""
    shown, given = Presentation, Revision
    moment = func.coalesce(shown.submitted_at, given.created_at)
    if session.get_bind().dialect.name == "sqlite":
        submitted: Any = type_coerce(moment, String)
    else:
        submitted = cast(extract("epoch", moment) * 1_000_000, BigInteger)
    noted = or_(col(given.flagged), col(given.comment) != "", col(given.skip_reason) != "")
    said, recognised, flagged = given.preference, given.recognised_model, given.flagged
    return select(  # type: ignore[call-overload]
        shown.id, given.number, shown.annotator_id, shown.item_id, shown.pair_id, shown.left_arm_id,
        shown.right_arm_id, shown.left_response_id, shown.right_response_id, type_coerce(said, String),
        given.active_ms, submitted, type_coerce(recognised, Integer), given.recognised_guess,
        type_coerce(flagged, Integer), type_coerce(noted, Integer), given.guideline_version, _read_of("left"),
        _read_of("right"),
    ).join(given, col(given.presentation_id) == col(shown.id))  # fmt: skip


def _read_of(side: str) -> ColumnElement[float]:
    return type_coerce(col(Revision.reading)[side].as_float(), Float)
