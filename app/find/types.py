"""The token types a source shifts most, with their rates and where to see them."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import and_
from sqlmodel import Session, col, select

from app.find.asked import Asked
from app.find.sources import Source, rows_of
from app.shift.lexicon import Category
from app.shift.packing import unpack_names
from app.shift.token_types import Example, TokenType, most_shifted
from app.stats.wilson import wilson
from app.tokens.spelling import drawn, visible
from app.tokens.store import texts_of
from models import Response, Trace, TraceAggregate, User

LIMIT = 60
LEAST = 5
_AROUND = 24


@dataclass(frozen=True, slots=True)
class Seen:
    """An example: the token in its text, and the page that shows it."""

    before: str
    text: str
    after: str
    url: str


@dataclass(frozen=True, slots=True)
class TypeRow:
    """One type in the list. `low` and `high` are its Wilson interval, which takes tokens for independent."""

    spelled: str
    id: int
    category: str
    shifted: int
    total: int
    responses: int
    rate: float
    low: float
    high: float
    examples: tuple[Seen, ...]


@dataclass(frozen=True, slots=True)
class Types:
    """The list for one arm of a source, over `responses` responses."""

    rows: tuple[TypeRow, ...]
    responses: int


def types_of(
    session: Session,
    source: Source,
    user: User,
    asked: Asked,
    *,
    category: Category | None = None,
    by_rate: bool = False,
    least: int = 1,
) -> Types:
    """List the types of a source, from the blobs of its aggregates; `least` as in `most_shifted`."""
    rows = rows_of(source, user)
    row = TraceAggregate
    query = (
        select(col(row.trace_id), col(row.response_id), col(row.checkpoint), col(row.token_types))
        .select_from(rows)
        .join(
            row,
            and_(
                col(row.response_id) == rows.c.response_id,
                col(row.checkpoint) == rows.c.checkpoint,
                col(row.base_prompt) == asked.base_prompt,
            ),
        )
    )
    query = query.where(rows.c.arm == asked.arm) if asked.arm else query
    found = session.execute(query).all()
    types = most_shifted(
        [one.token_types for one in found], category=category, by_rate=by_rate, least=least, limit=LIMIT
    )
    return Types(tuple(_rows(session, types, found, asked)), len(found))


def _rows(session: Session, types: tuple[TokenType, ...], found: Any, asked: Asked) -> list[TypeRow]:
    wanted = {found[example.trace].response_id for kind in types for example in kind.examples}
    responses = {
        response.id: response for response in session.exec(select(Response).where(col(Response.id).in_(wanted)))
    }
    texts = {id_: texts_of(response) for id_, response in responses.items()}
    result = []
    for kind in types:
        first = found[kind.examples[0].trace]
        text = texts[first.response_id][kind.examples[0].index]
        low, high = wilson(kind.shifted, kind.total) or (0.0, 1.0)
        result.append(
            TypeRow(
                spelled=drawn(text) if text else _name(session, first.trace_id, kind.id),
                id=kind.id,
                category=kind.category.value,
                shifted=kind.shifted,
                total=kind.total,
                responses=kind.responses,
                rate=kind.rate,
                low=low,
                high=high,
                examples=tuple(_seen(found[one.trace], texts, one, asked) for one in kind.examples),
            )
        )
    return result


def _name(session: Session, trace_id: str, token: int) -> str:
    """Spell a token that adds no text of its own: end of sequence, or part of a character."""
    return visible(unpack_names(session.get_one(Trace, trace_id).tokens).get(token), token)


def _seen(row: Any, texts: dict[str, tuple[str, ...]], example: Example, asked: Asked) -> Seen:
    pieces = texts[row.response_id]
    at = example.index
    query = urlencode(
        {"checkpoint": row.checkpoint, "base_prompt": asked.base_prompt.value, "pin": f"0-{at}"}, safe=","
    )
    return Seen(
        before=_line("".join(pieces[max(0, at - _AROUND) : at])[-_AROUND:]),
        text=_line(pieces[at]),
        after=_line("".join(pieces[at + 1 : at + 1 + _AROUND])[:_AROUND]),
        url=f"/responses/{row.response_id}?{query}",
    )


def _line(text: str) -> str:
    """Keep an example on one line, with its line breaks drawn."""
    return "".join(char if char == " " else drawn(char) for char in text)
