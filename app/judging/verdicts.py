"""What annotators say of the instances beside their spans: stored with a span, taken over with it, loaded again."""

from collections.abc import Sequence

from sqlmodel import Session, col, select

from app.errors import InvalidInputError
from app.judging.blind import BlindVerdict
from app.judging.forms import SentSpan
from models import Evidence, EvidenceAnswer, EvidenceVerdict, Span


def record_verdicts(session: Session, presentation_id: str, span_row: Span, sent: SentSpan) -> None:
    """Store a new span together with what was said of the instances beside it.

    `span_row` must not be in the database yet: it is written here, once. Raises InvalidInputError naming the span for
    an instance that was not shown beside it, one judged twice, and answers that contradict each other.
    """
    judged = {one.id: one.verdict for one in sent.evidence}
    if len(judged) != len(sent.evidence):
        raise InvalidInputError(f"Span {span_row.position}: one of its instances is judged twice.")
    if sent.no_evidence and EvidenceVerdict.BORROWED in judged.values():
        raise InvalidInputError(f"Span {span_row.position}: an instance is judged borrowed, and so is none of them.")
    shown = _ids_beside(session, presentation_id, span_row) if judged or sent.no_evidence else frozenset()
    if judged.keys() - shown or (sent.no_evidence and not shown):
        raise InvalidInputError(
            f"Span {span_row.position}: an answer is about an instance that was not shown beside it.",
            remedy="Open the passage again and judge the instances that are there.",
        )
    span_row.no_evidence = sent.no_evidence
    session.add(span_row)
    # The span first: verdicts refer to it, and nothing else tells the order to the database.
    session.flush()
    session.add_all(
        EvidenceAnswer(span_id=span_row.id, evidence_id=evidence_id, verdict=EvidenceVerdict(verdict))
        for evidence_id, verdict in judged.items()
    )


def _ids_beside(session: Session, presentation_id: str, span: Span) -> frozenset[str]:
    query = select(Evidence.id).where(
        Evidence.presentation_id == presentation_id,
        Evidence.side == span.side,
        Evidence.start == span.start,
        Evidence.end == span.end,
    )
    return frozenset(session.exec(query))


def keep_verdicts(session: Session, old_span_id: str, span_row: Span) -> None:
    """Store a span that a new revision takes over, with the verdicts it had."""
    session.add(span_row)
    session.flush()
    answers = session.exec(select(EvidenceAnswer).where(EvidenceAnswer.span_id == old_span_id)).all()
    session.add_all(
        EvidenceAnswer(span_id=span_row.id, evidence_id=one.evidence_id, verdict=one.verdict) for one in answers
    )


def verdicts_of(session: Session, span_ids: Sequence[str]) -> dict[str, tuple[BlindVerdict, ...]]:
    """Load the verdicts given beside spans, by span, in the order the instances were shown."""
    query = (
        select(EvidenceAnswer)
        .join(Evidence, col(Evidence.id) == EvidenceAnswer.evidence_id)
        .where(col(EvidenceAnswer.span_id).in_(span_ids))
        .order_by(col(Evidence.place))
    )
    found: dict[str, list[BlindVerdict]] = {}
    for answer in session.exec(query):
        found.setdefault(answer.span_id, []).append(BlindVerdict(answer.evidence_id, answer.verdict.value))
    return {span_id: tuple(verdicts) for span_id, verdicts in found.items()}
