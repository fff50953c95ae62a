"""How much each annotator of a study has judged, counted with what the monitor keeps. For researchers' routes alone."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from sqlmodel import Session, select

from app.monitor.columns import Columns, Ints, KnownItem, Sheet, microseconds, sheet_of
from models import Item, Study


@dataclass(frozen=True, slots=True)
class Work:
    """How many regular items somebody answered, judged, and judged lately; `median_ms` is of known active times."""

    answered: int = 0
    judged: int = 0
    lately: int = 0
    median_ms: float | None = None


def work_of(session: Session, study: Study, columns: Columns, since: datetime) -> dict[str, Work]:
    """Count in a study's judgments, by annotator id; whoever has answered nothing is left out."""
    query = select(Item.id, Item.kind).where(Item.study_id == study.id)
    sheet = sheet_of(columns, {key: KnownItem(str(kind)) for key, kind in session.exec(query)}, {})
    order = np.argsort(columns.who, kind="stable")
    edges = np.searchsorted(columns.who[order], np.arange(len(columns.people) + 1))
    found = {
        person: _work(sheet, order[edges[at] : edges[at + 1]], microseconds(since))
        for at, person in enumerate(columns.people)
    }
    return {person: work for person, work in found.items() if work.answered}


def _work(sheet: Sheet, own: Ints, since: int) -> Work:
    columns = sheet.columns
    judged = own[sheet.judged[own]]
    times = columns.active_ms[judged]
    known = times[times > 0]
    return Work(
        answered=int(np.sum(sheet.regular[own])),
        judged=len(judged),
        lately=int(np.sum(columns.submitted[judged] > since)),
        median_ms=float(np.median(known)) if len(known) else None,
    )
