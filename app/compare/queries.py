"""Comparisons in the database: added before they run, kept column by column, read back without any model."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import accumulate, pairwise
from typing import cast

from sqlmodel import Session, col, select, update

from app.compare.answers import Answer
from app.compare.plan import Plan
from app.engines.protocol import Scores
from app.errors import NotFoundError
from app.shift.packing import pack, unpack, unpack_names
from app.shift.summary import summarise
from app.shift.trace import KlKind
from models import Comparison, ComparisonColumn, Response, RunState, Trace, User
from models.base import now

INTERRUPTED = "The server stopped before this answer ended."
_UNFINISHED = (RunState.PENDING, RunState.RUNNING)
_FINISH = {RunState.STOPPED: "stopped", RunState.FAILED: "failed", RunState.INTERRUPTED: "failed"}


@dataclass(frozen=True, slots=True)
class Stored:
    """A comparison as the database has it."""

    id: str
    prompt: str
    base_prompt: str
    decoding: dict[str, object]
    state: RunState
    created_by: str
    created_at: datetime
    answers: tuple[Answer, ...]


def add_comparison(session: Session, comparison_id: str, plan: Plan, *, user: User) -> None:
    """Add a comparison about to run, with its columns."""
    session.add(
        Comparison(
            id=comparison_id,
            prompt=plan.prompt,
            base_prompt=plan.base_prompt,
            decoding=asdict(plan.decoding),
            state=RunState.RUNNING,
            created_by=user.id,
        )
    )
    session.flush()
    for position, column in enumerate(plan.columns):
        session.add(
            ComparisonColumn(
                comparison_id=comparison_id,
                position=position,
                checkpoint=column.checkpoint.name,
                reference=column.checkpoint.base,
                state=RunState.RUNNING,
            )
        )


def store_answer(session: Session, comparison_id: str, plan: Plan, answer: Answer, scores: Scores | None) -> None:
    """Keep one ended column: its response, its trace as far as it is known, and how it ended."""
    column = session.get_one(ComparisonColumn, (comparison_id, answer.position))
    column.state, column.message = answer.state, answer.message
    if answer.ids:
        column.response_id = store_response(session, plan, answer, scores).id
    session.add(column)


def store_response(session: Session, plan: Plan, answer: Answer, scores: Scores | None) -> Response:
    """Keep what a column answered, with its trace as far as it is known."""
    response = _response(plan, answer)
    session.add(response)
    session.flush()
    if scores is not None:
        session.add(_trace(response.id, answer, scores))
    return response


def finish_comparison(session: Session, comparison_id: str, state: RunState) -> None:
    """Say how a comparison ended as a whole."""
    comparison = session.get_one(Comparison, comparison_id)
    comparison.state, comparison.finished_at = state, now()
    session.add(comparison)


def interrupt_unfinished(session: Session) -> int:
    """Mark whatever an earlier process left running as interrupted, in words; returns how many comparisons."""
    session.execute(
        update(ComparisonColumn)
        .where(col(ComparisonColumn.state).in_(_UNFINISHED))
        .values(state=RunState.INTERRUPTED, message=INTERRUPTED)
    )
    left = session.exec(select(Comparison).where(col(Comparison.state).in_(_UNFINISHED))).all()
    for comparison in left:
        finish_comparison(session, comparison.id, RunState.INTERRUPTED)
    return len(left)


def load(session: Session, comparison_id: str) -> Stored:
    """Read a comparison with everything it holds. Raises NotFoundError."""
    comparison = session.get(Comparison, comparison_id)
    if comparison is None:
        raise NotFoundError("There is no such comparison.", remedy="Check the link, or start a new one on Explore.")
    return Stored(
        id=comparison.id,
        prompt=comparison.prompt,
        base_prompt=comparison.base_prompt.value,
        decoding=comparison.decoding,
        state=comparison.state,
        created_by=comparison.created_by,
        created_at=comparison.created_at,
        answers=tuple(_answers(session, comparison_id)),
    )


def load_answer(session: Session, comparison_id: str, position: int) -> Answer:
    """Read one column of a comparison. Raises NotFoundError."""
    found = next(_answers(session, comparison_id, position), None)
    if found is None:
        raise NotFoundError(f"There is no column {position} in this comparison.", remedy="Check the link.")
    return found


def state_of(session: Session, comparison_id: str) -> RunState:
    """Read only how a comparison stands. Raises NotFoundError."""
    state: RunState | None = session.exec(select(col(Comparison.state)).where(Comparison.id == comparison_id)).first()
    if state is None:
        raise NotFoundError("There is no such comparison.", remedy="Check the link, or start a new one on Explore.")
    return state


def recent(session: Session, user: User, *, limit: int = 12) -> list[Comparison]:
    """List a person's latest comparisons, newest first."""
    mine = select(Comparison).where(Comparison.created_by == user.id)
    return list(session.exec(mine.order_by(col(Comparison.created_at).desc()).limit(limit)).all())


def _response(plan: Plan, answer: Answer) -> Response:
    text = answer.text
    return Response(
        checkpoint=answer.checkpoint,
        prompt=plan.prompt,
        prompt_ids=list(plan.columns[answer.position].prompt_ids),
        text=text,
        text_sha256=hashlib.sha256(text.encode()).hexdigest(),
        token_ids=list(answer.ids),
        finish=answer.finish or _FINISH[answer.state],
        # Where one token's text ends and the next begins, so that a replay needs no tokenizer.
        run=answer.run | {"text_lengths": [len(text) for text in answer.texts]},
    )


def _trace(response_id: str, answer: Answer, scores: Scores) -> Trace:
    summary = summarise(scores.tokens)
    shown = {token for shift in scores.tokens for token, _ in (*shift.top_base, *shift.top_tuned)}
    names = {token: raw for token in sorted(shown | set(answer.ids)) if (raw := answer.name(token)) is not None}
    return Trace(
        response_id=response_id,
        reference=answer.reference,
        kl_kind=scores.kl_kind,
        dtype=scores.dtype,
        border_width=scores.border_width,
        n=summary.n,
        unshifted=summary.unshifted,
        marginal=summary.marginal,
        shifted=summary.shifted,
        mean_kl_tuned_base=summary.mean_kl_tuned_base,
        mean_kl_base_tuned=summary.mean_kl_base_tuned,
        tokens=pack(scores.tokens, names),
    )


def _answers(session: Session, comparison_id: str, position: int | None = None) -> Iterator[Answer]:
    rows = (
        select(ComparisonColumn, Response, Trace)
        .join(Response, col(ComparisonColumn.response_id) == col(Response.id), isouter=True)
        .join(
            Trace,
            (col(Trace.response_id) == col(Response.id)) & (col(Trace.reference) == col(ComparisonColumn.reference)),
            isouter=True,
        )
        .where(ComparisonColumn.comparison_id == comparison_id)
        .order_by(col(ComparisonColumn.position))
    )
    if position is not None:
        rows = rows.where(ComparisonColumn.position == position)
    for column, response, trace in session.exec(rows):
        yield _answer(column, response, trace)


def _answer(column: ComparisonColumn, response: Response | None, trace: Trace | None) -> Answer:
    shifts = unpack(trace.tokens) if trace else ()
    ids = tuple(response.token_ids) if response else ()
    return Answer(
        position=column.position,
        checkpoint=column.checkpoint,
        role=str(response.run.get("role", "")) if response else "",
        reference=column.reference,
        state=column.state,
        name=_names(trace),
        message=column.message,
        finish=response.finish if response else "",
        ids=ids,
        texts=_texts(response) if response else (),
        shifts=(*shifts, *[None] * (len(ids) - len(shifts))),
        kl_kind=cast("KlKind", trace.kl_kind) if trace else "lower_bound",
        run=response.run if response else {},
    )


def _names(trace: Trace | None) -> Callable[[int], bytes | None]:
    names = unpack_names(trace.tokens) if trace else {}
    return names.get


def _texts(response: Response) -> tuple[str, ...]:
    lengths: list[int] = response.run["text_lengths"]
    return tuple(response.text[start:end] for start, end in pairwise(accumulate(lengths, initial=0)))
