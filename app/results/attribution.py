"""To which instance of a tuning set a hallucinated span was attributed, and what was shown beside it.

Like the queries of judgments this meets what annotators may not know: which instances are decoys.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func
from sqlmodel import Session, col, select

from models import (
    Evidence,
    EvidenceAnswer,
    EvidenceOpening,
    EvidenceVerdict,
    Presentation,
    Revision,
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


def judged_beside(session: Session, item_id: str) -> dict[str, list[Judged]]:
    """Load the instances judged beside every span of an item, by span."""
    query = (
        select(  # type: ignore[call-overload]
            EvidenceAnswer.span_id, Evidence.place, Evidence.is_decoy, TuningInstance.instance_id,
            EvidenceAnswer.verdict,
        )
        .join(EvidenceAnswer, col(EvidenceAnswer.evidence_id) == Evidence.id)
        .join(TuningInstance, _is_instance())
        .join(Presentation, col(Presentation.id) == col(Evidence.presentation_id))
        .where(Presentation.item_id == item_id)
    )  # fmt: skip
    found: dict[str, list[Judged]] = {}
    for span_id, place, decoy, name, said in session.exec(query):
        found.setdefault(span_id, []).append(Judged(place, decoy, name, EvidenceVerdict(said)))
    return found


@dataclass(frozen=True, slots=True)
class Beside:
    """All that was shown beside the spans of one item, and what was said of it."""

    shown: Mapping[str, Sequence[Any]]
    marked: Mapping[tuple[str, Side, int, int], tuple[str, bool]]
    verdicts: Mapping[tuple[str, str], str]

    def rows(self, presentation_id: str, revision_id: str) -> Iterator[tuple[Side, dict[str, Any]]]:
        """Yield the side and the columns of every instance shown in a presentation, left first, by span and place.

        What was said of it comes from the spans of one revision, the judgment.
        """
        for key, side, start, end, place, sha256, instance, decoy, origin, score, opened in self.shown.get(
            presentation_id, ()
        ):
            span_id, none_of_these = self.marked.get((revision_id, side, start, end), ("", False))
            yield (
                side,
                {
                    "start": start,
                    "end": end,
                    "place": place,
                    "tuning_set_sha256": sha256,
                    "instance_id": instance,
                    "is_decoy": decoy,
                    "origin": origin,
                    "score": score,
                    "opened": opened,
                    "marked": bool(span_id),
                    "verdict": self.verdicts.get((span_id, key)),
                    "none_of_these": none_of_these,
                },
            )


def beside(session: Session, item_id: str) -> Beside | None:
    """Load what was shown beside the spans of an item; None where nothing was."""
    shown = _shown(session, item_id)
    if not shown:
        return None
    of_item = (
        select(Span.revision_id, Span.side, Span.start, Span.end, Span.id, Span.no_evidence)  # type: ignore[call-overload]
        .join(Revision, col(Revision.id) == col(Span.revision_id))
        .join(Presentation, col(Presentation.id) == col(Revision.presentation_id))
        .where(Presentation.item_id == item_id)
        .order_by(col(Span.position).desc(), col(Span.id).desc())
    )
    # Of two marks on the same characters the first one speaks: it comes last here.
    marked = {tuple(key): (span_id, none) for *key, span_id, none in session.exec(of_item)}
    answers = (
        select(EvidenceAnswer.span_id, EvidenceAnswer.evidence_id, EvidenceAnswer.verdict)
        .join(Evidence, col(Evidence.id) == col(EvidenceAnswer.evidence_id))
        .join(Presentation, col(Presentation.id) == col(Evidence.presentation_id))
        .where(Presentation.item_id == item_id)
    )
    verdicts = {(span_id, key): str(said) for span_id, key, said in session.exec(answers)}
    return Beside(shown, marked, verdicts)


def _shown(session: Session, item_id: str) -> dict[str, list[Any]]:
    openings = (
        select(func.count())
        .where(col(EvidenceOpening.evidence_id) == Evidence.id)
        .correlate(Evidence)
        .scalar_subquery()
    )
    query = (
        select(  # type: ignore[call-overload]
            Evidence.presentation_id, Evidence.id, Evidence.side, Evidence.start, Evidence.end, Evidence.place,
            TuningSet.sha256, TuningInstance.instance_id, Evidence.is_decoy, Evidence.origin, Evidence.score, openings,
        )
        .join(TuningSet, col(TuningSet.id) == Evidence.set_id)
        .join(TuningInstance, _is_instance())
        .join(Presentation, col(Presentation.id) == col(Evidence.presentation_id))
        .where(Presentation.item_id == item_id)
        .order_by(col(Evidence.side), col(Evidence.start), col(Evidence.end), col(Evidence.place))
    )  # fmt: skip
    found: dict[str, list[Any]] = {}
    for presentation_id, *row in session.exec(query):
        found.setdefault(presentation_id, []).append(row)
    return found


def _is_instance() -> Any:
    return (col(TuningInstance.set_id) == Evidence.set_id) & (col(TuningInstance.position) == Evidence.position)
