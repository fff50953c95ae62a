"""What of a tuning set was shown beside a judgment's spans, and what was said of it. For researchers' routes alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlmodel import Session, and_, col, func, select

from models import Evidence, EvidenceAnswer, EvidenceOpening, Span, TuningInstance


@dataclass(frozen=True, slots=True)
class ShownInstance:
    """An instance in the order it was shown. `verdict` is empty where none was given; `opened` counts readings whole.

    `name` is the record's own id, empty where the instance is gone.
    """

    set_id: str
    position: int
    name: str
    instruction: str
    is_decoy: bool
    origin: str
    verdict: str
    opened: int


_Place = tuple[str, int, int]


def instances_beside(session: Session, presentation_id: str, spans: Sequence[Span]) -> dict[str, list[ShownInstance]]:
    """List what was shown beside each of these spans of a presentation, by span id."""
    by_place = _shown(session, presentation_id)
    verdicts = _verdicts(session, [span.id for span in spans])
    opened = _opened(session, presentation_id)
    return {
        span.id: [
            ShownInstance(
                set_id=one.set_id,
                position=one.position,
                name=name,
                instruction=instruction,
                is_decoy=one.is_decoy,
                origin=one.origin,
                verdict=verdicts.get((span.id, one.id), ""),
                opened=opened.get(one.id, 0),
            )
            for one, name, instruction in by_place.get((str(span.side), span.start, span.end), ())
        ]
        for span in spans
    }


def _shown(session: Session, presentation_id: str) -> Mapping[_Place, list[tuple[Evidence, str, str]]]:
    query = (
        select(Evidence, TuningInstance.instance_id, func.substr(TuningInstance.instruction, 1, 120))
        .outerjoin(
            TuningInstance,
            and_(
                col(TuningInstance.set_id) == col(Evidence.set_id),
                col(TuningInstance.position) == col(Evidence.position),
            ),
        )
        .where(Evidence.presentation_id == presentation_id)
        .order_by(col(Evidence.place))
    )
    found: dict[_Place, list[tuple[Evidence, str, str]]] = {}
    for one, name, instruction in session.exec(query):
        found.setdefault((str(one.side), one.start, one.end), []).append((one, name or "", instruction or ""))
    return found


def _verdicts(session: Session, span_ids: Sequence[str]) -> dict[tuple[str, str], str]:
    query = select(EvidenceAnswer).where(col(EvidenceAnswer.span_id).in_(span_ids))
    return {(one.span_id, one.evidence_id): one.verdict.value for one in session.exec(query)}


def _opened(session: Session, presentation_id: str) -> dict[str, int]:
    query = (
        select(EvidenceOpening.evidence_id, func.count())
        .join(Evidence, col(Evidence.id) == col(EvidenceOpening.evidence_id))
        .where(Evidence.presentation_id == presentation_id)
        .group_by(col(EvidenceOpening.evidence_id))
    )
    return dict(session.exec(query).all())
