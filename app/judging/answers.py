"""Saving an answer: append a revision, once per attempt, never over a newer one. The caller's transaction commits."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.metadata import version
from typing import NamedTuple

from sqlalchemy import func, or_
from sqlalchemy import select as columns
from sqlmodel import Session, col, select

from app.errors import ConflictError, InvalidInputError
from app.judging.blind import BlindAnswer
from app.judging.claims import has_place, refuse_absent, renew
from app.judging.forms import SentAnswer
from app.judging.page import latest_answer
from app.judging.queries import Work, aware, own_work, stored_and_shown
from app.judging.rules import (
    AnchoredSpan,
    BadSpanError,
    anchor_spans,
    missing_answers,
    ordered_ratings,
    unasked_answer,
)
from app.judging.verdicts import keep_verdicts, record_verdicts
from app.studies.questions import Questions, read_questions
from models import (
    Preference,
    Presentation,
    PresentationState,
    Revision,
    RevisionKind,
    Severity,
    Side,
    Span,
    Study,
    StudyEvent,
    StudyState,
    User,
)

APP_VERSION = version("tuneshift")

_SHUT = {
    StudyState.DRAFT: "This study has not been opened yet.",
    StudyState.PAUSED: "This study is paused, so nothing can be saved now.",
    StudyState.CLOSED: "This study is closed, so answers can no longer change.",
}


@dataclass(frozen=True, slots=True)
class Saved:
    """A revision that is stored: its number and the moment, UTC; and what it is an answer to."""

    revision: int
    saved_at: datetime
    work: Work


class _Stored(NamedTuple):
    """What an earlier revision is known by."""

    id: str
    number: int
    idempotency_key: str
    kind: RevisionKind
    created_at: datetime


class StaleAnswerError(ConflictError):
    """The answer was made from a revision that is no longer the newest; `current` is, whole."""

    def __init__(self, current: BlindAnswer) -> None:
        """Say which revision came between."""
        super().__init__(
            f"Revision {current.revision} of this answer was saved elsewhere, perhaps in another tab.",
            remedy="Load that one, or keep yours as the newer revision.",
        )
        self.current = current


def save_answer(
    session: Session,
    token: str,
    annotator: User,
    answer: SentAnswer,
    kind: RevisionKind,
    now: datetime,
    *,
    lease: timedelta,
) -> Saved:
    """Store a draft or submitted revision of the annotator's own presentation; a retried attempt is stored once.

    Raises NotFoundError, InvalidInputError (answers nobody asked for, spans that do not fit, answers missing),
    StaleAnswerError, and ConflictError where the study is shut or the place was given to others.
    """
    work = own_work(session, token, annotator)
    presentation, study = work.presentation, work.study
    newest, stored = _before(session, token, answer.idempotency_key)
    if stored is not None:
        return _replayed(stored, kind, work)
    if study.state != StudyState.OPEN:
        raise ConflictError(_SHUT[study.state], remedy="Your work is kept in this browser.")
    refuse_absent(session, presentation)
    if answer.base_revision != (newest.number if newest else 0):
        raise StaleAnswerError(latest_answer(session, presentation))
    questions = read_questions(study.questions)
    spans = _fitting_spans(session, presentation, answer)
    if unasked := unasked_answer(questions, answer.given()):
        raise InvalidInputError(unasked, remedy="Reload the page: the study may have changed.")
    if kind == RevisionKind.SUBMITTED:
        _settle(session, presentation, study, questions, answer, now)
    else:
        renew(session, presentation, study, now, lease=lease)
    revision = _append(session, study, questions, token, answer, kind, now)
    if spans is None:
        _keep_spans(session, newest, revision)
    else:
        _add_spans(session, spans, answer, revision)
    session.flush()
    return Saved(revision.number, now, work)


def note_foreign(session: Session, token: str, user: User, now: datetime) -> None:
    """Note in a study's events that somebody tried to answer another annotator's item; nothing where there is none."""
    presentation = session.get(Presentation, token)
    if presentation is not None:
        detail = "Tried to save an answer to an item that is another annotator's."
        event = StudyEvent(study_id=presentation.study_id, user_id=user.id, action="refused", detail=detail)
        event.created_at = now
        session.add(event)


def _before(session: Session, token: str, key: str) -> tuple[_Stored | None, _Stored | None]:
    """Find the newest revision of an answer, and the one that was stored under a key."""
    newest = select(func.max(Revision.number)).where(Revision.presentation_id == token).scalar_subquery()
    query = columns(*(col(getattr(Revision, name)) for name in _Stored._fields)).where(
        col(Revision.presentation_id) == token,
        or_(col(Revision.idempotency_key) == key, col(Revision.number) == newest),
    )
    rows = [_Stored(*row) for row in session.execute(query.order_by(col(Revision.number).desc()))]
    return next(iter(rows), None), next((row for row in rows if row.idempotency_key == key), None)


def _replayed(stored: _Stored, kind: RevisionKind, work: Work) -> Saved:
    if stored.kind != kind:
        raise ConflictError("This attempt was stored already, as something else. Reload the page.")
    return Saved(stored.number, aware(stored.created_at), work)


def _fitting_spans(session: Session, presentation: Presentation, answer: SentAnswer) -> list[AnchoredSpan] | None:
    if not answer.spans:
        # Most answers mark nothing, and the texts would be read for nothing.
        return None if answer.spans is None else []
    stored, shown = stored_and_shown(session, presentation)
    try:
        return anchor_spans([span.marked() for span in answer.spans], shown, stored)
    except BadSpanError as error:
        raise InvalidInputError(str(error), remedy="Reload the page and mark it again.") from error


def _settle(
    session: Session,
    presentation: Presentation,
    study: Study,
    questions: Questions,
    answer: SentAnswer,
    now: datetime,
) -> None:
    """Give the presentation its final state, or say why it cannot have one."""
    missing = missing_answers(questions, answer.given())
    if missing:
        raise InvalidInputError(f"Still missing: {', '.join(missing)}.")
    if not answer.is_skip and not has_place(session, presentation, study, now):
        raise ConflictError(
            "Your reservation of this item ran out, and others have judged it since. "
            "Your answers are kept as a draft, but they will not be counted.",
            remedy="Please go on with the next item.",
        )
    presentation.state = PresentationState.SKIPPED if answer.is_skip else PresentationState.SUBMITTED
    presentation.submitted_at = presentation.submitted_at or now
    session.add(presentation)


def _append(
    session: Session,
    study: Study,
    questions: Questions,
    token: str,
    answer: SentAnswer,
    kind: RevisionKind,
    now: datetime,
) -> Revision:
    revision = Revision(
        presentation_id=token,
        number=answer.base_revision + 1,
        idempotency_key=answer.idempotency_key,
        kind=kind,
        preference=Preference(answer.preference) if answer.preference else None,
        strength=answer.strength,
        acceptability=answer.acceptable(),
        ratings=ordered_ratings(questions.names, answer.by_side()),
        comment=answer.comment.strip(),
        flagged=answer.flagged,
        skip_reason=answer.skip_reason.strip() if answer.is_skip else "",
        recognised_model=answer.recognised_model,
        recognised_guess=answer.recognised_guess.strip(),
        reading=answer.reading.model_dump(exclude_none=True),
        edit_reason=answer.edit_reason.strip(),
        active_ms=answer.active_ms,
        wall_ms=answer.wall_ms,
        guideline_version=study.guideline_version,
        app_version=APP_VERSION,
        created_at=now,
    )
    session.add(revision)
    session.flush()
    return revision


def _add_spans(session: Session, spans: list[AnchoredSpan], answer: SentAnswer, revision: Revision) -> None:
    for position, (span, sent) in enumerate(zip(spans, answer.spans or (), strict=True), start=1):
        row = Span(
            revision_id=revision.id,
            position=position,
            side=Side(span.side),
            start=span.start,
            end=span.end,
            quote=span.quote,
            prefix=span.prefix,
            suffix=span.suffix,
            type=span.type,
            severity=Severity(span.severity),
            note=span.note.strip(),
        )
        record_verdicts(session, revision.presentation_id, row, sent)


def _keep_spans(session: Session, newest: _Stored | None, revision: Revision) -> None:
    if newest is None:
        return
    query = select(Span).where(Span.revision_id == newest.id).order_by(col(Span.position))
    for span in session.exec(query).all():
        again = Span(**span.model_dump(exclude={"id", "revision_id"}), revision_id=revision.id)
        keep_verdicts(session, span.id, again)
