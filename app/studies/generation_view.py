"""What the generation page shows: every arm's responses, how the run stands, and what failed and why."""

from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session, col, func, select

from app.leaks.scanning import undecided
from app.studies.coverage import arm_coverage
from app.studies.generation_rules import is_lost, pace, rate_words, time_words, utc
from app.studies.queries import get_study
from models import (
    Arm,
    GenerationRun,
    GenerationState,
    Item,
    ItemKind,
    ResponseFailure,
    Study,
    StudyState,
    User,
)

FAILURES_SHOWN = 100
_PROMPT_CHARS = 120
_MILESTONE = 10
_ALLOWED = frozenset({StudyState.DRAFT, StudyState.PAUSED})
_LABELS = {
    GenerationState.RUNNING: "Generating",
    GenerationState.DONE: "Done",
    GenerationState.STOPPED: "Stopped",
    GenerationState.FAILED: "Ended with failures",
    GenerationState.INTERRUPTED: "Interrupted",
}


@dataclass(frozen=True, slots=True)
class ArmRow:
    """An arm: of `items` responses so many are there, failed when last tried, or were never tried.

    `known` tells whether the registry has its checkpoint; one without a checkpoint was imported.
    """

    name: str
    checkpoint: str
    known: bool
    items: int
    done: int
    failed: int

    @property
    def missing(self) -> int:
        """Count the responses that are neither there nor failed."""
        return self.items - self.done - self.failed


@dataclass(frozen=True, slots=True)
class FailureRow:
    """A response that could not be generated, and why."""

    item_id: str
    arm_id: str
    position: int
    prompt: str
    arm: str
    sentence: str
    attempts: int
    failed_at: datetime


@dataclass(frozen=True, slots=True)
class RunRow:
    """The last run, in words; `began_by` is empty for the command line."""

    id: str
    state: str
    label: str
    done: int
    failed: int
    total: int
    message: str
    began_by: str
    began_at: datetime
    ended_at: datetime
    rate: str
    left: str


@dataclass(frozen=True, slots=True)
class GenerationView:
    """All the page needs. `missing` counts what a checkpoint could generate, `beyond` what only a file could bring.

    `announcement` is what is read out while it runs; it changes every ten per cent.
    """

    study: Study
    arms: tuple[ArmRow, ...]
    failures: tuple[FailureRow, ...]
    failed: int
    run: RunRow | None
    running: bool
    missing: int
    beyond: int
    items: int
    flags: int
    allowed: bool
    announcement: str

    @property
    def unknown(self) -> tuple[ArmRow, ...]:
        """List the arms whose checkpoint the registry has not, and that lack responses."""
        return tuple(arm for arm in self.arms if not arm.known and arm.done < arm.items)

    @property
    def asked(self) -> tuple[str, ...]:
        """List the checkpoints that are to answer still."""
        return tuple(arm.checkpoint for arm in self.arms if arm.checkpoint and arm.done < arm.items)

    @property
    def imported(self) -> bool:
        """Tell whether every arm came from a file."""
        return bool(self.arms) and not any(arm.checkpoint for arm in self.arms)


def generation_view(
    session: Session, study_id: str, user: User, *, known: frozenset[str], now: datetime
) -> GenerationView:
    """Gather the page of a study that `user` may see; `known` are the registry's checkpoints. Raises NotFoundError."""
    study = get_study(session, study_id, user)
    failed_by_arm = _failed_by_arm(session, study.id)
    coverage = arm_coverage(session, study.id)
    run = _last_run(session, study.id, now)
    return GenerationView(
        study=study,
        arms=tuple(
            ArmRow(
                name=arm.name,
                checkpoint=arm.checkpoint,
                known=not arm.checkpoint or arm.checkpoint in known,
                items=arm.items,
                done=arm.answered,
                failed=failed_by_arm.get(arm.name, 0),
            )
            for arm in coverage
        ),
        failures=_failures(session, study.id),
        failed=sum(failed_by_arm.values()),
        run=run,
        running=run is not None and run.state == GenerationState.RUNNING,
        missing=sum(arm.items - arm.answered for arm in coverage if arm.checkpoint),
        beyond=sum(arm.items - arm.answered for arm in coverage if not arm.checkpoint),
        items=coverage[0].items if coverage else _items(session, study.id),
        flags=undecided(session, study.id),
        allowed=study.state in _ALLOWED,
        announcement=_announcement(run),
    )


@dataclass(frozen=True, slots=True)
class BrokenOff:
    """A run whose process ended before it did: what it has generated, and what is to do still."""

    done: int
    total: int
    missing: int


def broken_off(session: Session, study: Study, *, now: datetime) -> BrokenOff | None:
    """Tell of a study whose last run was interrupted and can be resumed; None where nothing is left to resume."""
    run = _last_run(session, study.id, now)
    if run is None or run.state != GenerationState.INTERRUPTED or study.state not in _ALLOWED:
        return None
    missing = sum(arm.items - arm.answered for arm in arm_coverage(session, study.id) if arm.checkpoint)
    return BrokenOff(run.done, run.total, missing) if missing else None


def failed_places(session: Session, study_id: str) -> set[tuple[str, str]]:
    """List the responses of a study that failed, as item and arm ids."""
    query = select(ResponseFailure.item_id, ResponseFailure.arm_id)
    return set(
        session.exec(query.join(Item, col(Item.id) == col(ResponseFailure.item_id)).where(Item.study_id == study_id))
    )


def _failed_by_arm(session: Session, study_id: str) -> dict[str, int]:
    query = (
        select(Arm.name, func.count())
        .select_from(ResponseFailure)
        .join(Arm, col(Arm.id) == col(ResponseFailure.arm_id))
        .where(Arm.study_id == study_id)
        .group_by(Arm.name)
    )
    return dict(session.exec(query).all())


def _failures(session: Session, study_id: str) -> tuple[FailureRow, ...]:
    query = (
        select(ResponseFailure, Item, Arm)
        .join(Item, col(Item.id) == col(ResponseFailure.item_id))
        .join(Arm, col(Arm.id) == col(ResponseFailure.arm_id))
        .where(Item.study_id == study_id)
        .order_by(col(Item.position), col(Arm.name))
        .limit(FAILURES_SHOWN)
    )
    return tuple(
        FailureRow(
            item_id=item.id,
            arm_id=arm.id,
            position=item.position,
            prompt=item.prompt[:_PROMPT_CHARS] + "…" * (len(item.prompt) > _PROMPT_CHARS),
            arm=arm.name,
            sentence=failure.sentence,
            attempts=failure.attempts,
            failed_at=utc(failure.failed_at),
        )
        for failure, item, arm in session.exec(query)
    )


def _last_run(session: Session, study_id: str, now: datetime) -> RunRow | None:
    query = (
        select(GenerationRun, User.name)
        .outerjoin(User, col(User.id) == col(GenerationRun.created_by))
        .where(GenerationRun.study_id == study_id)
        .order_by(col(GenerationRun.created_at).desc(), col(GenerationRun.id))
    )
    found = session.exec(query).first()
    if found is None:
        return None
    run, name = found
    began, touched = utc(run.created_at), utc(run.touched_at)
    lost = run.state is GenerationState.RUNNING and is_lost(touched, now)
    state = GenerationState.INTERRUPTED if lost else run.state
    failed = _failed_since(session, run)
    speed = pace(
        ended=run.done + failed,
        total=run.total,
        began=began,
        now=now if state is GenerationState.RUNNING else touched,
    )
    return RunRow(
        id=run.id,
        state=state.value,
        label=_LABELS[state],
        done=run.done,
        failed=failed,
        total=run.total,
        message="Nothing has been heard of it for a while; what was generated is kept." if lost else run.message,
        began_by=name or "",
        began_at=began,
        ended_at=touched,
        rate=rate_words(speed),
        left=time_words(speed.seconds_left),
    )


def _failed_since(session: Session, run: GenerationRun) -> int:
    """Count what failed in a run, as far as no later one tried it again."""
    query = (
        select(func.count())
        .select_from(ResponseFailure)
        .join(Item, col(Item.id) == col(ResponseFailure.item_id))
        .where(Item.study_id == run.study_id, col(ResponseFailure.failed_at) >= run.created_at)
    )
    return session.exec(query).one()


def _items(session: Session, study_id: str) -> int:
    query = select(func.count()).select_from(Item).where(Item.study_id == study_id, Item.kind == ItemKind.REGULAR)
    return session.exec(query).one()


def _announcement(run: RunRow | None) -> str:
    if run is None:
        return ""
    if run.state != GenerationState.RUNNING:
        return f"{run.label}: {run.done} of {run.total} responses. {run.message}"
    ended = 100 * (run.done + run.failed) // (run.total or 1)
    return f"Generating: {ended - ended % _MILESTONE} per cent done."
