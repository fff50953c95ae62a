"""Loading a judging page by side alone: nothing here touches an arm, so nothing of one can be sent."""

from collections.abc import Sequence
from datetime import datetime

from sqlmodel import Session, col, select

from app.judging.blind import (
    BlindAnswer,
    BlindDimension,
    BlindItem,
    BlindQuestions,
    BlindSpan,
    BlindVerdict,
    outbox_name,
)
from app.judging.desk import work_left
from app.judging.queries import DONE, aware, done_tokens, own_presentation, pace_ms, shown_responses, shown_texts
from app.judging.verdicts import verdicts_of
from app.studies.questions import Questions, read_questions
from models import (
    Item,
    ItemKind,
    Membership,
    Presentation,
    PresentationState,
    Revision,
    RevisionKind,
    Span,
    Study,
    StudyState,
    User,
)


def blind_item(session: Session, token: str, annotator: User, now: datetime, *, secret: str) -> BlindItem:
    """Load all that the judging page of `token` may show. Raises NotFoundError for anybody else's."""
    presentation, study = own_presentation(session, token, annotator)
    item = session.get_one(Item, presentation.item_id)
    shown = shown_responses(session, presentation)
    done = done_tokens(session, study.id, annotator.id)
    submitted = presentation.state in DONE
    at = done.index(token) if submitted else len(done)
    return BlindItem(
        token=token,
        study=study.name,
        study_id=study.id,
        prompt=item.prompt,
        left=shown["left"],
        right=shown["right"],
        questions=blind_questions(read_questions(study.questions)),
        guidelines=study.guidelines,
        guideline_version=study.guideline_version,
        guideline_changed=_guideline_changed(session, study, annotator),
        position=at + 1,
        total=len(done) + work_left(session, study, annotator, now),
        practice=item.kind == ItemKind.PRACTICE,
        submitted=submitted,
        open=study.state == StudyState.OPEN,
        previous=done[at - 1] if at else "",
        next=done[at + 1] if at + 1 < len(done) else "",
        answer=latest_answer(session, presentation),
        outbox=outbox_name(secret, user_id=annotator.id, token=token),
        pace_ms=pace_ms(session, study.id, annotator.id),
        shortcuts=dict(annotator.shortcuts),
        lease_s=_seconds_left(presentation, now),
    )


def blind_questions(questions: Questions) -> BlindQuestions:
    """Leave out of a study's questions which tuning set instances come from, and how many of them are decoys."""
    return BlindQuestions(
        dimensions=tuple(BlindDimension(one.name, one.title, one.anchors) for one in questions.dimensions),
        strength=questions.strength,
        acceptability=questions.acceptability,
        spans=questions.spans,
        evidence=questions.evidence is not None,
        recognised=questions.recognised,
    )


def _guideline_changed(session: Session, study: Study, annotator: User) -> bool:
    """Tell whether the guidelines are newer than those the annotator last read or judged by."""
    member = session.get(Membership, (study.id, annotator.id))
    seen = member.guideline_seen if member else 0
    if study.guideline_version in {1, seen}:
        # Nobody can have known others.
        return False
    judged_by = session.exec(
        select(Revision.guideline_version)
        .join(Presentation, col(Presentation.id) == col(Revision.presentation_id))
        .where(
            Presentation.study_id == study.id,
            Presentation.annotator_id == annotator.id,
            Revision.kind == RevisionKind.SUBMITTED,
        )
        .order_by(col(Revision.guideline_version).desc())
        .limit(1)
    ).first()
    known = max(seen, judged_by or 0)
    return 0 < known < study.guideline_version


def _seconds_left(presentation: Presentation, now: datetime) -> int:
    if presentation.state != PresentationState.LEASED:
        return 0
    return max(0, int((aware(presentation.leased_until) - now).total_seconds()))


def latest_answer(session: Session, presentation: Presentation) -> BlindAnswer:
    """Load the newest revision of an answer, draft or submitted; an empty one where nothing is saved."""
    query = select(Revision).where(Revision.presentation_id == presentation.id)
    revision = session.exec(query.order_by(col(Revision.number).desc()).limit(1)).first()
    if revision is None:
        return BlindAnswer()
    return BlindAnswer(
        revision=revision.number,
        saved_at=aware(revision.created_at).isoformat(timespec="milliseconds"),
        preference=revision.preference.value if revision.preference else "",
        strength=revision.strength,
        acceptability=revision.acceptability,
        ratings=revision.ratings,
        spans=_blind_spans(session, presentation, revision),
        comment=revision.comment,
        flagged=revision.flagged,
        skip_reason=revision.skip_reason,
        recognised_model=revision.recognised_model,
        recognised_guess=revision.recognised_guess,
        reading=revision.reading,
        edit_reason=revision.edit_reason,
        active_ms=revision.active_ms,
        wall_ms=revision.wall_ms,
    )


def _blind_spans(session: Session, presentation: Presentation, revision: Revision) -> tuple[BlindSpan, ...]:
    """Quote spans from what the annotator is shown: the stored quote may hold what was hidden since."""
    spans = session.exec(select(Span).where(Span.revision_id == revision.id).order_by(col(Span.position))).all()
    if not spans:
        return ()
    shown = shown_texts(session, presentation)
    verdicts = verdicts_of(session, [span.id for span in spans])
    return tuple(_blind_span(span, shown[span.side], verdicts.get(span.id, ())) for span in spans)


def _blind_span(span: Span, shown: str, evidence: Sequence[BlindVerdict]) -> BlindSpan:
    return BlindSpan(
        side=span.side.value,
        start=span.start,
        end=span.end,
        quote=shown[span.start : span.end],
        type=span.type,
        severity=span.severity.value,
        note=span.note,
        evidence=tuple(evidence),
        no_evidence=span.no_evidence,
    )
