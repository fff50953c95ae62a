"""Comparisons in the database: added before they run, kept column by column, read back without any model."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime

from sqlmodel import Session, col, select, update

from app.compare.plan import Fork, Plan
from app.engines.protocol import Scores
from app.errors import NotFoundError
from app.tokens.answer import Answer
from app.tokens.store import Reading, add_response, add_trace, answer_of, get_response, traces_of
from app.tokens.verdict import has_ended
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
    fork: Fork | None = None


def add_comparison(session: Session, comparison_id: str, plan: Plan, *, user: User) -> None:
    """Add a comparison about to run, with its columns."""
    session.add(
        Comparison(
            id=comparison_id,
            prompt=plan.prompt,
            base_prompt=plan.base_prompt,
            decoding=asdict(plan.decoding),
            state=RunState.RUNNING,
            fork_of=plan.fork.of if plan.fork else None,
            fork_index=plan.fork.index if plan.fork else None,
            fork_token_id=plan.fork.token_id if plan.fork else None,
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


def store_answer(session: Session, comparison_id: str, plan: Plan, answer: Answer, scores: Scores | None) -> str | None:
    """Keep one ended column: its response, its trace as far as it is known, how it ended; returns the response's id."""
    column = session.get_one(ComparisonColumn, (comparison_id, answer.position))
    column.state, column.message = answer.state, answer.message
    # A branch that ended before its first own token says nothing that its parent does not.
    if len(answer.ids) > answer.prefix:
        column.response_id = store_response(session, plan, answer, scores).id
    session.add(column)
    return column.response_id


def store_response(session: Session, plan: Plan, answer: Answer, scores: Scores | None) -> Response:
    """Keep what a column answered, with its trace as far as it is known."""
    column = plan.columns[answer.position]
    response = add_response(
        session,
        checkpoint=answer.checkpoint,
        prompt=plan.prompt,
        prompt_ids=column.prompt_ids,
        ids=answer.ids,
        texts=answer.texts,
        finish=answer.finish or _FINISH[answer.state],
        run=answer.run,
        parent_id=plan.fork.of if plan.fork else None,
        fork_index=plan.fork.index if plan.fork else None,
    )
    if scores is not None:
        reading = Reading(
            checkpoint=answer.checkpoint,
            reference=answer.reference,
            base_prompt=plan.base_prompt,
            prompt_ids=column.prompt_ids,
            reference_prompt_ids=column.reference_prompt_ids,
            scores=scores,
        )
        add_trace(session, response, reading, answer.name)
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
        fork=_fork(session, comparison),
    )


def _fork(session: Session, comparison: Comparison) -> Fork | None:
    if comparison.fork_of is None or comparison.fork_index is None or comparison.fork_token_id is None:
        return None
    original = get_response(session, comparison.fork_of)
    return fork_of(original, comparison.fork_index, comparison.fork_token_id)


def fork_of(original: Response, index: int, token_id: int) -> Fork:
    """Describe leaving a response at token `index`, which exists, for `token_id`."""
    return Fork(
        of=original.id,
        index=index,
        token_id=token_id,
        rest=tuple(original.token_ids[index:]),
        ended=has_ended(original),
    )


def load_original(session: Session, stored: Stored, *, index: int | None = None) -> Answer | None:
    """Read the response a fork left, placed after its columns; None for a comparison that is no fork.

    It is shown as its own checkpoint read it, against a base that saw what it sees in the branches if there is such.
    """
    if stored.fork is None:
        return None
    response = get_response(session, stored.fork.of)
    wanted = (response.checkpoint, stored.base_prompt)
    traces = sorted(
        traces_of(session, response.id),
        key=lambda trace: (trace.checkpoint != wanted[0], trace.base_prompt != wanted[1]),
    )
    return answer_of(response, next(iter(traces), None), position=len(stored.answers), index=index)


def load_answer(session: Session, comparison_id: str, position: int, *, index: int | None = None) -> Answer:
    """Read one column of a comparison, with an `index` only that token's shift. Raises NotFoundError.

    After the last column stands the response that a fork left.
    """
    found = next(_answers(session, comparison_id, position, index), None)
    if found is None:
        stored = load(session, comparison_id)
        found = load_original(session, stored, index=index) if position == len(stored.answers) else None
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


def _answers(
    session: Session, comparison_id: str, position: int | None = None, index: int | None = None
) -> Iterator[Answer]:
    rows = (
        select(ComparisonColumn, Response, Trace)
        .join(Comparison, col(Comparison.id) == col(ComparisonColumn.comparison_id))
        .join(Response, col(ComparisonColumn.response_id) == col(Response.id), isouter=True)
        .join(
            Trace,
            (col(Trace.response_id) == col(Response.id))
            & (col(Trace.checkpoint) == col(ComparisonColumn.checkpoint))
            & (col(Trace.reference) == col(ComparisonColumn.reference))
            & (col(Trace.base_prompt) == col(Comparison.base_prompt)),
            isouter=True,
        )
        .where(ComparisonColumn.comparison_id == comparison_id)
        .order_by(col(ComparisonColumn.position))
    )
    if position is not None:
        rows = rows.where(ComparisonColumn.position == position)
    for column, response, trace in session.exec(rows):
        yield _answer(column, response, trace, index)


def _answer(column: ComparisonColumn, response: Response | None, trace: Trace | None, index: int | None) -> Answer:
    if response is None:
        return Answer(
            position=column.position,
            checkpoint=column.checkpoint,
            role="",
            reference=column.reference,
            state=column.state,
            name=_nameless,
            message=column.message,
        )
    return replace(
        answer_of(response, trace, position=column.position, index=index),
        reference=column.reference,
        state=column.state,
        message=column.message,
    )


def _nameless(_token: int) -> bytes | None:
    return None
