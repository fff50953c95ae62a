"""What was done in a study, gathered from where it was written down, for the methods of its report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, func
from sqlmodel import Session, col, select

from app.monitor.rule_forms import sentence
from app.monitor.votes import aware
from app.results.looks import Look, changes_of, looks_at
from app.studies.questions import Questions, read_questions
from models import (
    Arm,
    ComprehensionAttempt,
    Exclusion,
    Guideline,
    Item,
    ItemResponse,
    LeakFlag,
    Membership,
    Pair,
    Presentation,
    Response,
    Revision,
    RevisionKind,
    Study,
    Trace,
    User,
)


@dataclass(frozen=True, slots=True)
class ArmFacts:
    """An arm: its checkpoint (empty where responses were given), decoding, and how its responses came about."""

    name: str
    checkpoint: str
    decoding: Mapping[str, Any]
    responses: int
    finishes: Mapping[str, int]
    runs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ExclusionFacts:
    """A rule in words, why it was added, by whom and when, and whether it was taken back."""

    meaning: str
    reason: str
    by: str
    at: datetime
    revoked: bool


@dataclass(frozen=True, slots=True)
class About:
    """A study as it was run. Counts are of rows; `judged_under` is judgments by version of the guidelines."""

    study: Study
    questions: Questions
    items: Mapping[str, int]
    arms: tuple[ArmFacts, ...]
    pairs: int
    people: Mapping[str, int]
    states: Mapping[str, int]
    first: datetime | None
    last: datetime | None
    guidelines: tuple[int, ...]
    judged_under: Mapping[int, int]
    app_versions: tuple[str, ...]
    checked: tuple[int, int]
    leaks: Mapping[str, int]
    withheld: int
    traces: Sequence[tuple[str, str, str, str, int]]
    exclusions: tuple[ExclusionFacts, ...]
    looks: tuple[Look, ...]
    changes: tuple[Look, ...]


def about(session: Session, study: Study) -> About:
    """Gather the facts; a few grouped counts, whatever the size of the study."""
    first, last = session.exec(
        select(func.min(Presentation.submitted_at), func.max(Presentation.submitted_at)).where(
            Presentation.study_id == study.id
        )
    ).one()
    return About(
        study=study,
        questions=read_questions(study.questions),
        items=_by(session, Item.kind, Item.study_id == study.id),
        arms=_arms(session, study.id),
        pairs=_one(session, Pair, Pair.study_id == study.id, col(Pair.special).is_(False)),
        people=_by(session, Membership.state, Membership.study_id == study.id, _judges(study.id)),
        states=_by(session, Presentation.state, Presentation.study_id == study.id),
        first=aware(first) if first else None,
        last=aware(last) if last else None,
        guidelines=tuple(
            session.exec(
                select(Guideline.version).where(Guideline.study_id == study.id).order_by(col(Guideline.version))
            )
        ),
        judged_under=_submitted(session, study.id, Revision.guideline_version),
        app_versions=tuple(sorted(_submitted(session, study.id, Revision.app_version))),
        checked=_checked(session, study.id),
        leaks=_by(session, LeakFlag.decision, LeakFlag.study_id == study.id),
        withheld=_one(session, ItemResponse, col(ItemResponse.withheld), _in_study(ItemResponse.item_id, study.id)),
        traces=_traces(session, study.id),
        exclusions=_exclusions(session, study.id),
        looks=tuple(looks_at(session, study)),
        changes=tuple(changes_of(session, study)),
    )


def _by(session: Session, column: Any, *where: Any) -> dict[str, int]:
    rows = session.exec(select(column, func.count()).where(*where).group_by(column).order_by(column))
    return {str(value): count for value, count in rows}


def _one(session: Session, table: Any, *where: Any) -> int:
    return session.exec(select(func.count()).select_from(table).where(*where)).one()


def _in_study(column: Any, study_id: str) -> Any:
    return col(column).in_(select(Item.id).where(Item.study_id == study_id))


def _judges(study_id: str) -> Any:
    """Hold for whoever was handed something; a researcher who only set the study up judges nothing."""
    return col(Membership.user_id).in_(select(Presentation.annotator_id).where(Presentation.study_id == study_id))


def _submitted(session: Session, study_id: str, column: Any) -> dict[Any, int]:
    query = (
        select(column, func.count())
        .select_from(Revision)
        .join(Presentation, col(Presentation.id) == col(Revision.presentation_id))
        .where(Presentation.study_id == study_id, Revision.kind == RevisionKind.SUBMITTED)
        .group_by(column)
        .order_by(column)
    )
    return dict(session.exec(query).all())


def _arms(session: Session, study_id: str) -> tuple[ArmFacts, ...]:
    query = select(Arm).where(Arm.study_id == study_id, col(Arm.special).is_(False)).order_by(col(Arm.name))
    return tuple(_arm(session, arm) for arm in session.exec(query))


def _arm(session: Session, arm: Arm) -> ArmFacts:
    rows = session.exec(
        select(Response.finish, Response.run)
        .join(ItemResponse, col(ItemResponse.response_id) == col(Response.id))
        .where(ItemResponse.arm_id == arm.id)
    ).all()
    finishes: dict[str, int] = {}
    runs = set()
    for finish, run in rows:
        finishes[finish] = finishes.get(finish, 0) + 1
        made = [str(run[name]) for name in ("engine", "engine_version", "dtype", "revision") if run.get(name)]
        runs.add(" ".join(made))
    return ArmFacts(arm.name, arm.checkpoint, arm.decoding, len(rows), finishes, tuple(sorted(runs - {""})))


def _checked(session: Session, study_id: str) -> tuple[int, int]:
    """Count who tried the comprehension check, and who passed."""
    query = select(func.count(col(ComprehensionAttempt.user_id).distinct())).where(
        ComprehensionAttempt.study_id == study_id
    )
    return session.exec(query).one(), session.exec(query.where(ComprehensionAttempt.passed)).one()


def _traces(session: Session, study_id: str) -> Sequence[tuple[str, str, str, str, int]]:
    columns = (col(Trace.reference), col(Trace.engine), col(Trace.dtype), col(Trace.kl_kind))
    query = (
        select(*columns, func.count())  # type: ignore[call-overload]
        .join(
            ItemResponse,
            and_(col(ItemResponse.response_id) == col(Trace.response_id), _in_study(ItemResponse.item_id, study_id)),
        )
        .group_by(*columns)
        .order_by(*columns)
    )
    return [(row[0], row[1], row[2], row[3], row[4]) for row in session.exec(query)]


def _exclusions(session: Session, study_id: str) -> tuple[ExclusionFacts, ...]:
    query = (
        select(Exclusion, User.name)
        .outerjoin(User, col(User.id) == col(Exclusion.created_by))
        .where(Exclusion.study_id == study_id)
        .order_by(col(Exclusion.created_at), col(Exclusion.id))
    )
    return tuple(
        ExclusionFacts(
            sentence(rule.rule, rule.settings),
            rule.reason,
            name or "",
            aware(rule.created_at),
            rule.revoked_at is not None,
        )
        for rule, name in session.exec(query)
    )
