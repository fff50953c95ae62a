"""The marked spans of an item, read at once, and how far tuning had shifted the tokens under them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlmodel import Session, col, select

from app.results.spans import span_shift
from app.shift.classes import ShiftClass, classify
from app.shift.packing import open_packed
from models import Presentation, Response, Revision, Severity, Side, Span, Trace


class Marked(NamedTuple):
    """A span of a revision, as it is stored."""

    id: str
    side: Side
    start: int
    end: int
    quote: str
    prefix: str
    suffix: str
    type: str
    severity: Severity
    note: str
    no_evidence: bool


def marks_of(session: Session, item_id: str) -> dict[str, list[Marked]]:
    """Load the spans of every revision of an item, by revision, in their order."""
    query = (
        select(  # type: ignore[call-overload]
            Span.revision_id, Span.id, Span.side, Span.start, Span.end, Span.quote, Span.prefix, Span.suffix,
            Span.type, Span.severity, Span.note, Span.no_evidence,
        )
        .join(Revision, col(Revision.id) == col(Span.revision_id))
        .join(Presentation, col(Presentation.id) == col(Revision.presentation_id))
        .where(Presentation.item_id == item_id)
        .order_by(col(Span.position), col(Span.id))
    )  # fmt: skip
    found: dict[str, list[Marked]] = {}
    for revision_id, *span in session.exec(query):
        found.setdefault(revision_id, []).append(Marked(*span))
    return found


class Shifts:
    """The shift classes of responses, unpacked once however many spans lie in them; made anew for every item."""

    def __init__(self, session: Session) -> None:
        """Start with none."""
        self._session = session
        self._known: dict[str, tuple[str, Sequence[int], Sequence[ShiftClass]] | None] = {}

    def of(self, response_id: str, *, start: int, end: int) -> dict[str, Any] | None:
        """Count the classes under `[start, end)`; None where the response was imported or never scored."""
        if response_id not in self._known:
            self._known[response_id] = self._load(response_id)
        known = self._known[response_id]
        if known is None:
            return None
        reference, lengths, classes = known
        return {"reference": reference, **span_shift(lengths, classes, start=start, end=end)}

    def _load(self, response_id: str) -> tuple[str, Sequence[int], Sequence[ShiftClass]] | None:
        query = (
            select(Response.run, Trace.reference, Trace.tokens)
            .join(Trace, col(Trace.response_id) == col(Response.id))
            .where(Response.id == response_id, col(Trace.checkpoint) == col(Response.checkpoint))
            .order_by(Trace.reference, Trace.base_prompt)
        )
        row = self._session.exec(query).first()
        if row is None or "text_lengths" not in row[0]:
            return None
        run, reference, tokens = row
        return (
            reference,
            run["text_lengths"],
            [classify(rank) for rank in open_packed(tokens).columns["base_rank"].tolist()],
        )
