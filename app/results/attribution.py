"""To which instance of a tuning set a hallucinated span was attributed, and what was shown beside it.

Like the queries of judgments this meets what annotators may not know: which instances are decoys.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func
from sqlmodel import Session, col, select

from models import (
    Evidence,
    EvidenceAnswer,
    EvidenceOpening,
    EvidenceVerdict,
    Side,
    Span,
    TuningInstance,
    TuningSet,
)


@dataclass(frozen=True, slots=True)
class Judged:
    """An instance that stood beside a span, and the verdict on it."""

    place: int
    is_decoy: bool
    instance_id: str
    verdict: EvidenceVerdict


def attribution(judged: Sequence[Judged], *, none_of_these: bool) -> dict[str, Any]:
    """Return the three columns of a span: causal, and the instance it was attributed to.

    Of several judged borrowed the first one shown is named, retrieved ones before decoys.
    """
    if not judged and not none_of_these:
        return {"causal": None, "evidence_instance_id": None, "evidence_is_decoy": None}
    borrowed = [one for one in judged if one.verdict == EvidenceVerdict.BORROWED]
    first = min(borrowed, key=lambda one: (one.is_decoy, one.place), default=None)
    return {
        "causal": first is not None and not first.is_decoy,
        "evidence_instance_id": first.instance_id if first else None,
        "evidence_is_decoy": first.is_decoy if first else None,
    }


def judged_beside(session: Session, span: Span) -> list[Judged]:
    """Load the instances judged beside a span."""
    query = (
        select(Evidence.place, Evidence.is_decoy, TuningInstance.instance_id, EvidenceAnswer.verdict)
        .join(EvidenceAnswer, col(EvidenceAnswer.evidence_id) == Evidence.id)
        .join(TuningInstance, _is_instance())
        .where(EvidenceAnswer.span_id == span.id)
    )
    return [Judged(place, decoy, name, EvidenceVerdict(said)) for place, decoy, name, said in session.exec(query)]


def evidence_rows(session: Session, presentation_id: str, revision_id: str) -> Iterator[tuple[Side, dict[str, Any]]]:
    """Yield the side and the columns of every instance shown in a presentation, left before right, by span and place.

    What was said of it comes from the spans of one revision, the judgment.
    """
    spans = session.exec(select(Span).where(Span.revision_id == revision_id).order_by(col(Span.position).desc())).all()
    # Of two marks on the same characters the first one speaks.
    marked = {(span.side, span.start, span.end): span for span in spans}
    verdicts = {
        (answer.span_id, answer.evidence_id): answer.verdict.value
        for answer in session.exec(
            select(EvidenceAnswer).where(col(EvidenceAnswer.span_id).in_([span.id for span in spans]))
        )
    }
    openings = (
        select(func.count())
        .where(col(EvidenceOpening.evidence_id) == Evidence.id)
        .correlate(Evidence)
        .scalar_subquery()
    )
    query = (
        select(Evidence, TuningSet.sha256, TuningInstance.instance_id, openings)
        .join(TuningSet, col(TuningSet.id) == Evidence.set_id)
        .join(TuningInstance, _is_instance())
        .where(Evidence.presentation_id == presentation_id)
        .order_by(col(Evidence.side), col(Evidence.start), col(Evidence.end), col(Evidence.place))
    )
    for row, sha256, instance_id, opened in session.exec(query).all():
        # An export reads millions; the session must not keep them.
        session.expunge(row)
        span = marked.get((row.side, row.start, row.end))
        yield (
            row.side,
            {
                "start": row.start,
                "end": row.end,
                "place": row.place,
                "tuning_set_sha256": sha256,
                "instance_id": instance_id,
                "is_decoy": row.is_decoy,
                "origin": row.origin,
                "score": row.score,
                "opened": opened,
                "marked": span is not None,
                "verdict": verdicts.get((span.id, row.id)) if span else None,
                "none_of_these": bool(span and span.no_evidence),
            },
        )


def _is_instance() -> Any:
    return (col(TuningInstance.set_id) == Evidence.set_id) & (col(TuningInstance.position) == Evidence.position)
