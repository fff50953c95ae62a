"""What the scoring page shows: what could be ordered, how the last order stands, and why responses failed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session, col, func, select

from app.engines.prompts import BASE_PROMPTS
from app.studies import scoring
from app.studies.generation_rules import utc
from app.studies.queries import get_study
from app.studies.scoring_rules import Progress, progress
from models import BasePrompt, ScoringRun, ScoringState, ScoringTask, Study, TaskState, User

REASONS_SHOWN = 5
_MILESTONE = 10
_LABELS = {
    ScoringState.RUNNING: "Scoring",
    ScoringState.PAUSED: "Paused",
    ScoringState.DONE: "Done",
    ScoringState.FAILED: "Ended with failures",
    ScoringState.CANCELLED: "Cancelled",
}


@dataclass(frozen=True, slots=True)
class Order:
    """The last order, in words; `reader` is empty where each response's own checkpoint reads it."""

    state: str
    label: str
    reader: str
    base_prompt: str
    message: str
    progress: Progress
    reasons: Sequence[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class ScoringView:
    """All the page needs. `readers` are (value, title, unread responses); `announcement` changes every ten per cent.

    `asked` are the checkpoints that are to read still.
    """

    study: Study
    readers: tuple[tuple[str, str, int], ...]
    base_prompts: tuple[tuple[BasePrompt, str, str], ...]
    order: Order | None
    announcement: str
    asked: tuple[str, ...] = ()

    @property
    def running(self) -> bool:
        """Whether somebody works on it."""
        return self.order is not None and self.order.state == ScoringState.RUNNING

    @property
    def unfinished(self) -> bool:
        """Whether nothing else can be ordered now."""
        return self.order is not None and self.order.state in {ScoringState.RUNNING, ScoringState.PAUSED}


def scoring_view(session: Session, study_id: str, user: User, *, known: Sequence[str], now: datetime) -> ScoringView:
    """Read the page. Raises NotFoundError for a study that is not this person's."""
    study = get_study(session, study_id, user)
    run = scoring.last_run(session, study.id)
    found = _order(session, run, now) if run else None
    choices = [("", "each response's own checkpoint"), *((name, name) for name in known)]
    unfinished = found is not None and found.state in {ScoringState.RUNNING, ScoringState.PAUSED}
    return ScoringView(
        study=study,
        readers=()
        if unfinished
        else tuple((value, title, _unread(session, study.id, value)) for value, title in choices),
        base_prompts=BASE_PROMPTS,
        order=found,
        announcement=_announcement(found),
        asked=scoring.readers_left(session, run.id) if run and unfinished else (),
    )


def _unread(session: Session, study_id: str, reader: str) -> int:
    return len(scoring.unread(session, study_id, reader=reader, base_prompt=BasePrompt.SAME_IDS))


def _order(session: Session, run: ScoringRun, now: datetime) -> Order:
    counts = scoring.count(session, run.id)
    again = select(func.count()).where(
        ScoringTask.run_id == run.id, ScoringTask.state == TaskState.WAITING, ScoringTask.attempts > 0
    )
    lately = select(func.count()).where(ScoringTask.run_id == run.id, col(ScoringTask.ended_at) >= run.resumed_at)
    return Order(
        state=run.state.value,
        label=_LABELS[run.state],
        reader=run.reader,
        base_prompt=next(title for value, title, _ in BASE_PROMPTS if value == run.base_prompt),
        message=run.message,
        progress=progress(
            total=run.total,
            done=counts[TaskState.DONE],
            failed=counts[TaskState.FAILED],
            claimed=counts[TaskState.CLAIMED],
            again=session.exec(again).one(),
            lately=session.exec(lately).one(),
            resumed_at=utc(run.resumed_at),
            now=now,
        ),
        reasons=scoring.failures(session, run.id, most=REASONS_SHOWN),
    )


def _announcement(order: Order | None) -> str:
    if order is None:
        return ""
    if order.state != ScoringState.RUNNING:
        return f"{order.label}: {order.progress.done} of {order.progress.total} responses scored. {order.message}"
    ended = 100 * order.progress.ended // (order.progress.total or 1)
    return f"Scoring: {ended - ended % _MILESTONE} per cent done."
