"""Responses by their aggregates: all values for the histogram, then one page by keyset. No trace is ever unpacked."""

from bisect import bisect_right
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, Subquery, and_, func, or_, true
from sqlmodel import Session, col, select

from app.find.asked import Asked, Filter
from app.find.sources import Source, rows_of
from models import Response, TraceAggregate, User

PAGE = 25
_SNIPPET = 280


@dataclass(frozen=True, slots=True)
class Hit:
    """One response of the results, with the counts of its classes."""

    trace_id: str
    response_id: str
    arm: str
    checkpoint: str
    value: float
    n: int
    unshifted: int
    marginal: int
    shifted: int
    prompt: str
    text: str


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found. `values` are those of every response of the arm, `hits` those that pass the filters.

    `missing` counts responses without the number sorted by; they are in neither.
    """

    values: tuple[float, ...]
    hits: tuple[float, ...]
    missing: int
    page: tuple[Hit, ...]
    more: bool


def arms_of(session: Session, source: Source, user: User) -> tuple[str, ...]:
    """List the arms of a source, by name."""
    rows = rows_of(source, user)
    return tuple(session.execute(select(rows.c.arm).distinct().order_by(rows.c.arm)).scalars())


def find(session: Session, source: Source, user: User, asked: Asked) -> Found:
    """Search a source: one pass over its slim rows, then the words of the one page that is shown."""
    rows = rows_of(source, user)
    passing = and_(true(), *(_within(one) for one in asked.filters), *_says(session, asked.text))
    everything = _base(rows, asked, asked.column.expression(), passing, col(TraceAggregate.trace_id))
    values: list[float] = []
    hits: list[tuple[float, str]] = []
    missing = 0
    for number, passes, trace_id in session.execute(everything):
        if number is None:
            missing += 1
            continue
        values.append(number)
        if passes:
            hits.append((number, trace_id))
    ranked = sorted((_key(asked, number), trace_id) for number, trace_id in hits)
    start = bisect_right(ranked, (_key(asked, asked.after[0]), asked.after[1])) if asked.after else 0
    shown = [trace_id for _, trace_id in ranked[start : start + PAGE]]
    return Found(
        values=tuple(values),
        hits=tuple(number for number, _ in hits),
        missing=missing,
        page=_page(session, rows, asked, shown),
        more=start + PAGE < len(ranked),
    )


def _key(asked: Asked, number: float) -> float:
    """Return what results are sorted by, ascending; the trace's id decides between equals."""
    if asked.order == "low":
        return number
    return -abs(number) if asked.order == "far" else -number


def _base(rows: Subquery, asked: Asked, *columns: Any) -> Select[Any]:
    query: Select[Any] = (
        select(*columns)
        .select_from(rows)
        .join(
            TraceAggregate,
            and_(
                col(TraceAggregate.response_id) == rows.c.response_id,
                col(TraceAggregate.checkpoint) == rows.c.checkpoint,
                col(TraceAggregate.base_prompt) == asked.base_prompt,
            ),
        )
    )
    if asked.text:
        query = query.join(Response, col(Response.id) == rows.c.response_id)
    return query.where(rows.c.arm == asked.arm) if asked.arm else query


def _within(one: Filter) -> Any:
    low, high = one.bounds
    expression = one.column.expression()
    parts = [expression.is_not(None)]
    parts += [expression >= low] if low is not None else []
    parts += [expression <= high] if high is not None else []
    # A value that does not exist is neither above nor below anything.
    return func.coalesce(and_(*parts), False)


def _says(session: Session, text: str) -> list[Any]:
    if not text:
        return []
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    # SQLite's LIKE ignores the case of ASCII by itself, several times faster than of lowered texts.
    sqlite = session.get_bind().dialect.name == "sqlite"
    columns = (col(Response.text), col(Response.prompt))
    pattern = f"%{escaped}%"
    return [or_(*(one.like(pattern, escape="\\") if sqlite else one.ilike(pattern, escape="\\") for one in columns))]


def _page(session: Session, rows: Subquery, asked: Asked, trace_ids: list[str]) -> tuple[Hit, ...]:
    """Read what one page shows, in order: the counts, and the beginning of prompt and response."""
    row = TraceAggregate
    query = (
        select(  # type: ignore[call-overload]
            col(row.trace_id),
            col(row.response_id),
            rows.c.arm,
            col(row.checkpoint),
            asked.column.expression(),
            col(row.n),
            col(row.unshifted),
            col(row.marginal),
            col(row.shifted),
            func.substr(col(Response.prompt), 1, _SNIPPET),
            func.substr(col(Response.text), 1, _SNIPPET),
        )
        .select_from(row)
        .join(Response, col(Response.id) == col(row.response_id))
        .join(rows, rows.c.response_id == col(row.response_id))
        .where(col(row.trace_id).in_(trace_ids))
    )
    found = {one[0]: Hit(*one) for one in session.execute(query)}
    return tuple(found[trace_id] for trace_id in trace_ids)
