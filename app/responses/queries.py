"""A stored response with its readings, where it belongs, and what is added to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import or_
from sqlalchemy.orm import defer
from sqlmodel import Session, col, select

from app.tokens.store import NamesIds, Reading, add_response, add_trace, get_response
from models import (
    Arm,
    BasePrompt,
    ComparisonColumn,
    Item,
    ItemResponse,
    Membership,
    Origin,
    Response,
    Role,
    Study,
    Trace,
    User,
)

MAX_PLACES = 6


@dataclass(frozen=True, slots=True)
class Place:
    """A page that holds the response."""

    words: str
    url: str


@dataclass(frozen=True, slots=True)
class Stored:
    """A response, its readings oldest first (their tokens load when asked for), and where it stands."""

    response: Response
    traces: tuple[Trace, ...]
    places: tuple[Place, ...]
    author: str


def load(session: Session, response_id: str, user: User) -> Stored:
    """Read a response with everything that is said of it. Raises NotFoundError."""
    response = get_response(session, response_id)
    traces = select(Trace).where(Trace.response_id == response_id).order_by(col(Trace.created_at), col(Trace.id))
    author = session.get(User, response.created_by) if response.created_by else None
    return Stored(
        response=response,
        traces=tuple(session.exec(traces.options(defer(Trace.tokens)))),  # type: ignore[arg-type]
        places=(*_comparisons(session, response), *_studies(session, response, user)),
        author=author.name if author else "",
    )


def find_trace(
    session: Session, response_id: str, checkpoint: str, base_prompt: BasePrompt, *, reference: str | None = None
) -> Trace | None:
    """Return how a checkpoint read a response against a reference that read `base_prompt`, if it has."""
    traces = select(Trace).where(
        Trace.response_id == response_id, Trace.checkpoint == checkpoint, Trace.base_prompt == base_prompt
    )
    if reference is not None:
        traces = traces.where(Trace.reference == reference)
    return session.exec(traces.order_by(col(Trace.created_at))).first()


def add_pasted(
    session: Session,
    *,
    prompt: str,
    prompt_ids: Sequence[int],
    ids: Sequence[int],
    texts: Sequence[str],
    run: Mapping[str, Any],
    user: User,
) -> Response:
    """Keep a text somebody pasted, as the ids it became: from now on they are the response."""
    return add_response(
        session,
        checkpoint="",
        prompt=prompt,
        prompt_ids=prompt_ids,
        ids=ids,
        texts=texts,
        finish="given",
        run=run,
        origin=Origin.PASTED,
        created_by=user.id,
    )


def add_reading(session: Session, response_id: str, reading: Reading, name: NamesIds) -> None:
    """Keep a reading, unless somebody else was first with the same one."""
    known = find_trace(session, response_id, reading.checkpoint, reading.base_prompt, reference=reading.reference)
    if known is None:
        add_trace(session, get_response(session, response_id), reading, name)


def _comparisons(session: Session, response: Response) -> list[Place]:
    columns = select(ComparisonColumn).where(ComparisonColumn.response_id == response.id).limit(MAX_PLACES)
    places = [Place("the comparison", f"/explore/{column.comparison_id}") for column in session.exec(columns)]
    if response.parent_id is not None:
        token = "" if response.fork_index is None else f", branched at token {response.fork_index + 1}"
        places.append(Place(f"the response it goes on from{token}", f"/responses/{response.parent_id}"))
    return places


def _studies(session: Session, response: Response, user: User) -> list[Place]:
    """Name the studies a response is judged in, as far as this person may see them."""
    rows = (
        select(Study.id, Study.name, Item.position, Arm.name)
        .join(Item, col(Item.study_id) == col(Study.id))
        .join(ItemResponse, col(ItemResponse.item_id) == col(Item.id))
        .join(Arm, col(Arm.id) == col(ItemResponse.arm_id))
        .where(ItemResponse.response_id == response.id)
        .limit(MAX_PLACES)
    )
    if user.role != Role.OWNER:
        member_of = select(Membership.study_id).where(Membership.user_id == user.id)
        rows = rows.where(or_(col(Study.created_by) == user.id, col(Study.id).in_(member_of)))
    return [
        Place(f"item {position} of {study}, arm {arm}", f"/studies/{study_id}")
        for study_id, study, position, arm in session.exec(rows)
    ]
