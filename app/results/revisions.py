"""The whole history of a study's answers: every revision ever saved, drafts too, of every kind of item."""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlmodel import Session, col, select

from models import Arm, Item, Membership, Presentation, Revision, Span, Study


def revision_rows(session: Session, study: Study) -> Iterator[dict[str, Any]]:
    """Yield every revision, by item, presentation and number; one item's revisions are in memory at a time."""
    arms = dict(session.exec(select(Arm.id, Arm.name).where(Arm.study_id == study.id)).all())
    pids = dict(session.exec(select(Membership.user_id, Membership.pid).where(Membership.study_id == study.id)).all())
    items = session.exec(
        select(Item.id, Item.kind).where(Item.study_id == study.id).order_by(col(Item.position), col(Item.id))
    ).all()
    for item_id, kind in items:
        rows = session.exec(
            select(Presentation, Revision)
            .join(Revision, col(Revision.presentation_id) == col(Presentation.id))
            .where(Presentation.item_id == item_id)
            .order_by(col(Presentation.id), col(Revision.number))
        ).all()
        spans = _spans(session, item_id)
        for shown, revision in rows:
            yield _row(shown, revision, spans.get(revision.id, ())) | {
                "annotator_pid": pids[shown.annotator_id],
                "item_kind": str(kind),
                "model_left": arms[shown.left_arm_id],
                "model_right": arms[shown.right_arm_id],
            }
        # A session keeps what was read together until the garbage collector comes by; an export cannot wait for it.
        for row in {id(one): one for pair in rows for one in pair}.values():
            session.expunge(row)


def _spans(session: Session, item_id: str) -> dict[str, list[dict[str, Any]]]:
    query = (
        select(Span)
        .join(Revision, col(Revision.id) == col(Span.revision_id))
        .join(Presentation, col(Presentation.id) == col(Revision.presentation_id))
        .where(Presentation.item_id == item_id)
        .order_by(col(Span.position), col(Span.id))
    )
    found: dict[str, list[dict[str, Any]]] = {}
    for span in session.exec(query).all():
        # Written out in this order: that of a set would change from one process to the next.
        kept = {
            "side": span.side.value,
            "start": span.start,
            "end": span.end,
            "quote": span.quote,
            "type": span.type,
            "severity": span.severity.value,
            "note": span.note,
        }
        found.setdefault(span.revision_id, []).append(kept)
        session.expunge(span)
    return found


def _row(shown: Presentation, revision: Revision, spans: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        "presentation_id": shown.id,
        "item_id": shown.item_id,
        "state": str(shown.state),
        "revision": revision.number,
        "kind": str(revision.kind),
        "saved_at": revision.created_at,
        "preference": str(revision.preference) if revision.preference else None,
        "strength": revision.strength,
        "ratings": revision.ratings,
        "acceptability": revision.acceptability,
        "spans": list(spans),
        "comment": revision.comment,
        "flagged": revision.flagged,
        "skip_reason": revision.skip_reason,
        "recognised_model": revision.recognised_model,
        "recognised_guess": revision.recognised_guess,
        "reading": revision.reading,
        "edit_reason": revision.edit_reason,
        "active_ms": revision.active_ms,
        "wall_ms": revision.wall_ms,
        "guideline_version": revision.guideline_version,
        "app_version": revision.app_version,
    }
