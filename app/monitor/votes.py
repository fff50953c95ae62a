"""Loading what monitoring and exclusion rules look at: judgments, members, lengths. For researchers' routes alone."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import and_, func, or_
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select

from app.monitor.exclusions import WITHDRAWN, Person, Rule
from app.monitor.facts import Vote
from models import (
    Arm,
    ComprehensionAttempt,
    Exclusion,
    Item,
    ItemResponse,
    Membership,
    MemberState,
    Presentation,
    PresentationState,
    Response,
    Revision,
    RevisionKind,
    Role,
    Study,
    User,
    WithdrawalPolicy,
)

_BATCH = 200


def aware(moment: datetime) -> datetime:
    """Give a timestamp its zone back."""
    # SQLite gives timestamps back without their zone; all are stored in UTC.
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def iter_votes(session: Session, study: Study) -> Iterator[Vote]:
    """Yield every judgment of a study, practice and gold too, in the order they were first submitted."""
    better = session.exec(select(Arm.id).where(Arm.study_id == study.id, Arm.special, Arm.name == "better")).first()
    last = (
        select(col(Revision.presentation_id).label("shown"), func.max(Revision.number).label("number"))
        .join(Presentation, col(Presentation.id) == col(Revision.presentation_id))
        .where(Presentation.study_id == study.id, Revision.kind == RevisionKind.SUBMITTED)
        .group_by(col(Revision.presentation_id))
        .subquery()
    )
    final = aliased(Revision)
    shown = Presentation
    query = (
        select(  # type: ignore[call-overload]
            shown.id, shown.annotator_id, shown.item_id, Item.kind, shown.pair_id, shown.left_arm_id,
            shown.right_arm_id, shown.left_response_id, shown.right_response_id, final.preference, final.active_ms,
            shown.created_at, shown.submitted_at, final.recognised_model, final.recognised_guess, final.flagged,
            final.comment, final.skip_reason, final.guideline_version, Item.expected, final.created_at,
        )
        .join(last, last.c.shown == shown.id)
        .join(final, and_(col(final.presentation_id) == last.c.shown, col(final.number) == last.c.number))
        .join(Item, col(Item.id) == col(shown.item_id))
        .where(
            shown.study_id == study.id,
            col(shown.state).in_((PresentationState.SUBMITTED, PresentationState.SKIPPED)),
        )
        .order_by(col(shown.submitted_at), col(shown.id))
    )  # fmt: skip
    for row in session.exec(query.execution_options(yield_per=_BATCH)):
        yield _vote(*row, better or "")


def _vote(*row: Any) -> Vote:
    values = list(row)
    finished = values.pop(-2)
    # Kind and preference come as enums, which the pure rules do not know.
    values[3], values[9] = str(values[3]), str(values[9])
    values[11], values[12] = aware(values[11]), aware(values[12] or finished)
    return Vote(*values)


def lengths_of(session: Session, study_id: str) -> dict[str, int]:
    """Count the code points of every response a study shows, by response id."""
    query = (
        select(Response.id, func.length(Response.text))
        .join(ItemResponse, col(ItemResponse.response_id) == col(Response.id))
        .join(Item, col(Item.id) == col(ItemResponse.item_id))
        .where(Item.study_id == study_id)
    )
    return dict(session.exec(query).all())


def members_of(session: Session, study: Study) -> dict[str, Person]:
    """Load the annotators of a study, by user id, in the order they joined; researchers who judged are among them."""
    passed = set(
        session.exec(
            select(ComprehensionAttempt.user_id).where(
                ComprehensionAttempt.study_id == study.id, ComprehensionAttempt.passed
            )
        )
    )
    judged = select(Presentation.annotator_id).where(Presentation.study_id == study.id)
    query = (
        select(Membership)
        .join(User, col(User.id) == col(Membership.user_id))
        .where(
            Membership.study_id == study.id,
            or_(col(User.role) == Role.ANNOTATOR, col(Membership.user_id).in_(judged)),
        )
        .order_by(col(Membership.joined_at), col(Membership.pid))
    )
    return {
        member.user_id: Person(
            member.pid,
            withdrawn=member.state == MemberState.WITHDRAWN,
            passed=member.user_id in passed if study.comprehension else None,
        )
        for member in session.exec(query)
    }


def active_rules(session: Session, study: Study) -> tuple[Rule, ...]:
    """List the rules that hold now, oldest first, before them the policy of a study that excludes who withdraws."""
    policy = (Rule(WITHDRAWN, {}),) if study.withdrawal == WithdrawalPolicy.EXCLUDE else ()
    stored = session.exec(
        select(Exclusion)
        .where(Exclusion.study_id == study.id, col(Exclusion.revoked_at).is_(None))
        .order_by(col(Exclusion.created_at), col(Exclusion.id))
    )
    return (*policy, *(Rule(one.rule, one.settings, one.id) for one in stored))
