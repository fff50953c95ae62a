"""A fork as its pages show it: where it left the original, what each branch came to, and the tree of them all."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.compare.plan import Fork
from app.compare.tree import Counts, Node, Tree
from app.shift.branching import Continuation
from app.tokens.answer import Answer
from app.tokens.spelling import drawn, visible
from app.tokens.store import texts_of
from app.tokens.verdict import VerdictView, has_ended, verdict_view
from app.tokens.view import ColumnView, TokenView
from models import Response, RunState

GIVEN, FORK_POINT = "given", "fork-point"
SHOWN = 100
UNKNOWN = "an unknown model"
_ENDED = "stop"


@dataclass(frozen=True, slots=True)
class ForkView:
    """Where a fork left its original: token `at` (from 1), `old` replaced by `new`."""

    response_id: str
    checkpoint: str
    at: int
    old: str
    new: str
    window: int
    token_id: int


@dataclass(frozen=True, slots=True)
class NodeView:
    """One response of a tree; what concerns its fork is None or empty at the root."""

    id: str
    checkpoint: str
    current: bool
    at: int
    old: str
    new: str
    start: str
    n: int
    counts: Counts | None
    verdict: VerdictView | None
    branches: tuple["NodeView", ...]


@dataclass(frozen=True, slots=True)
class TreeView:
    """A whole tree; `count` is how many branches it has."""

    root: NodeView
    count: int
    left_out: bool


def fork_view(fork: Fork, original: Answer, answers: Sequence[Answer], *, window: int) -> ForkView:
    """Show where a fork left its original; any of the answers may know the name of the token that was chosen."""
    names = (raw for answer in answers if (raw := answer.name(fork.token_id)) is not None)
    return ForkView(
        response_id=fork.of,
        checkpoint=original.checkpoint or UNKNOWN,
        at=fork.index + 1,
        old=_word(original.texts[fork.index], original.ids[fork.index]),
        new=visible(next(names, None), fork.token_id),
        window=window,
        token_id=fork.token_id,
    )


def mark_column(view: ColumnView, answer: Answer, fork: Fork | None, *, window: int) -> ColumnView:
    """Mark in a column what was given and where it forks; of a branch that has ended, say what became of it.

    The response that was left has its own words: nothing runs in it.
    """
    if fork is None:
        return view
    view = replace(view, tokens=mark_tokens(view.tokens, fork))
    if answer.response_id == fork.of:
        return replace(view, words=f"the original · {view.words}")
    return replace(view, verdict=_verdict_of(answer, fork, window))


def mark_tokens(tokens: tuple[TokenView, ...], fork: Fork | None) -> tuple[TokenView, ...]:
    """Dim the tokens two answers share and mark the one where they part."""
    return tokens if fork is None else tuple(_marked(token, fork.index) for token in tokens)


def _marked(token: TokenView, index: int) -> TokenView:
    if token.index > index:
        return token
    return replace(token, css=f"{token.css} {FORK_POINT if token.index == index else GIVEN}")


def _verdict_of(answer: Answer, fork: Fork, window: int) -> VerdictView | None:
    if answer.state in {RunState.PENDING, RunState.RUNNING} or len(answer.ids) <= fork.index:
        return None
    return verdict_view(
        Continuation(fork.rest[1:], fork.ended),
        Continuation(answer.ids[fork.index + 1 :], answer.finish == _ENDED),
        index=fork.index,
        window=window,
    )


def tree_view(tree: Tree, *, window: int) -> TreeView:
    """Show a tree, every branch judged against the response it left."""
    root = _node_view(tree.root, None, tree.current, window)
    return TreeView(root, _count(tree.root), tree.left_out)


def _node_view(node: Node, parent: Response | None, current: str, window: int) -> NodeView:
    response, index = node.response, node.response.fork_index
    branches = tuple(_node_view(branch, response, current, window) for branch in node.branches)
    view = NodeView(
        id=response.id,
        checkpoint=response.checkpoint or UNKNOWN,
        current=response.id == current,
        at=0,
        old="",
        new="",
        start=_opening(response.text),
        n=len(response.token_ids),
        counts=node.counts,
        verdict=None,
        branches=branches,
    )
    if parent is None or index is None:
        return view
    return replace(
        view,
        at=index + 1,
        old=_word(texts_of(parent)[index], parent.token_ids[index]),
        new=_word(texts_of(response)[index], response.token_ids[index]),
        start=_opening("".join(texts_of(response)[index:])),
        verdict=verdict_view(_after(parent, index), _after(response, index), index=index, window=window),
    )


def _after(response: Response, index: int) -> Continuation:
    return Continuation(tuple(response.token_ids[index + 1 :]), has_ended(response))


def _word(text: str, token_id: int) -> str:
    return drawn(text) or f"id {token_id}"


def _opening(text: str) -> str:
    return _one_line(text[:SHOWN]) + ("…" if len(text) > SHOWN else "")


def _one_line(text: str) -> str:
    return "".join(char if char == " " else drawn(char) for char in text)


def _count(node: Node) -> int:
    return sum(1 + _count(branch) for branch in node.branches)
