"""What every page of a judgment loads: the annotator's own presentation, its texts by side, and their order so far."""

from collections.abc import Sequence
from datetime import UTC, datetime
from statistics import median

from sqlalchemy import func
from sqlmodel import Session, col, select

from app.errors import NotFoundError
from app.judging.blind import BlindResponse, is_complete, masked
from app.judging.markup import styles_of
from models import (
    Item,
    ItemKind,
    LeakDecision,
    LeakFlag,
    Presentation,
    PresentationState,
    Response,
    Revision,
    RevisionKind,
    Study,
    User,
)

DONE = (PresentationState.SUBMITTED, PresentationState.SKIPPED)
NOT_YOURS = "There is nothing at this address, or it is not yours to see."


def own_presentation(session: Session, token: str, annotator: User) -> tuple[Presentation, Study]:
    """Load a presentation leased to this annotator, with its study. Raises NotFoundError for anybody else's."""
    row = session.exec(
        select(Presentation, Study)
        .join(Study, col(Study.id) == col(Presentation.study_id))
        .where(Presentation.id == token, Presentation.annotator_id == annotator.id)
    ).first()
    if row is None:
        raise NotFoundError(NOT_YOURS)
    return row[0], row[1]


def texts_of(session: Session, presentation: Presentation) -> dict[str, str]:
    """Load the two stored texts by side, nothing hidden in them; they are for comparing with, not for showing."""
    return {side: _stored(session, response_id)[0] for side, response_id in _sides(presentation)}


def shown_responses(session: Session, presentation: Presentation) -> dict[str, BlindResponse]:
    """Load the two responses by side as their annotator sees them, by the same steps whatever they hold."""
    return {
        side: shown_response(session, presentation.study_id, response_id) for side, response_id in _sides(presentation)
    }


def shown_texts(session: Session, presentation: Presentation) -> dict[str, str]:
    """Load the two texts by side as their annotator sees them, without their looks, which take longer to find."""
    study_id = presentation.study_id
    return {side: _masked(session, study_id, response_id)[0] for side, response_id in _sides(presentation)}


def _sides(presentation: Presentation) -> tuple[tuple[str, str], tuple[str, str]]:
    return ("left", presentation.left_response_id), ("right", presentation.right_response_id)


def shown_response(session: Session, study_id: str, response_id: str) -> BlindResponse:
    """Load one response of a study as an annotator sees it, redacted characters masked."""
    text, finish = _masked(session, study_id, response_id)
    return BlindResponse(text, is_complete(finish), styles_of(text))


def _masked(session: Session, study_id: str, response_id: str) -> tuple[str, str]:
    text, finish = _stored(session, response_id)
    hidden = session.exec(
        select(LeakFlag.start, LeakFlag.end, LeakFlag.decision)
        .where(
            LeakFlag.study_id == study_id,
            LeakFlag.response_id == response_id,
            col(LeakFlag.decision).in_((LeakDecision.REDACT, LeakDecision.EXCLUDE)),
        )
        .order_by(col(LeakFlag.start), col(LeakFlag.end))
    ).all()
    # A response that was taken out after somebody had it in hand is hidden whole.
    ranges = [(0, len(text)) if decision == LeakDecision.EXCLUDE else (start, end) for start, end, decision in hidden]
    return masked(text, ranges), finish


def _stored(session: Session, response_id: str) -> tuple[str, str]:
    return session.exec(select(Response.text, Response.finish).where(Response.id == response_id)).one()


def done_tokens(session: Session, study_id: str, annotator_id: str) -> Sequence[str]:
    """List the tokens of what an annotator has done in a study, in the order they did it."""
    return session.exec(
        select(Presentation.id)
        .where(
            Presentation.study_id == study_id,
            Presentation.annotator_id == annotator_id,
            col(Presentation.state).in_(DONE),
        )
        .order_by(col(Presentation.submitted_at), col(Presentation.id))
    ).all()


def pace_ms(session: Session, study_id: str, annotator_id: str) -> int:
    """The median active time of an annotator's own judgments in a study, practice left out; 0 where none is known."""
    final = (
        select(Revision.presentation_id, func.max(Revision.number).label("number"))
        .join(Presentation, col(Presentation.id) == col(Revision.presentation_id))
        .join(Item, col(Item.id) == col(Presentation.item_id))
        .where(
            Presentation.study_id == study_id,
            Presentation.annotator_id == annotator_id,
            Presentation.state == PresentationState.SUBMITTED,
            Revision.kind == RevisionKind.SUBMITTED,
            Item.kind != ItemKind.PRACTICE,
        )
        .group_by(col(Revision.presentation_id))
        .subquery()
    )
    times = session.exec(
        select(Revision.active_ms)
        .join(
            final,
            (col(Revision.presentation_id) == final.c.presentation_id) & (col(Revision.number) == final.c.number),
        )
        # A form sent without scripts tells no time.
        .where(Revision.active_ms > 0)
    ).all()
    return int(median(times)) if times else 0


def aware(moment: datetime) -> datetime:
    """Give a timestamp its zone back."""
    # SQLite gives timestamps back without their zone; all are stored in UTC.
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
