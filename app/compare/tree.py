"""The tree of a response: the one nobody forked it from, and every branch of it and of its branches."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlmodel import Session, col, select

from app.tokens.store import get_response
from models import Response, Trace

MAX_BRANCHES = 500
# Pages nest as deep as the tree, and no page can be nested without end.
MAX_ABOVE = 20
MAX_LEVELS = 40


@dataclass(frozen=True, slots=True)
class Counts:
    """How many tokens of a response are of each class, as its own checkpoint read it."""

    n: int
    unshifted: int
    marginal: int
    shifted: int


@dataclass(frozen=True, slots=True)
class Node:
    """A response and its branches, by fork index, then oldest first. `counts` is None where it has no reading."""

    response: Response
    counts: Counts | None
    branches: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Tree:
    """A whole tree; `current` is the response that was asked for. `left_out`: there is more, above or below."""

    root: Node
    current: str
    left_out: bool


def load_tree(session: Session, response_id: str) -> Tree:
    """Load the tree a response belongs to, without unpacking any trace. Raises NotFoundError."""
    root, more_above = _root(session, get_response(session, response_id))
    found, more_below = _descendants(session, root)
    counts = _counts(session, [root, *found])
    children: dict[str, list[Response]] = {}
    for response in found:
        children.setdefault(response.parent_id or "", []).append(response)
    # Children come after their parents in `found`, so building from the end finds every branch ready.
    nodes: dict[str, Node] = {}
    for response in [*reversed(found), root]:
        own = tuple(nodes[child.id] for child in _ordered(children.get(response.id, ())))
        nodes[response.id] = Node(response, counts.get(response.id), own)
    return Tree(nodes[root.id], response_id, more_above or more_below)


def _ordered(responses: Sequence[Response]) -> list[Response]:
    return sorted(responses, key=lambda one: (one.fork_index or 0, one.created_at, one.checkpoint))


def _root(session: Session, response: Response) -> tuple[Response, bool]:
    """Climb to the response nobody forked this one from; True where that is too far up."""
    for _ in range(MAX_ABOVE):
        if response.parent_id is None:
            return response, False
        response = get_response(session, response.parent_id)
    return response, response.parent_id is not None


def _descendants(session: Session, root: Response) -> tuple[list[Response], bool]:
    """List everything below, level by level, parents first; True where there is more."""
    found: list[Response] = []
    level = [root.id]
    for _ in range(MAX_LEVELS):
        below = select(Response).where(col(Response.parent_id).in_(level))
        rows = session.exec(below.order_by(col(Response.created_at), col(Response.id)).limit(MAX_BRANCHES + 1))
        level = []
        for row in rows:
            found.append(row)
            level.append(row.id)
        if not level or len(found) > MAX_BRANCHES:
            break
    return found[:MAX_BRANCHES], len(found) > MAX_BRANCHES or bool(level)


def _counts(session: Session, responses: Sequence[Response]) -> dict[str, Counts]:
    wanted = {response.id: response.checkpoint for response in responses}
    columns = (Trace.response_id, Trace.checkpoint, Trace.n, Trace.unshifted, Trace.marginal, Trace.shifted)
    rows = select(*columns).where(col(Trace.response_id).in_(wanted)).order_by(col(Trace.created_at).desc())  # type: ignore[call-overload]
    # Oldest last, so that a response shows the reading it was stored with.
    return {
        response_id: Counts(n, unshifted, marginal, shifted)
        for response_id, checkpoint, n, unshifted, marginal, shifted in session.exec(rows)
        if wanted[response_id] == checkpoint
    }
