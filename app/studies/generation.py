"""Generation runs in the database: one per study at a time, claimed, kept alive, ended; and why responses failed.

Whatever a run stores, it stores in a transaction that first finds the run still running. So one that was stopped, or
taken for dead and followed by another, adds nothing any more, whichever process it lives in.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session, col, select

from app.errors import ConflictError
from app.studies.coverage import Hole, missing_responses
from app.studies.generation_rules import is_lost, utc
from models import (
    Arm,
    GenerationRun,
    GenerationState,
    ItemResponse,
    ResponseFailure,
    Study,
    StudyEvent,
    StudyState,
    User,
)
from models.base import now as current_time

INTERRUPTED = "The server or the command that ran it ended before it was done. What was generated is kept."
_STOPPED = "Stopped by {name}. What was generated is kept."
_WORDS = {StudyState.OPEN: "open", StudyState.CLOSED: "closed"}


class RunEndedError(ConflictError):
    """The run is no longer the one that fills its study: somebody stopped it, or it was taken for dead."""

    def __init__(self) -> None:
        """Say so."""
        super().__init__(
            "This run was stopped, or another one took its place.",
            remedy="What was generated is kept; run it again for the rest.",
        )


class GeneratingError(ConflictError):
    """Another run fills the study; `sign` changes with each of its signs of life."""

    def __init__(self, run: GenerationRun) -> None:
        """Say so."""
        super().__init__(
            "Responses are being generated for this study.", remedy="Wait until that is done, or stop it first."
        )
        self.sign = (run.id, run.touched_at)


@dataclass(frozen=True, slots=True)
class Claimed:
    """A run that is ours: what it is to fill, and the arms that answer together."""

    run_id: str
    study_id: str
    holes: tuple[Hole, ...]
    arms: tuple[Arm, ...]


def claim(
    session: Session,
    study: Study,
    *,
    now: datetime,
    user: User | None = None,
    only: Collection[tuple[str, str]] | None = None,
) -> Claimed | None:
    """Begin a run over what is missing (of `only`, as item and arm ids, where given); None when nothing is.

    The caller's write transaction is exclusive on SQLite and elsewhere locks the study's row, so of two that ask at
    once one gets the run. Raises GeneratingError while another runs, ConflictError for a study that is open or closed.
    """
    session.refresh(study, with_for_update=True)
    refuse_while_generating(session, study, now)
    # What came from a file has no checkpoint that could fill its holes.
    missing = [hole for hole in missing_responses(session, study.id) if hole.checkpoint]
    holes = tuple(hole for hole in missing if only is None or (hole.item_id, hole.arm_id) in only)
    if not holes:
        return None
    if study.state in _WORDS:
        raise ConflictError(
            f"The study is {_WORDS[study.state]}, and responses that nobody has looked through would be judged.",
            remedy="Pause it first." if study.state is StudyState.OPEN else "Duplicate it to go on.",
        )
    run = GenerationRun(
        study_id=study.id,
        total=len(holes),
        created_by=user.id if user else None,
        created_at=now,
        touched_at=now,
    )
    session.add(run)
    _log(session, run, f"Began to generate {_responses(len(holes))}.", user.id if user else None)
    session.flush()
    query = select(Arm).where(Arm.study_id == study.id, Arm.checkpoint != "", col(Arm.special).is_(False))
    return Claimed(run.id, study.id, holes, tuple(session.exec(query.order_by(col(Arm.name)))))


def refuse_while_generating(session: Session, study: Study, now: datetime | None = None) -> None:
    """Raise GeneratingError while responses of a study are being generated: what is asked must not change meanwhile.

    A run that lost its server is marked interrupted, so that it cannot wake up and store under what changes now.
    """
    now = now or current_time()
    for run in _running(session, study.id):
        if not is_lost(utc(run.touched_at), now):
            raise GeneratingError(run)
        _end(session, run, GenerationState.INTERRUPTED, INTERRUPTED, now)


def interrupt_unfinished(session: Session, *, now: datetime) -> int:
    """Mark what an earlier server left running, and every run without a sign of life; return how many that were.

    A run that a person began belongs to a server and ended with it; one without a person is a command's, which may
    well be working beside this server.
    """
    query = select(GenerationRun).where(GenerationRun.state == GenerationState.RUNNING)
    left = [run for run in session.exec(query) if run.created_by is not None or is_lost(utc(run.touched_at), now)]
    for run in left:
        _end(session, run, GenerationState.INTERRUPTED, INTERRUPTED, now)
    return len(left)


def touch(session: Session, run_id: str, *, now: datetime) -> bool:
    """Give a sign of life; False when the run has ended, whoever ended it."""
    run = _locked(session, run_id)
    if run is None:
        return False
    run.touched_at = now
    session.add(run)
    session.flush()
    return True


def still_running(session: Session, run_id: str, *, now: datetime) -> GenerationRun:
    """Load a run for the transaction that stores something for it. Raises RunEndedError."""
    run = _locked(session, run_id)
    if run is None:
        raise RunEndedError
    run.touched_at = now
    session.add(run)
    return run


def count_stored(session: Session, run: GenerationRun, hole: Hole) -> None:
    """Count a response that was stored just now; that it failed before is over."""
    failure = session.get(ResponseFailure, (hole.item_id, hole.arm_id))
    if failure is not None:
        session.delete(failure)
    run.done += 1
    session.add(run)
    session.flush()


def note_failures(
    session: Session, run_id: str, failures: Iterable[tuple[Hole, str]], *, now: datetime
) -> list[tuple[Hole, str]]:
    """Write down why responses are missing still, and return what was written; one that is there has not failed."""
    still_running(session, run_id, now=now)
    noted = []
    for hole, sentence in failures:
        if session.get(ItemResponse, (hole.item_id, hole.arm_id)) is not None:
            continue
        failure = session.get(ResponseFailure, (hole.item_id, hole.arm_id))
        if failure is None:
            failure = ResponseFailure(item_id=hole.item_id, arm_id=hole.arm_id, sentence=sentence, attempts=0)
        failure.sentence, failure.failed_at = sentence, now
        failure.attempts += 1
        session.add(failure)
        noted.append((hole, sentence))
    session.flush()
    return noted


def end(session: Session, run_id: str, state: GenerationState, message: str, *, now: datetime) -> bool:
    """End a run that is running; False when somebody else ended it before."""
    run = _locked(session, run_id)
    if run is None:
        return False
    _end(session, run, state, message, now)
    return True


def stop(session: Session, study: Study, *, user: User, now: datetime) -> list[str]:
    """End what is being generated for a study, wherever it runs; returns the ids of the runs that ended."""
    runs = _running(session, study.id)
    for run in runs:
        _end(session, run, GenerationState.STOPPED, _STOPPED.format(name=user.name), now, user_id=user.id)
    return [run.id for run in runs]


def _running(session: Session, study_id: str) -> list[GenerationRun]:
    query = select(GenerationRun).where(
        GenerationRun.study_id == study_id, GenerationRun.state == GenerationState.RUNNING
    )
    return list(session.exec(query.with_for_update()))


def _locked(session: Session, run_id: str) -> GenerationRun | None:
    query = select(GenerationRun).where(GenerationRun.id == run_id, GenerationRun.state == GenerationState.RUNNING)
    return session.exec(query.with_for_update()).first()


def _end(
    session: Session,
    run: GenerationRun,
    state: GenerationState,
    message: str,
    now: datetime,
    *,
    user_id: str | None = None,
) -> None:
    run.state, run.message, run.touched_at = state, message, now
    session.add(run)
    _log(session, run, f"{_responses(run.done)} of {run.total} generated. {message}", user_id)
    session.flush()


def _log(session: Session, run: GenerationRun, detail: str, user_id: str | None) -> None:
    session.add(StudyEvent(study_id=run.study_id, user_id=user_id, action="generation", detail=detail))


def _responses(number: int) -> str:
    return f"{number} response{'' if number == 1 else 's'}"
