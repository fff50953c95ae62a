"""Marked spans and the instances shown beside them, a study at once, as columns for the findings."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import and_, exists
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select

from app.results.attribution import Judged, attribution
from app.results.report.columns import USED, Columns
from app.results.spans import span_shift
from app.results.text_reading import Scored, scored_of
from models import (
    Evidence,
    EvidenceAnswer,
    Item,
    ItemKind,
    Presentation,
    PresentationState,
    Revision,
    RevisionKind,
    Span,
    Study,
    TuningInstance,
)

_FINISHED = (PresentationState.SUBMITTED, PresentationState.SKIPPED)


def span_columns(session: Session, study: Study) -> Columns:
    """Read every span of the judgments that count."""
    judged = _judged(session, study.id)
    scored = scored_of(session, study.id)
    columns: dict[str, list[Any]] = {name: [] for name in USED["hallucinations"]}
    for span, side, shown, left, right in _spans(session, study.id):
        response = left if side == "left" else right
        said = attribution(judged.get(span.id, ()), none_of_these=span.no_evidence)
        values = (shown, side, span.start, span.end, span.type, span.severity.value, said["causal"])
        for column, value in zip(columns.values(), (*values, _shift(scored.get(response), span)), strict=True):
            column.append(value)
    return columns


def shown_columns(session: Session, study: Study) -> Columns:
    """Read every instance shown beside a span that a judgment marks, with the verdict on it."""
    columns: dict[str, list[Any]] = {name: [] for name in USED["evidence"]}
    marked: dict[tuple[str, str, int, int], str] = {}
    # Of two marks on the same characters the first one speaks.
    for span, side, shown, _, _ in sorted(_spans(session, study.id), key=lambda one: -one[0].position):
        marked[shown, side, span.start, span.end] = span.id
    verdicts = _verdicts(session, study.id)
    query = (
        select(  # type: ignore[call-overload]
            Evidence.id, Evidence.presentation_id, Evidence.side, Evidence.start, Evidence.end,
            Evidence.is_decoy,
        )
        .join(Presentation, col(Presentation.id) == col(Evidence.presentation_id))
        .join(Item, col(Item.id) == col(Presentation.item_id))
        .where(
            Presentation.study_id == study.id,
            Item.kind == ItemKind.REGULAR,
            col(Presentation.state).in_(_FINISHED),
        )
    )  # fmt: skip
    for evidence, shown, side, start, end, decoy in session.exec(query):
        span_id = marked.get((shown, side, start, end))
        verdict = verdicts.get((span_id, evidence), "") if span_id else ""
        values = (shown, side, start, end, decoy, span_id is not None, verdict)
        for column, value in zip(columns.values(), values, strict=True):
            column.append(value)
    return columns


def _spans(session: Session, study_id: str) -> Iterator[Any]:
    # Looked up for each span, of which there are few where there are many judgments.
    later = aliased(Revision)
    changed = exists().where(
        col(later.presentation_id) == col(Revision.presentation_id),
        col(later.kind) == RevisionKind.SUBMITTED,
        col(later.number) > col(Revision.number),
    )
    query = (
        select(  # type: ignore[call-overload]
            Span, Span.side, Presentation.id, Presentation.left_response_id,
            Presentation.right_response_id,
        )
        .join(Revision, col(Revision.id) == col(Span.revision_id))
        .join(Presentation, col(Presentation.id) == col(Revision.presentation_id))
        .join(Item, col(Item.id) == col(Presentation.item_id))
        .where(
            Presentation.study_id == study_id,
            Revision.kind == RevisionKind.SUBMITTED,
            Item.kind == ItemKind.REGULAR,
            col(Presentation.state).in_(_FINISHED),
            ~changed,
        )
    )  # fmt: skip
    yield from session.exec(query)


def _judged(session: Session, study_id: str) -> dict[str, list[Judged]]:
    found: dict[str, list[Judged]] = {}
    query = (
        select(  # type: ignore[call-overload]
            EvidenceAnswer.span_id, Evidence.place, Evidence.is_decoy, TuningInstance.instance_id,
            EvidenceAnswer.verdict,
        )
        .join(Evidence, col(Evidence.id) == col(EvidenceAnswer.evidence_id))
        .join(
            TuningInstance,
            and_(col(TuningInstance.set_id) == Evidence.set_id, col(TuningInstance.position) == Evidence.position),
        )
        .join(Presentation, col(Presentation.id) == col(Evidence.presentation_id))
        .where(Presentation.study_id == study_id)
    )  # fmt: skip
    for span_id, place, decoy, name, verdict in session.exec(query):
        found.setdefault(span_id, []).append(Judged(place, decoy, name, verdict))
    return found


def _verdicts(session: Session, study_id: str) -> dict[tuple[str, str], str]:
    query = (
        select(EvidenceAnswer.span_id, EvidenceAnswer.evidence_id, EvidenceAnswer.verdict)
        .join(Evidence, col(Evidence.id) == col(EvidenceAnswer.evidence_id))
        .join(Presentation, col(Presentation.id) == col(Evidence.presentation_id))
        .where(Presentation.study_id == study_id)
    )
    return {(span, evidence): str(verdict) for span, evidence, verdict in session.exec(query)}


def _shift(scored: Scored | None, span: Span) -> dict[str, Any] | None:
    if scored is None:
        return None
    inside = span_shift(scored.lengths, scored.classes, start=span.start, end=span.end)
    return {"reference": scored.reference, **inside}
