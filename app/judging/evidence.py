"""Instances beside marked spans, in the database: drawn once per span, shown as stored, opened, and judged.

An annotator is sent `BlindInstance`, which has no field for what tells a decoy from a retrieved instance.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func
from sqlmodel import Session, col, select

from app.errors import ConflictError, InvalidInputError, NotFoundError
from app.judging.blind import BlindInstance
from app.judging.evidence_draw import DrawKey, Placed
from app.judging.evidence_forms import AskedSpan, read_span
from app.judging.queries import NOT_YOURS, own_presentation, shown_responses
from app.studies.questions import EvidenceQuestion, read_questions
from models import (
    Evidence,
    EvidenceAnswer,
    EvidenceOpening,
    EvidenceVerdict,
    Presentation,
    PresentationState,
    Revision,
    Side,
    Span,
    StudyState,
    TuningInstance,
    User,
)

# Each passage costs a search and shows a part of the tuning set; nobody marks so many in two responses.
MAX_SPANS = 60
MAX_OPENINGS = 200


@dataclass(frozen=True, slots=True)
class WantedSpan:
    """A span instances are asked for, with all that a draw needs: its text is `text[key.start:key.end]`.

    `before` is what was shown for other spans of the presentation, as position -> is it a decoy.
    """

    key: DrawKey
    text: str
    question: EvidenceQuestion
    before: dict[int, bool]
    open: bool

    @property
    def wanted(self) -> int:
        """How many instances stand beside a span."""
        return self.question.k + self.question.decoys


def wanted_span(session: Session, token: str, annotator: User, body: bytes) -> WantedSpan:
    """Read what the page asks for a presentation of the annotator's own.

    Raises NotFoundError for anybody else's, for one whose lease ran out and where the study shows no instances, and
    InvalidInputError for a span that does not lie in the response.
    """
    presentation, study = own_presentation(session, token, annotator)
    question = read_questions(study.questions).evidence
    if question is None or presentation.state == PresentationState.EXPIRED:
        raise NotFoundError(NOT_YOURS)
    asked = read_span(body)
    # What a redaction hides is hidden from the search too.
    text = shown_responses(session, presentation)[asked.side].text
    if not 0 <= asked.start < asked.end <= len(text):
        raise InvalidInputError(
            f"There are no characters {asked.start} to {asked.end} in that response.",
            remedy=f"It has {len(text)}. Reload the page and mark the passage again.",
        )
    key = DrawKey(study.seed, token, asked.side, asked.start, asked.end)
    return WantedSpan(key, text, question, _before(session, token, asked), study.state == StudyState.OPEN)


def _before(session: Session, token: str, asked: AskedSpan) -> dict[int, bool]:
    rows = session.exec(
        select(Evidence).where(Evidence.presentation_id == token).order_by(col(Evidence.is_decoy).desc())
    )
    # Retrieved for one span and a decoy of another: retrieved has the last word.
    return {
        row.position: row.is_decoy
        for row in rows
        if (row.side, row.start, row.end) != (asked.side, asked.start, asked.end)
    }


def refuse_more_spans(session: Session, wanted: WantedSpan) -> None:
    """Raise ConflictError where nothing new may be shown: the study is shut, or there are too many spans already."""
    if not wanted.open:
        raise ConflictError("This study is not open now, so no instances are looked up.")
    spans = select(Evidence.side, Evidence.start, Evidence.end).where(
        Evidence.presentation_id == wanted.key.presentation_id
    )
    if session.exec(select(func.count()).select_from(spans.distinct().subquery())).one() >= MAX_SPANS:
        raise ConflictError(
            f"Instances were looked up for {MAX_SPANS} passages of this item, which is the most.",
            remedy="The passage can be marked without them.",
        )


def store_placed(session: Session, wanted: WantedSpan, placed: Iterable[Placed], now: datetime) -> None:
    """Keep what is shown for a span; where another tab was first, what it was shown stays."""
    key = wanted.key
    session.exec(select(Presentation.id).where(Presentation.id == key.presentation_id).with_for_update()).one()
    if _rows(session, key):
        return
    refuse_more_spans(session, wanted)
    session.add_all(
        Evidence(
            presentation_id=key.presentation_id,
            side=Side(key.side),
            start=key.start,
            end=key.end,
            place=one.place,
            set_id=wanted.question.set_id,
            position=one.position,
            is_decoy=one.is_decoy,
            origin=one.origin,
            score=one.score,
            created_at=now,
        )
        for one in placed
    )
    session.flush()


def shown_instances(session: Session, key: DrawKey) -> tuple[BlindInstance, ...]:
    """Load what was stored for a span as an annotator may see it, in order; empty where nothing was yet."""
    given = _newest_verdicts(session, key)
    return tuple(
        BlindInstance(row.id, row.place, instruction, answer, given.get(row.id, ""))
        for row, instruction, answer in _rows(session, key)
    )


def _rows(session: Session, key: DrawKey) -> Sequence[tuple[Evidence, str, str]]:
    return session.exec(
        select(Evidence, TuningInstance.instruction, TuningInstance.answer)
        .join(
            TuningInstance,
            (col(TuningInstance.set_id) == Evidence.set_id) & (col(TuningInstance.position) == Evidence.position),
        )
        .where(
            Evidence.presentation_id == key.presentation_id,
            Evidence.side == key.side,
            Evidence.start == key.start,
            Evidence.end == key.end,
        )
        .order_by(col(Evidence.place))
    ).all()


def _newest_verdicts(session: Session, key: DrawKey) -> dict[str, str]:
    newest = (
        select(Revision.id)
        .where(Revision.presentation_id == key.presentation_id)
        .order_by(col(Revision.number).desc())
        .limit(1)
    )
    query = (
        select(EvidenceAnswer.evidence_id, EvidenceAnswer.verdict)
        .join(Span, col(Span.id) == EvidenceAnswer.span_id)
        .where(col(Span.revision_id).in_(newest), Span.side == key.side, Span.start == key.start, Span.end == key.end)
    )
    return {evidence_id: EvidenceVerdict(verdict).value for evidence_id, verdict in session.exec(query)}


def log_opening(session: Session, token: str, evidence_id: str, annotator: User, now: datetime) -> None:
    """Write down that an instance was opened. Raises NotFoundError unless it was shown to this annotator here.

    Nothing is written once the study is shut, nor when it was opened 200 times already.
    """
    presentation, study = own_presentation(session, token, annotator)
    row = session.get(Evidence, evidence_id)
    if row is None or row.presentation_id != token or presentation.state == PresentationState.EXPIRED:
        raise NotFoundError(NOT_YOURS)
    query = select(func.count()).select_from(EvidenceOpening).where(EvidenceOpening.evidence_id == evidence_id)
    if study.state == StudyState.OPEN and session.exec(query).one() < MAX_OPENINGS:
        session.add(EvidenceOpening(evidence_id=evidence_id, opened_at=now))
        session.flush()
