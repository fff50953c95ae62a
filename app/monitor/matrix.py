"""Items by annotators, one page of it at a time, and the end of a lease by hand. For researchers' routes alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session, col, func, select

from app.errors import ConflictError, NotFoundError
from app.monitor.exclusions import Person
from app.monitor.pace import hours_words
from app.monitor.places import pages_of
from app.monitor.sections import ItemName
from app.monitor.votes import aware
from models import Item, Presentation, PresentationState, Study, StudyEvent, User

ROWS, COLUMNS = 40, 25
_NOT_THERE = "There is no such judgment in this study, or it is not yours to see."
_GONE = "Nobody holds this item any more: it was judged, skipped or released."


@dataclass(frozen=True, slots=True)
class Cell:
    """What became of an item in an annotator's hands: `in hand`, `judged`, `skipped` or `expired`, and a short mark."""

    presentation_id: str
    state: str
    mark: str


@dataclass(frozen=True, slots=True)
class Row:
    """An item with one entry per annotator of the page; several pairs of it give several cells, none an empty one."""

    item: ItemName
    cells: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True, slots=True)
class Matrix:
    """One page of the matrix. `row_pages` and `column_pages` count the pages each way, from 1."""

    pids: tuple[str, ...]
    rows: tuple[Row, ...]
    row_page: int
    row_pages: int
    column_page: int
    column_pages: int


def matrix_of(
    session: Session, study: Study, members: Mapping[str, Person], now: datetime, *, rows: int = 1, columns: int = 1
) -> Matrix:
    """Load one page of the matrix; a page beyond the last is the last."""
    items = session.exec(select(func.count()).select_from(Item).where(Item.study_id == study.id)).one()
    row_pages, column_pages = pages_of(items, ROWS), pages_of(len(members), COLUMNS)
    row, column = min(max(rows, 1), row_pages), min(max(columns, 1), column_pages)
    people = list(members)[(column - 1) * COLUMNS : column * COLUMNS]
    query = select(Item.id, Item.position, Item.prompt, Item.kind).where(Item.study_id == study.id)
    page = session.exec(query.order_by(col(Item.position)).limit(ROWS).offset((row - 1) * ROWS)).all()
    cells = _cells(session, [item_id for item_id, *_ in page], people, now)
    return Matrix(
        pids=tuple(members[key].pid for key in people),
        rows=tuple(
            Row(
                ItemName(position, prompt[:80], str(kind)),
                tuple(tuple(cells.get((item_id, key), ())) for key in people),
            )
            for item_id, position, prompt, kind in page
        ),
        row_page=row,
        row_pages=row_pages,
        column_page=column,
        column_pages=column_pages,
    )


def _cells(
    session: Session, items: Sequence[str], people: Sequence[str], now: datetime
) -> dict[tuple[str, str], list[Cell]]:
    query = (
        select(Presentation)
        .where(col(Presentation.item_id).in_(items), col(Presentation.annotator_id).in_(people))
        .order_by(col(Presentation.created_at), col(Presentation.id))
    )
    found: dict[tuple[str, str], list[Cell]] = {}
    for shown in session.exec(query):
        found.setdefault((shown.item_id, shown.annotator_id), []).append(_cell(shown, now))
    return found


def _cell(shown: Presentation, now: datetime) -> Cell:
    if shown.state == PresentationState.SUBMITTED:
        return Cell(shown.id, "judged", "✓")
    if shown.state == PresentationState.SKIPPED:
        return Cell(shown.id, "skipped", "○")
    if shown.state == PresentationState.LEASED and aware(shown.leased_until) > now:
        return Cell(shown.id, "in hand", hours_words(now - aware(shown.created_at)))
    return Cell(shown.id, "expired", "×")  # noqa: RUF001  the sign is meant


def shown_in(session: Session, study: Study, presentation_id: str) -> Presentation:
    """Load a presentation of this study. Raises NotFoundError for any other."""
    query = select(Presentation).where(Presentation.id == presentation_id, Presentation.study_id == study.id)
    found = session.exec(query).first()
    if found is None:
        raise NotFoundError(_NOT_THERE)
    return found


def release(session: Session, study: Study, presentation_id: str, *, by: User, pid: str, now: datetime) -> None:
    """End a lease before its time, so that the place is free again; drafts stay, and the log says who did it.

    The annotator may take the item up again while a place is free. Raises ConflictError where nobody holds it.
    """
    shown = shown_in(session, study, presentation_id)
    if shown.state != PresentationState.LEASED:
        raise ConflictError(_GONE, remedy="Reload the page.")
    shown.state = PresentationState.EXPIRED
    shown.leased_until = min(aware(shown.leased_until), now)
    session.add(shown)
    position = session.get_one(Item, shown.item_id).position
    detail = f"Released item {position}, which {pid} held."
    session.add(StudyEvent(study_id=study.id, user_id=by.id, action="release", detail=detail, created_at=now))
    session.flush()
