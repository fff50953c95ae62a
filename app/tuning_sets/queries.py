"""Tuning sets in the database: listed, looked into, attached to checkpoints, deleted."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, or_
from sqlmodel import Session, col, func, select

from app.errors import ConflictError, NotFoundError
from app.provenance.index import Instance
from models import Borrowing, Evidence, ImportState, TuningInstance, TuningSet, TuningSetUse

UNFINISHED = (ImportState.READING, ImportState.INDEXING)
_NOT_THERE = "There is no such tuning set."
_SCANNED = 200_000


@dataclass(frozen=True, slots=True)
class SetRow:
    """A tuning set with the names of the checkpoints it is attached to."""

    row: TuningSet
    checkpoints: tuple[str, ...]


def list_sets(session: Session) -> tuple[SetRow, ...]:
    """List every tuning set, the newest first, whatever its state."""
    uses: dict[str, list[str]] = {}
    for use in session.exec(select(TuningSetUse).order_by(col(TuningSetUse.checkpoint))):
        uses.setdefault(use.set_id, []).append(use.checkpoint)
    rows = session.exec(select(TuningSet).order_by(col(TuningSet.created_at).desc(), col(TuningSet.id)))
    return tuple(SetRow(row, tuple(uses.get(row.id, ()))) for row in rows)


def get_set(session: Session, set_id: str, *, ready: bool = False) -> TuningSet:
    """Load a tuning set. Raises NotFoundError; with `ready`, also for one that cannot be looked into yet."""
    row = session.get(TuningSet, set_id)
    if row is None:
        raise NotFoundError(_NOT_THERE, remedy="It may have been deleted.")
    if ready and row.state is not ImportState.READY:
        raise NotFoundError("This tuning set is not ready.", remedy="Its page says how far its import is.")
    return row


def find_set(session: Session, sha256: str) -> TuningSet | None:
    """Return the set made of these bytes, unless its import failed."""
    query = select(TuningSet).where(TuningSet.sha256 == sha256, col(TuningSet.state) != ImportState.FAILED)
    return session.exec(query.order_by(col(TuningSet.created_at))).first()


def checkpoints_of(session: Session, set_id: str) -> tuple[str, ...]:
    """Name the checkpoints a set is attached to."""
    query = select(TuningSetUse.checkpoint).where(TuningSetUse.set_id == set_id)
    return tuple(session.exec(query.order_by(col(TuningSetUse.checkpoint))))


def attached_checkpoints(session: Session) -> frozenset[str]:
    """Name the checkpoints that have a set; a failed import is none."""
    query = select(TuningSetUse.checkpoint).join(TuningSet, col(TuningSet.id) == TuningSetUse.set_id)
    return frozenset(session.exec(query.where(col(TuningSet.state) != ImportState.FAILED)))


def attach(session: Session, set_id: str, checkpoints: Iterable[str]) -> None:
    """Say that these checkpoints were tuned on a set; saying it twice changes nothing."""
    present = set(checkpoints_of(session, set_id))
    session.add_all(
        TuningSetUse(set_id=set_id, checkpoint=name) for name in dict.fromkeys(checkpoints) if name not in present
    )
    session.flush()


def detach(session: Session, set_id: str, checkpoint: str) -> None:
    """Take that back."""
    if use := session.get(TuningSetUse, (set_id, checkpoint)):
        session.delete(use)
        session.flush()


def borrowings(session: Session, set_id: str) -> int:
    """Count the stored measurements that refer to a set."""
    return session.exec(select(func.count()).select_from(Borrowing).where(Borrowing.set_id == set_id)).one()


def instances(session: Session, set_id: str, positions: Collection[int]) -> tuple[TuningInstance, ...]:
    """Load instances by position, in file order."""
    query = select(TuningInstance).where(
        TuningInstance.set_id == set_id, col(TuningInstance.position).in_(list(positions))
    )
    return tuple(session.exec(query.order_by(col(TuningInstance.position))))


def instances_from(session: Session, set_id: str, start: int, *, limit: int) -> tuple[TuningInstance, ...]:
    """Load the `limit` instances from a position on."""
    query = select(TuningInstance).where(TuningInstance.set_id == set_id, TuningInstance.position >= start)
    return tuple(session.exec(query.order_by(col(TuningInstance.position)).limit(limit)))


def get_instance(session: Session, set_id: str, position: int) -> TuningInstance:
    """Load one instance. Raises NotFoundError."""
    row = session.get(TuningInstance, (set_id, position))
    if row is None:
        raise NotFoundError("There is no such instance in this tuning set.")
    return row


def holding(session: Session, set_id: str, letters: str, *, start: int, limit: int) -> tuple[int, ...]:
    """Return positions from `start` on whose texts hold these letters anywhere; looks only so far, for it reads."""
    found = or_(
        col(TuningInstance.instruction).icontains(letters, autoescape=True),
        col(TuningInstance.answer).icontains(letters, autoescape=True),
    )
    query = select(TuningInstance.position).where(
        TuningInstance.set_id == set_id,
        TuningInstance.position >= start,
        TuningInstance.position < start + _SCANNED,
        found,
    )
    return tuple(session.exec(query.order_by(col(TuningInstance.position)).limit(limit)))


def delete_rows(session: Session, set_id: str, *, limit: int) -> bool:
    """Delete up to `limit` instances; True while there may be more."""
    last = session.exec(
        select(TuningInstance.position)
        .where(TuningInstance.set_id == set_id)
        .order_by(col(TuningInstance.position))
        .offset(limit)
        .limit(1)
    ).first()
    query = delete(TuningInstance).where(col(TuningInstance.set_id) == set_id)
    session.execute(query if last is None else query.where(col(TuningInstance.position) < last))
    return last is not None


def hide(session: Session, set_id: str, *, confirmed: bool) -> None:
    """Begin to delete a set: from now on nothing finds it. Raises ConflictError while measurements refer to it."""
    row = get_set(session, set_id)
    if row.state in UNFINISHED:
        raise ConflictError("This tuning set is being imported.", remedy="Wait until that has ended, then delete it.")
    if (count := borrowings(session, set_id)) and not confirmed:
        raise ConflictError(
            f"{count:,} stored measurement{'' if count == 1 else 's'} of borrowing refer to this tuning set.",
            remedy="Tick that they are to be deleted too.",
        )
    if session.exec(select(Evidence.id).where(Evidence.set_id == set_id).limit(1)).first():
        raise ConflictError(
            "Annotators were shown instances of this tuning set, and their judgments refer to them.",
            remedy="It has to stay as long as those judgments do.",
        )
    session.execute(delete(Borrowing).where(col(Borrowing.set_id) == set_id))
    session.execute(delete(TuningSetUse).where(col(TuningSetUse.set_id) == set_id))
    row.state, row.message = ImportState.FAILED, "It is being deleted."
    session.add(row)
    session.flush()


def remove(session: Session, set_ids: Sequence[str]) -> None:
    """Delete sets whose instances are gone already."""
    session.execute(delete(Borrowing).where(col(Borrowing.set_id).in_(set_ids)))
    session.execute(delete(TuningSetUse).where(col(TuningSetUse.set_id).in_(set_ids)))
    session.execute(delete(TuningSet).where(col(TuningSet.id).in_(set_ids)))


def instance_of(row: TuningInstance) -> Instance:
    """Turn a stored instance into what an index holds: one answer for each assistant turn."""
    turns = tuple(str(turn["content"]) for turn in row.turns or () if turn["role"] == "assistant")
    return Instance(id=row.instance_id, instruction=row.instruction, answers=turns or (row.answer,))
