"""What every page of a judgment loads: the annotator's own presentation, its texts by side, and their order so far."""

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlmodel import Session, col, select

from app.errors import NotFoundError
from app.judging.blind import BlindResponse, is_complete
from models import Presentation, PresentationState, Response, Study, User

DONE = (PresentationState.SUBMITTED, PresentationState.SKIPPED)
_NOT_YOURS = "There is nothing at this address, or it is not yours to see."


def own_presentation(session: Session, token: str, annotator: User) -> tuple[Presentation, Study]:
    """Load a presentation leased to this annotator, with its study. Raises NotFoundError for anybody else's."""
    row = session.exec(
        select(Presentation, Study)
        .join(Study, col(Study.id) == col(Presentation.study_id))
        .where(Presentation.id == token, Presentation.annotator_id == annotator.id)
    ).first()
    if row is None:
        raise NotFoundError(_NOT_YOURS)
    return row[0], row[1]


def texts_of(session: Session, presentation: Presentation) -> dict[str, str]:
    """Load the two stored texts by side."""
    return {
        "left": response_of(session, presentation.left_response_id).text,
        "right": response_of(session, presentation.right_response_id).text,
    }


def response_of(session: Session, response_id: str) -> BlindResponse:
    """Load one stored text as an annotator may see it."""
    text, finish = session.exec(select(Response.text, Response.finish).where(Response.id == response_id)).one()
    return BlindResponse(text, is_complete(finish))


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


def aware(moment: datetime) -> datetime:
    """Give a timestamp its zone back."""
    # SQLite gives timestamps back without their zone; all are stored in UTC.
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
