"""Marked spans and the instances shown beside them, a study at once, as columns for the findings."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import String, and_, exists, func, type_coerce
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

_AT_ONCE = 5_000
_FINISHED = (PresentationState.SUBMITTED, PresentationState.SKIPPED)


def marked_columns(session: Session, study: Study) -> tuple[Columns, Columns]:
    """Read every span of the judgments that count, and every instance shown beside one, with the verdict on it."""
    judged = _judged(session, study.id)
    scored = scored_of(session, study.id)
    spans: dict[str, list[Any]] = {name: [] for name in USED["hallucinations"]}
    marked: dict[tuple[str, str, int, int], tuple[int, str]] = {}
    verdicts = _verdicts(session, study.id)
    for one in _spans(session, study.id):
        span_id, position, side, start, end, kind, severity, no_evidence, shown, left, right = one
        said = attribution(judged.get(span_id, ()), none_of_these=no_evidence)
        shift = _shift(scored.get(left if side == "left" else right), start, end)
        _append(spans, shown, side, start, end, kind, severity, said["causal"], shift)
        # Of two marks on the same characters the first one speaks.
        mark = (position, span_id)
        marked[shown, side, start, end] = min(mark, marked.get((shown, side, start, end), mark))
    evidence: dict[str, list[Any]] = {name: [] for name in USED["evidence"]}
    for evidence_id, shown, side, start, end, decoy in session.execute(_evidence_query(study.id)):
        span_id = marked.get((shown, side, start, end), (0, ""))[1]
        verdict = verdicts.get((span_id, evidence_id), "") if span_id else ""
        _append(evidence, shown, side, start, end, decoy, bool(span_id), verdict)
    return spans, evidence


def _append(columns: dict[str, list[Any]], *values: Any) -> None:
    for column, value in zip(columns.values(), values, strict=True):
        column.append(value)


def _evidence_query(study_id: str) -> Any:
    return (
        select(  # type: ignore[call-overload]
            Evidence.id, Evidence.presentation_id, type_coerce(Evidence.side, String), Evidence.start, Evidence.end,
            Evidence.is_decoy,
        )
        .join(Presentation, col(Presentation.id) == col(Evidence.presentation_id))
        .join(Item, col(Item.id) == col(Presentation.item_id))
        .where(
            Presentation.study_id == study_id,
            Item.kind == ItemKind.REGULAR,
            col(Presentation.state).in_(_FINISHED),
        )
        .execution_options(yield_per=_AT_ONCE)
    )  # fmt: skip


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
            Span.id, Span.position, type_coerce(Span.side, String), Span.start, Span.end, Span.type,
            type_coerce(Span.severity, String), Span.no_evidence, Presentation.id, Presentation.left_response_id,
            Presentation.right_response_id,
        )
        .join(Revision, col(Revision.id) == col(Span.revision_id))
        .join(Presentation, col(Presentation.id) == col(Revision.presentation_id))
        .join(Item, col(Item.id) == col(Presentation.item_id))
        .where(
            # As an expression, so that spans are read first and not the many judgments of the study.
            func.coalesce(Presentation.study_id, "") == study_id,
            Revision.kind == RevisionKind.SUBMITTED,
            Item.kind == ItemKind.REGULAR,
            col(Presentation.state).in_(_FINISHED),
            ~changed,
        )
        .execution_options(yield_per=_AT_ONCE)
    )  # fmt: skip
    yield from session.execute(query)


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


def _shift(scored: Scored | None, start: int, end: int) -> dict[str, Any] | None:
    if scored is None:
        return None
    inside = span_shift(scored.lengths, scored.classes, start=start, end=end)
    return {"reference": scored.reference, **inside}
