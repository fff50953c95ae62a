"""Scoring runs in the database: ordered, claimed task by task by any number of processes, paused, ended.

A task is claimed for the time of a lease and stored in a transaction that finds it still claimed by the same worker.
So a response is read twice only when its first reader has given no sign of life for a whole lease, and stored once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import CursorResult, and_, or_
from sqlmodel import Session, col, func, select, update

from app.errors import ConflictError
from app.studies.scoring_rules import LEASE, MOST_ATTEMPTS, tried_again_at
from models import (
    Arm,
    BasePrompt,
    Item,
    ItemResponse,
    Response,
    ScoringRun,
    ScoringState,
    ScoringTask,
    Study,
    StudyEvent,
    TaskState,
    Trace,
    User,
)

_UNFINISHED = (ScoringState.RUNNING, ScoringState.PAUSED)
_ENDED_ITS_SERVER = (
    f"Each of {MOST_ATTEMPTS} servers that read it ended before it was done. See their logs: memory may have run out."
)
_OPEN = (TaskState.WAITING, TaskState.CLAIMED)


@dataclass(frozen=True, slots=True)
class Claim:
    """A task that is ours for a lease: which response is to be read by whom."""

    run_id: str
    response_id: str
    checkpoint: str
    base_prompt: BasePrompt


def order(
    session: Session, study: Study, *, reader: str, base_prompt: BasePrompt, user: User, now: datetime
) -> ScoringRun:
    """Order every response of a study that `reader` (empty: its own checkpoint) has not read yet to be read.

    Raises ConflictError while another order is unfinished, and when nothing is left to read.
    """
    session.refresh(study, with_for_update=True)
    if unfinished(session, study.id) is not None:
        raise ConflictError(
            "Responses of this study are being scored.", remedy="Wait until that is done, or cancel it."
        )
    missing = unread(session, study.id, reader=reader, base_prompt=base_prompt)
    if not missing:
        raise ConflictError(
            "There is nothing to score: every response with tokens has been read that way.",
            remedy="Choose another checkpoint or base prompt.",
        )
    run = ScoringRun(
        study_id=study.id,
        reader=reader,
        base_prompt=base_prompt,
        total=len(missing),
        created_by=user.id,
        created_at=now,
        resumed_at=now,
    )
    session.add(run)
    session.flush()
    session.add_all(ScoringTask(run_id=run.id, response_id=one, checkpoint=name) for one, name in missing)
    _log(session, run, f"Began to score {len(missing)} responses.", user)
    session.flush()
    return run


def unread(session: Session, study_id: str, *, reader: str, base_prompt: BasePrompt) -> list[tuple[str, str]]:
    """List (response, checkpoint) still to be read, by item; what has no tokens or no checkpoint cannot be read."""
    name = reader or col(Arm.checkpoint)
    known = and_(
        col(Trace.response_id) == col(ItemResponse.response_id),
        col(Trace.checkpoint) == name,
        col(Trace.base_prompt) == base_prompt,
    )
    query = (
        select(ItemResponse.response_id, Arm.checkpoint)
        .join(Item, col(Item.id) == col(ItemResponse.item_id))
        .join(Arm, col(Arm.id) == col(ItemResponse.arm_id))
        .outerjoin(Trace, known)
        .where(Item.study_id == study_id, col(Trace.id).is_(None))
        .order_by(col(Item.position), col(Arm.name))
    )
    found = {response: reader or own for response, own in session.exec(query) if reader or own}
    textual = _without_tokens(session, study_id)
    return [(response, own) for response, own in found.items() if response not in textual]


def _without_tokens(session: Session, study_id: str) -> set[str]:
    """List the responses that are text alone: imported and never put into tokens."""
    query = (
        select(Response.id, Response.token_ids)
        .join(ItemResponse, col(ItemResponse.response_id) == col(Response.id))
        .join(Item, col(Item.id) == col(ItemResponse.item_id))
        .where(Item.study_id == study_id, Response.checkpoint == "")
    )
    return {response for response, ids in session.exec(query) if not ids}


def unfinished(session: Session, study_id: str) -> ScoringRun | None:
    """Return the order that is running or paused, if there is one."""
    query = select(ScoringRun).where(ScoringRun.study_id == study_id, col(ScoringRun.state).in_(_UNFINISHED))
    return session.exec(query).first()


def any_running(session: Session) -> bool:
    """Tell, without taking the place of a writer, whether there may be anything to claim."""
    return (
        session.exec(select(ScoringRun.id).where(ScoringRun.state == ScoringState.RUNNING).limit(1)).first() is not None
    )


def claim(session: Session, worker: str, *, most: int, now: datetime) -> list[Claim]:
    """Claim up to `most` tasks of running orders that nobody works on, oldest order first.

    The caller's write transaction is exclusive on SQLite; elsewhere rows that somebody else looks at are skipped.
    """
    due = or_(
        col(ScoringTask.lease_until).is_(None),
        col(ScoringTask.lease_until) <= now,
        col(ScoringTask.lease_until) > now + 10 * LEASE,
    )
    query = (
        select(ScoringTask, ScoringRun.base_prompt)
        .join(ScoringRun, col(ScoringRun.id) == col(ScoringTask.run_id))
        .where(ScoringRun.state == ScoringState.RUNNING, col(ScoringTask.state).in_(_OPEN), due)
        .order_by(col(ScoringRun.created_at))
        .limit(most)
        .with_for_update(skip_locked=True, of=ScoringTask)
    )
    claimed = []
    for task, base_prompt in session.exec(query).all():
        if task.state is TaskState.CLAIMED and task.attempts + 1 >= MOST_ATTEMPTS:
            fail_task(session, task, _ENDED_ITS_SERVER, lasting=True, now=now)
            continue
        # Whoever had it has died, perhaps of it.
        task.attempts += task.state is TaskState.CLAIMED
        task.state, task.worker, task.lease_until = TaskState.CLAIMED, worker, now + LEASE
        session.add(task)
        claimed.append(Claim(task.run_id, task.response_id, task.checkpoint, BasePrompt(base_prompt)))
    session.flush()
    return claimed


def renew(session: Session, worker: str, *, now: datetime) -> set[tuple[str, str]]:
    """Give a sign of life; returns the (run, response) that are this worker's still, in orders not cancelled."""
    query = (
        select(ScoringTask)
        .join(ScoringRun, col(ScoringRun.id) == col(ScoringTask.run_id))
        .where(
            ScoringTask.worker == worker,
            ScoringTask.state == TaskState.CLAIMED,
            ScoringRun.state != ScoringState.CANCELLED,
        )
        .with_for_update(of=ScoringTask)
    )
    tasks = session.exec(query).all()
    for task in tasks:
        task.lease_until = now + LEASE
        session.add(task)
    session.flush()
    return {(task.run_id, task.response_id) for task in tasks}


def release(session: Session, worker: str) -> int:
    """Give back what a worker that stops has claimed, for anybody to claim at once."""
    changed: CursorResult[tuple[()]] = session.execute(  # type: ignore[assignment]
        update(ScoringTask)
        .where(col(ScoringTask.worker) == worker, col(ScoringTask.state) == TaskState.CLAIMED)
        .values(state=TaskState.WAITING, worker="", lease_until=None)
    )
    return changed.rowcount


def ours(session: Session, claimed: Claim, worker: str) -> ScoringTask | None:
    """Lock a task for the transaction that ends it; None when it is no longer this worker's, or its order cancelled."""
    # The order first, so that whoever ends the last of its tasks sees all the others ended.
    order_of = select(ScoringRun.id).where(ScoringRun.id == claimed.run_id, ScoringRun.state != ScoringState.CANCELLED)
    if session.exec(order_of.with_for_update()).first() is None:
        return None
    query = select(ScoringTask).where(
        ScoringTask.run_id == claimed.run_id,
        ScoringTask.response_id == claimed.response_id,
        ScoringTask.state == TaskState.CLAIMED,
        ScoringTask.worker == worker,
    )
    return session.exec(query.with_for_update()).first()


def end_task(session: Session, task: ScoringTask, *, now: datetime) -> None:
    """Write down that a task's reading is stored, in the same transaction, and end its order when it was the last."""
    task.state, task.sentence, task.lease_until, task.ended_at = TaskState.DONE, "", None, now
    session.add(task)
    _end_if_last(session, task.run_id, now)


def fail_task(session: Session, task: ScoringTask, sentence: str, *, lasting: bool, now: datetime) -> None:
    """Write down why a reading failed; unless that is `lasting`, it is tried again after a while."""
    task.attempts += 1
    again = None if lasting else tried_again_at(task.attempts, now)
    task.state, task.worker, task.sentence, task.lease_until = TaskState.WAITING, "", sentence, again
    if again is None:
        task.state, task.ended_at = TaskState.FAILED, now
    session.add(task)
    _end_if_last(session, task.run_id, now)


def _end_if_last(session: Session, run_id: str, now: datetime) -> None:
    session.flush()
    still_open = select(ScoringTask.response_id).where(ScoringTask.run_id == run_id, col(ScoringTask.state).in_(_OPEN))
    if session.exec(still_open.limit(1)).first() is not None:
        return
    counts, run = count(session, run_id), _locked(session, run_id)
    failed = counts[TaskState.FAILED]
    run.state, run.ended_at = ScoringState.FAILED if failed else ScoringState.DONE, now
    run.message = f"{failed} of {run.total} could not be scored." if failed else ""
    session.add(run)
    _log(session, run, f"Scored {counts[TaskState.DONE]} of {run.total} responses.", None)
    session.flush()


def count(session: Session, run_id: str) -> dict[TaskState, int]:
    """Count an order's tasks by how they stand."""
    query = select(ScoringTask.state, func.count()).where(ScoringTask.run_id == run_id).group_by(ScoringTask.state)
    found = {TaskState(state): number for state, number in session.exec(query)}
    return dict.fromkeys(TaskState, 0) | found


def readers_left(session: Session, run_id: str) -> tuple[str, ...]:
    """List the checkpoints that are to read something still."""
    query = select(ScoringTask.checkpoint).where(ScoringTask.run_id == run_id, col(ScoringTask.state).in_(_OPEN))
    return tuple(session.exec(query.distinct().order_by(ScoringTask.checkpoint)))


def pause(session: Session, study_id: str, user: User) -> None:
    """Let nobody claim more of an order; what is under way is finished. Raises ConflictError."""
    run = _wanted(session, study_id, ScoringState.RUNNING)
    run.state = ScoringState.PAUSED
    session.add(run)
    _log(session, run, "Paused the scoring.", user)
    session.flush()


def resume(session: Session, study_id: str, user: User, *, now: datetime) -> None:
    """Go on with a paused order where it was. Raises ConflictError."""
    run = _wanted(session, study_id, ScoringState.PAUSED)
    run.state, run.resumed_at = ScoringState.RUNNING, now
    session.add(run)
    _log(session, run, "Resumed the scoring.", user)
    session.flush()


def cancel(session: Session, study_id: str, user: User, *, now: datetime) -> None:
    """End an order for good; what is scored is kept, what is under way is dropped. Raises ConflictError."""
    run = _wanted(session, study_id, *_UNFINISHED)
    run.state, run.ended_at, run.message = ScoringState.CANCELLED, now, f"Cancelled by {user.name}."
    session.add(run)
    _log(session, run, "Cancelled the scoring.", user)
    session.flush()


def retry(session: Session, study: Study, user: User, *, now: datetime) -> None:
    """Try again what failed in the last order. Raises ConflictError."""
    session.refresh(study, with_for_update=True)
    run = _wanted(session, study.id, ScoringState.FAILED)
    session.execute(
        update(ScoringTask)
        .where(col(ScoringTask.run_id) == run.id, col(ScoringTask.state) == TaskState.FAILED)
        .values(state=TaskState.WAITING, worker="", lease_until=None, attempts=0, ended_at=None)
    )
    run.state, run.resumed_at, run.ended_at, run.message = ScoringState.RUNNING, now, None, ""
    session.add(run)
    _log(session, run, "Tried again what could not be scored.", user)
    session.flush()


def last_run(session: Session, study_id: str) -> ScoringRun | None:
    """Return the newest order of a study."""
    query = select(ScoringRun).where(ScoringRun.study_id == study_id)
    return session.exec(query.order_by(col(ScoringRun.created_at).desc(), col(ScoringRun.id))).first()


def _wanted(session: Session, study_id: str, *states: ScoringState) -> ScoringRun:
    """Lock the newest order of a study. Raises ConflictError when it does not stand as wanted."""
    run = last_run(session, study_id)
    if run is not None:
        run = _locked(session, run.id)
    if run is None or run.state not in states:
        raise ConflictError("The scoring of this study has moved on.", remedy="Load the page again.")
    return run


def _locked(session: Session, run_id: str) -> ScoringRun:
    query = select(ScoringRun).where(ScoringRun.id == run_id).with_for_update()
    return session.exec(query.execution_options(populate_existing=True)).one()


def failures(session: Session, run_id: str, *, most: int) -> Sequence[tuple[str, int]]:
    """List why tasks failed or wait for another attempt, the most frequent reason first."""
    query = (
        select(ScoringTask.sentence, func.count())
        .where(ScoringTask.run_id == run_id, ScoringTask.sentence != "", ScoringTask.state != TaskState.DONE)
        .group_by(ScoringTask.sentence)
        .order_by(func.count().desc(), ScoringTask.sentence)
    )
    return session.exec(query.limit(most)).all()


def _log(session: Session, run: ScoringRun, detail: str, user: User | None) -> None:
    user_id = user.id if user else None
    session.add(StudyEvent(study_id=run.study_id, user_id=user_id, action="scoring", detail=detail))
