"""The whole history of a study's answers: every revision ever saved, drafts too, of every kind of item."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import bindparam
from sqlmodel import Session, col, select

from app.cells import known_ms
from models import Arm, Item, Membership, Presentation, Revision, Span, Study

_BATCH = 1_000

_BATCH = 1_000


def revision_rows(session: Session, study: Study) -> Iterator[dict[str, Any]]:
    """Yield every revision, by item, presentation and number; a few are in memory at a time."""
    arms = dict(session.exec(select(Arm.id, Arm.name).where(Arm.study_id == study.id)).all())
    pids = dict(session.exec(select(Membership.user_id, Membership.pid).where(Membership.study_id == study.id)).all())
    items = session.exec(
        select(Item.id, Item.kind).where(Item.study_id == study.id).order_by(col(Item.position), col(Item.id))
    ).all()
    for item_id, kind in items:
        spans = _spans(session, item_id)
        for revision_id, *row in session.execute(_of_items(), {"item_id": item_id}):
            yield _row(arms, pids, row, spans.get(revision_id, ())) | {"item_id": item_id, "item_kind": str(kind)}


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


_COLUMNS = {
    "revision": Revision.number,
    "kind": Revision.kind,
    "saved_at": Revision.created_at,
    "preference": Revision.preference,
    "strength": Revision.strength,
    "ratings": Revision.ratings,
    "acceptability": Revision.acceptability,
    "comment": Revision.comment,
    "flagged": Revision.flagged,
    "skip_reason": Revision.skip_reason,
    "recognised_model": Revision.recognised_model,
    "recognised_guess": Revision.recognised_guess,
    "reading": Revision.reading,
    "edit_reason": Revision.edit_reason,
    "active_ms": Revision.active_ms,
    "wall_ms": Revision.wall_ms,
    "guideline_version": Revision.guideline_version,
    "app_version": Revision.app_version,
}


@cache
def _of_items() -> Any:
    """Select the revisions of the item that is given as `item_id`; compiled once."""
    shown = Presentation
    columns: list[Any] = [
        Revision.id, shown.id, shown.state, shown.annotator_id, shown.left_arm_id, shown.right_arm_id,
        *_COLUMNS.values(),
    ]  # fmt: skip
    return (
        select(*columns)
        .select_from(Presentation)
        .join(Revision, col(Revision.presentation_id) == col(shown.id))
        .where(shown.item_id == bindparam("item_id"))
        .order_by(col(shown.id), col(Revision.number))
        .execution_options(yield_per=_BATCH)
    )


def _row(
    arms: Mapping[str, str], pids: Mapping[str, str], row: Sequence[Any], spans: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    shown, state, annotator, left, right, *values = row
    columns = dict(zip(_COLUMNS, values, strict=True))
    return columns | {
        "presentation_id": shown,
        "annotator_pid": pids[annotator],
        "model_left": arms[left],
        "model_right": arms[right],
        "state": str(state),
        "kind": str(columns["kind"]),
        "preference": str(columns["preference"]) if columns["preference"] else None,
        "spans": list(spans),
        "active_ms": known_ms(columns["active_ms"]),
        "wall_ms": known_ms(columns["wall_ms"]),
    }
