"""Loading a judging page by side alone: nothing here touches an arm, so nothing of one can be sent."""

from datetime import datetime

from sqlmodel import Session, col, select

from app.judging.blind import BlindAnswer, BlindItem, BlindSpan, outbox_name
from app.judging.desk import desk
from app.judging.queries import DONE, aware, done_tokens, own_presentation, response_of
from models import Item, Revision, Span, StudyState, User


def blind_item(session: Session, token: str, annotator: User, now: datetime, *, secret: str) -> BlindItem:
    """Load all that the judging page of `token` may show. Raises NotFoundError for anybody else's."""
    presentation, study = own_presentation(session, token, annotator)
    done = done_tokens(session, study.id, annotator.id)
    submitted = presentation.state in DONE
    at = done.index(token) if submitted else len(done)
    return BlindItem(
        token=token,
        study=study.name,
        prompt=session.get_one(Item, presentation.item_id).prompt,
        left=response_of(session, presentation.left_response_id),
        right=response_of(session, presentation.right_response_id),
        guidelines=study.guidelines,
        guideline_version=study.guideline_version,
        position=at + 1,
        total=desk(session, study, annotator, now).total,
        submitted=submitted,
        open=study.state == StudyState.OPEN,
        previous=done[at - 1] if at else "",
        next=done[at + 1] if at + 1 < len(done) else "",
        answer=latest_answer(session, token),
        outbox=outbox_name(secret, user_id=annotator.id, token=token),
    )


def latest_answer(session: Session, token: str) -> BlindAnswer:
    """Load the newest revision of an answer, draft or submitted; an empty one where nothing is saved."""
    revision = session.exec(
        select(Revision).where(Revision.presentation_id == token).order_by(col(Revision.number).desc()).limit(1)
    ).first()
    if revision is None:
        return BlindAnswer()
    spans = session.exec(select(Span).where(Span.revision_id == revision.id).order_by(col(Span.position))).all()
    return BlindAnswer(
        revision=revision.number,
        saved_at=aware(revision.created_at).isoformat(timespec="milliseconds"),
        preference=revision.preference.value if revision.preference else "",
        ratings=revision.ratings,
        spans=tuple(BlindSpan(s.side.value, s.start, s.end, s.quote, s.type, s.severity.value, s.note) for s in spans),
        comment=revision.comment,
        flagged=revision.flagged,
        skip_reason=revision.skip_reason,
        recognised_model=revision.recognised_model,
        active_ms=revision.active_ms,
        wall_ms=revision.wall_ms,
    )
