"""What is exported: responses with everything that read them, gathered once and written in three formats."""

from dataclasses import dataclass
from typing import Any

from sqlmodel import Session, col, select

from app.errors import NotFoundError
from app.tokens.answer import Answer
from app.tokens.store import answer_of, get_response, traces_of
from models import Comparison, ComparisonColumn, Response, Trace


@dataclass(frozen=True, slots=True)
class Reading:
    """One checkpoint's view of a response; `answer` opens its trace."""

    response: Response
    trace: Trace

    def answer(self, position: int = 0) -> Answer:
        """Return the response as this reading sees it."""
        return answer_of(self.response, self.trace, position=position)


@dataclass(frozen=True, slots=True)
class Sheet:
    """One response, its readings oldest first, and how its column ended where it is one of a comparison.

    `response` is None for a column that has none: it failed before its first token, or is still running.
    """

    response: Response | None
    readings: tuple[Reading, ...]
    column: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """A response or a comparison with all it holds. `path` is its address, `name` what its files are called."""

    path: str
    name: str
    prompt: str
    sheets: tuple[Sheet, ...]
    comparison: Comparison | None = None


def of_response(session: Session, response_id: str) -> Document:
    """Gather one response. Raises NotFoundError."""
    response = get_response(session, response_id)
    sheet = _sheet(session, response)
    return Document(f"/responses/{response.id}", f"response-{response.id}", response.prompt, (sheet,))


def of_comparison(session: Session, comparison_id: str) -> Document:
    """Gather a comparison, column by column; a fork ends with the response it left. Raises NotFoundError."""
    comparison = session.get(Comparison, comparison_id)
    if comparison is None:
        raise NotFoundError("There is no such comparison.", remedy="Check the link.")
    columns = select(ComparisonColumn).where(ComparisonColumn.comparison_id == comparison_id)
    sheets = []
    for column in session.exec(columns.order_by(col(ComparisonColumn.position))):
        response = session.get(Response, column.response_id) if column.response_id else None
        facts = {
            "position": column.position,
            "checkpoint": column.checkpoint,
            "reference": column.reference,
            "state": column.state.value,
            "message": column.message,
        }
        sheets.append(_sheet(session, response, facts))
    if comparison.fork_of:
        sheets.append(_sheet(session, get_response(session, comparison.fork_of)))
    path = f"/explore/{comparison.id}"
    return Document(path, f"comparison-{comparison.id}", comparison.prompt, tuple(sheets), comparison)


def _sheet(session: Session, response: Response | None, column: dict[str, Any] | None = None) -> Sheet:
    if response is None:
        return Sheet(None, (), column)
    return Sheet(response, tuple(Reading(response, trace) for trace in traces_of(session, response.id)), column)
