"""How much each response of a study borrowed from a tuning set: measured once, kept, measured anew when stale."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from sqlalchemy import Engine as Database
from sqlalchemy import and_
from sqlmodel import Session, col, func, select

from app.db import reading, writing
from app.engines.open import Engines
from app.errors import ConflictError, NotFoundError
from app.provenance.borrowed import DRAWS, Borrowed, Rate
from app.provenance.index import VERSION, Index
from app.provenance.neighbours import K
from app.provenance.spans import Span
from app.provenance.store import Indexes
from app.provenance.trace import trace as trace_response
from app.provenance.tracing import encoder_of, tokens_of
from app.tokens.store import get_response, traces_of
from models import Arm, BasePrompt, Borrowing, ImportState, Item, ItemResponse, Response, TuningSet

# Raise the first number when a figure would come out otherwise; rows of another method are measured again.
METHOD = f"2.{VERSION}, {K} nearest, {DRAWS} draws"
# Responses stored together: few enough that an interruption costs little.
_AT_ONCE = 10


@dataclass(frozen=True, slots=True)
class Answered:
    """One response of a study: which item it answers, for which arm."""

    item_id: str
    position: int
    arm: str
    checkpoint: str
    response_id: str


def answered(session: Session, study_id: str) -> list[Answered]:
    """List the responses of a study by item and arm."""
    query = (
        select(ItemResponse, Arm, Item.position)
        .join(Arm, col(Arm.id) == ItemResponse.arm_id)
        .join(Item, col(Item.id) == ItemResponse.item_id)
        .where(Item.study_id == study_id)
        .order_by(col(Item.position), col(Arm.name))
    )
    return [
        Answered(link.item_id, position, arm.name, arm.checkpoint, link.response_id)
        for link, arm, position in session.exec(query)
    ]


def rows_of(session: Session, study_id: str, set_id: str) -> dict[tuple[str, str], Borrowing]:
    """Return what is measured by the present method, by response and checkpoint."""
    ours = and_(col(Borrowing.response_id) == ItemResponse.response_id, col(Borrowing.checkpoint) == Arm.checkpoint)
    query = (
        select(Borrowing)
        .join(ItemResponse, col(ItemResponse.response_id) == Borrowing.response_id)
        .join(Arm, col(Arm.id) == ItemResponse.arm_id)
        .where(Arm.study_id == study_id, Borrowing.set_id == set_id, Borrowing.method == METHOD, ours)
    )
    return {(row.response_id, row.checkpoint): row for row in session.exec(query)}


def missing(session: Session, study_id: str, set_id: str) -> list[Answered]:
    """List the responses that are not measured by the present method."""
    have = rows_of(session, study_id, set_id)
    return [one for one in answered(session, study_id) if (one.response_id, one.checkpoint) not in have]


def lengths(session: Session, study_id: str) -> dict[str, int]:
    """Return the length of each response of a study in code points, without loading one."""
    query = (
        select(Response.id, func.length(Response.text))
        .join(ItemResponse, col(ItemResponse.response_id) == Response.id)
        .join(Item, col(Item.id) == ItemResponse.item_id)
        .where(Item.study_id == study_id)
    )
    return dict(session.exec(query).all())


def measure(
    database: Database,
    indexes: Indexes,
    engines: Engines,
    study_id: str,
    set_id: str,
    *,
    on_progress: Callable[[int, int], None],
) -> int:
    """Measure what is missing and return how much that was; each few responses are kept as soon as they are done.

    `on_progress(done, total)` may raise to stop. Raises NotFoundError or ConflictError when the set cannot be searched.
    """
    with reading(database) as session:
        chosen = session.get(TuningSet, set_id)
        if chosen is None:
            raise NotFoundError("There is no such tuning set.", remedy="It may have been deleted.")
        if chosen.state != ImportState.READY:
            raise ConflictError(f"{chosen.name} is not ready to be searched.", remedy="Its page says why.")
        waiting = missing(session, study_id, set_id)
        session.expunge(chosen)
    done = 0
    on_progress(0, len(waiting))
    for some in _batches(waiting):
        with reading(database) as session:
            rows = [
                _measured(session, indexes.opened(chosen, encoder_of(engines, one.checkpoint)), one, set_id)
                for one in some
            ]
        with writing(database) as session:
            if session.get(TuningSet, set_id) is None:
                raise NotFoundError("The tuning set was deleted meanwhile.", remedy="Choose another one.")
            for row in rows:
                session.merge(row)
        done += len(rows)
        on_progress(done, len(waiting))
    return done


def _batches(waiting: Sequence[Answered]) -> Iterator[list[Answered]]:
    rest = iter(waiting)
    while some := list(islice(rest, _AT_ONCE)):
        yield some


def _measured(session: Session, index: Index, one: Answered, set_id: str) -> Borrowing:
    response = get_response(session, one.response_id)
    readings = [trace for trace in traces_of(session, response.id) if trace.checkpoint == one.checkpoint]
    readings.sort(key=lambda trace: trace.base_prompt != BasePrompt.SAME_IDS)
    tokens = tokens_of(response, readings[0] if readings else None)
    traced = trace_response(index, response.text, tokens.ranges)
    return _row(one, set_id, traced.borrowed, traced.spans)


def _row(one: Answered, set_id: str, borrowed: Borrowed, spans: Sequence[Span]) -> Borrowing:
    shifted, content = borrowed.shifted, borrowed.shifted_content
    unshifted, unshifted_content = borrowed.unshifted, borrowed.unshifted_content
    return Borrowing(
        response_id=one.response_id,
        checkpoint=one.checkpoint,
        set_id=set_id,
        method=METHOD,
        shifted=shifted.tokens,
        found=_number(shifted),
        expected=shifted.expected,
        p_value=shifted.p,
        content_shifted=content.tokens,
        content_found=_number(content),
        content_expected=content.expected,
        unshifted=unshifted.tokens,
        unshifted_found=_number(unshifted),
        unshifted_expected=unshifted.expected,
        unshifted_content=unshifted_content.tokens,
        unshifted_content_found=_number(unshifted_content),
        unshifted_content_expected=unshifted_content.expected,
        draws=borrowed.draws,
        neighbours=borrowed.neighbours,
        verbatim_spans=len(spans),
        verbatim_characters=_covered(spans),
        reason=shifted.reason,
    )


def _number(rate: Rate) -> int | None:
    return None if rate.share is None else rate.found


def _covered(spans: Sequence[Span]) -> int:
    """Count the code points in any span; those in two count once."""
    covered, end = 0, 0
    for span in sorted(spans, key=lambda span: span.start):
        covered += max(0, span.end - max(span.start, end))
        end = max(end, span.end)
    return covered
