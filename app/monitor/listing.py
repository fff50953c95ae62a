"""The judgments behind a number of the monitor, a page of them at a time. For researchers' routes alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from sqlmodel import Session

from app.cells import known_ms
from app.errors import NotFoundError
from app.monitor.board import EPOCH
from app.monitor.choosing import CHOICES, ORDERS, ordered
from app.monitor.columns import Bools, Floats
from app.monitor.coverage import pair_names
from app.monitor.sections import ItemName, answer_words
from app.monitor.standing import Standing, standing_of
from models import Study

PAGE = 100


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for: a choice of `CHOICES`, an order of `ORDERS`, and, where given, a pseudonym, item and pair."""

    what: str = "judged"
    order: str = "newest"
    annotator: str = ""
    item: int | None = None
    pair: str = ""
    page: int = 1


@dataclass(frozen=True, slots=True)
class ListedRow:
    """One judgment in a line. `marks` are words such as `excluded`."""

    presentation_id: str
    item: ItemName
    pair: str
    pid: str
    answer: str
    active_ms: int | None
    read: str
    at: datetime
    marks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Listing:
    """One page of what was asked for; `number` counts all of it, and `within` says in words what narrows it."""

    asked: Asked
    title: str
    within: str
    number: int
    rows: Sequence[ListedRow]
    page: int
    pages: int


def listing_of(session: Session, study: Study, asked: Asked) -> Listing:
    """List judgments; a page beyond the last is the last. Raises NotFoundError for what the study does not have."""
    if asked.what not in CHOICES or asked.order not in ORDERS:
        raise NotFoundError("There is no such list of judgments.", remedy="Follow a number on the monitor.")
    standing = standing_of(session, study)
    pairs = pair_names(session, study.id)
    wanted = CHOICES[asked.what].rows(standing.sheet, standing.out) & _within(standing, asked)
    rows = ordered(standing.sheet, np.flatnonzero(wanted), asked.order)
    pages = max(1, -(-len(rows) // PAGE))
    page = min(max(asked.page, 1), pages)
    return Listing(
        asked=asked,
        title=CHOICES[asked.what].title,
        within=_words(asked, pairs),
        number=len(rows),
        rows=[_listed(int(row), standing, pairs) for row in rows[(page - 1) * PAGE : page * PAGE]],
        page=page,
        pages=pages,
    )


def _within(standing: Standing, asked: Asked) -> Bools:
    columns, names = standing.sheet.columns, standing.names
    kept = np.ones(len(columns), dtype=np.bool_)
    if asked.annotator:
        if asked.annotator not in names.pids.values():
            raise NotFoundError("There is no such annotator in this study.")
        kept &= np.array([names.pids[one] == asked.annotator for one in columns.people], dtype=np.bool_)[columns.who]
    if asked.item is not None:
        if asked.item not in {one.position for one in names.items.values()}:
            raise NotFoundError("There is no such item in this study.")
        kept &= np.array([names.items[one].position == asked.item for one in columns.items], dtype=np.bool_)[
            columns.item
        ]
    if asked.pair:
        kept &= np.array([one == asked.pair for one in columns.pairs], dtype=np.bool_)[columns.pair]
    return kept


def _words(asked: Asked, pairs: dict[str, str]) -> str:
    if asked.pair and asked.pair not in pairs:
        raise NotFoundError("There is no such pair in this study.")
    said = [
        f"by {asked.annotator}" if asked.annotator else "",
        f"of item {asked.item}" if asked.item is not None else "",
        pairs[asked.pair] if asked.pair else "",
    ]
    return ", ".join(part for part in said if part)


def _listed(row: int, standing: Standing, pairs: dict[str, str]) -> ListedRow:
    sheet, names = standing.sheet, standing.names
    columns = sheet.columns
    marks = {
        "excluded": standing.out[row],
        "wrong": sheet.gold[row] and not sheet.right_answer[row],
        "flagged": columns.flagged[row],
        "recognised a model": columns.recognised[row],
    }
    return ListedRow(
        presentation_id=columns.id_of(row),
        item=names.items[columns.items[columns.item[row]]],
        pair=pairs.get(columns.pairs[columns.pair[row]], ""),
        pid=names.pids[columns.people[columns.who[row]]],
        answer=answer_words(row, sheet, names),
        active_ms=known_ms(int(columns.active_ms[row])),
        read=_read(columns.read_left, columns.read_right, row),
        at=EPOCH + timedelta(microseconds=int(columns.submitted[row])),
        marks=tuple(word for word, so in marks.items() if so),
    )


def _read(left: Floats, right: Floats, row: int) -> str:
    said = [
        f"{name} {100 * value[row]:.0f} %" for name, value in (("A", left), ("B", right)) if not np.isnan(value[row])
    ]
    return ", ".join(said)
