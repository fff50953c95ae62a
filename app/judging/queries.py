"""What every page of a judgment loads: the annotator's own presentation, its texts by side, and their order so far."""

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from statistics import median
from typing import NamedTuple

from sqlalchemy import and_, func
from sqlmodel import Session, col, select

from app.errors import NotFoundError
from app.judging.blind import BlindResponse, is_complete, masked
from app.judging.markup import styles_of
from models import (
    Item,
    ItemKind,
    LeakDecision,
    LeakFlag,
    Membership,
    Presentation,
    PresentationState,
    Response,
    Revision,
    RevisionKind,
    Study,
    User,
)

DONE = (PresentationState.SUBMITTED, PresentationState.SKIPPED)
NOT_YOURS = "There is nothing at this address, or it is not yours to see."


def own_presentation(session: Session, token: str, annotator: User) -> tuple[Presentation, Study]:
    """Load a presentation leased to this annotator, with its study. Raises NotFoundError for anybody else's."""
    row = session.exec(
        select(Presentation, Study)
        .join(Study, col(Study.id) == col(Presentation.study_id))
        .where(Presentation.id == token, Presentation.annotator_id == annotator.id)
    ).first()
    if row is None:
        raise NotFoundError(NOT_YOURS)
    return row[0], row[1]


class Work(NamedTuple):
    """What an annotator answers: their presentation, its study, their membership there, and the item's kind."""

    presentation: Presentation
    study: Study
    member: Membership
    kind: ItemKind


def own_work(session: Session, token: str, annotator: User) -> Work:
    """Load all that saving an answer looks at. Raises NotFoundError for anybody else's."""
    mine = and_(
        col(Membership.study_id) == col(Presentation.study_id),
        col(Membership.user_id) == col(Presentation.annotator_id),
    )
    row = session.exec(
        select(Presentation, Study, Membership, Item.kind)
        .join(Study, col(Study.id) == col(Presentation.study_id))
        .join(Membership, mine)
        .join(Item, col(Item.id) == col(Presentation.item_id))
        .where(Presentation.id == token, Presentation.annotator_id == annotator.id)
    ).first()
    if row is None:
        raise NotFoundError(NOT_YOURS)
    return Work(row[0], row[1], row[2], ItemKind(row[3]))


class _Text(NamedTuple):
    """A response's text as it is stored and as an annotator sees it, redacted characters masked."""

    stored: str
    shown: str
    finish: str


def stored_and_shown(session: Session, presentation: Presentation) -> tuple[dict[str, str], dict[str, str]]:
    """Load the two texts by side: as stored, which is for comparing with, and as their annotator sees them."""
    found = _texts(session, presentation.study_id, _sides(presentation).values())
    stored = {side: found[response_id].stored for side, response_id in _sides(presentation).items()}
    return stored, {side: found[response_id].shown for side, response_id in _sides(presentation).items()}


def shown_responses(session: Session, presentation: Presentation) -> dict[str, BlindResponse]:
    """Load the two responses by side as their annotator sees them, by the same steps whatever they hold."""
    found = _texts(session, presentation.study_id, _sides(presentation).values())
    return {side: _blind(found[response_id]) for side, response_id in _sides(presentation).items()}


def shown_texts(session: Session, presentation: Presentation) -> dict[str, str]:
    """Load the two texts by side as their annotator sees them, without their looks, which take longer to find."""
    return stored_and_shown(session, presentation)[1]


def _sides(presentation: Presentation) -> dict[str, str]:
    return {"left": presentation.left_response_id, "right": presentation.right_response_id}


def shown_response(session: Session, study_id: str, response_id: str) -> BlindResponse:
    """Load one response of a study as an annotator sees it, redacted characters masked."""
    return _blind(_texts(session, study_id, [response_id])[response_id])


def _blind(text: _Text) -> BlindResponse:
    return BlindResponse(text.shown, is_complete(text.finish), styles_of(text.shown))


def _texts(session: Session, study_id: str, response_ids: Collection[str]) -> dict[str, _Text]:
    hidden: dict[str, list[tuple[int, int, str]]] = {response_id: [] for response_id in response_ids}
    flags = session.exec(
        select(LeakFlag.response_id, LeakFlag.start, LeakFlag.end, LeakFlag.decision)
        .where(
            LeakFlag.study_id == study_id,
            col(LeakFlag.response_id).in_(hidden),
            col(LeakFlag.decision).in_((LeakDecision.REDACT, LeakDecision.EXCLUDE)),
        )
        .order_by(col(LeakFlag.start), col(LeakFlag.end))
    )
    for response_id, start, end, decision in flags:
        hidden[response_id].append((start, end, decision))
    stored = session.exec(select(Response.id, Response.text, Response.finish).where(col(Response.id).in_(hidden)))
    return {
        response_id: _Text(text, masked(text, _ranges(text, hidden[response_id])), finish)
        for response_id, text, finish in stored
    }


def _ranges(text: str, hidden: Iterable[tuple[int, int, str]]) -> list[tuple[int, int]]:
    # A response that was taken out after somebody had it in hand is hidden whole.
    return [(0, len(text)) if decision == LeakDecision.EXCLUDE else (start, end) for start, end, decision in hidden]


def done_tokens(session: Session, study_id: str, annotator_id: str) -> Sequence[str]:
    """List the tokens of what an annotator has done in a study, in the order they did it."""
    done = session.exec(
        select(Presentation.id, Presentation.submitted_at).where(
            Presentation.study_id == study_id,
            Presentation.annotator_id == annotator_id,
            col(Presentation.state).in_(DONE),
        )
    ).all()
    # Put in order here: asked to, SQLite would go through what everybody submitted, which is in that order already.
    at = {token: aware(moment).timestamp() if moment else 0.0 for token, moment in done}
    return sorted(at, key=lambda token: (at[token], token))


def pace_ms(session: Session, study_id: str, annotator_id: str) -> int:
    """The median active time of an annotator's own judgments in a study, practice left out; 0 where none is known."""
    final = (
        select(Revision.presentation_id, func.max(Revision.number).label("number"))
        .join(Presentation, col(Presentation.id) == col(Revision.presentation_id))
        .join(Item, col(Item.id) == col(Presentation.item_id))
        .where(
            Presentation.study_id == study_id,
            Presentation.annotator_id == annotator_id,
            Presentation.state == PresentationState.SUBMITTED,
            Revision.kind == RevisionKind.SUBMITTED,
            Item.kind != ItemKind.PRACTICE,
        )
        .group_by(col(Revision.presentation_id))
        .subquery()
    )
    times = session.exec(
        select(Revision.active_ms)
        .join(
            final,
            (col(Revision.presentation_id) == final.c.presentation_id) & (col(Revision.number) == final.c.number),
        )
        # A form sent without scripts tells no time.
        .where(Revision.active_ms > 0)
    ).all()
    return int(median(times)) if times else 0


def aware(moment: datetime) -> datetime:
    """Give a timestamp its zone back."""
    # SQLite gives timestamps back without their zone; all are stored in UTC.
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
