"""Everything the monitor page shows but the matrix, as of one moment. For researchers' routes alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlmodel import Session

from app.monitor.columns import Sheet, microseconds, sheet_of
from app.monitor.coverage import Coverage, coverage_of
from app.monitor.disagreement import disputed
from app.monitor.kept import judged_columns
from app.monitor.pace import DAY, Pace, pace_of
from app.monitor.people import PersonRow, people_rows, twins_of
from app.monitor.sections import (
    Blinding,
    Dispute,
    Event,
    Names,
    Note,
    blinding_of,
    dispute_rows,
    event_rows,
    names_of,
    note_rows,
)
from app.monitor.taken_out import taken_out
from app.monitor.twins import Twins
from app.monitor.votes import active_rules, lengths_of, members_of
from models import Study

MANY = 30
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Board:
    """The monitor's data. `judged` and `wanted` sum the coverage; `excluded` counts what some rule takes out.

    Of disputes and notes the first `MANY` are listed; `disputed` and `noted` count them all.
    """

    coverage: Sequence[Coverage]
    judged: int
    wanted: int
    pace: Pace
    people: Sequence[PersonRow]
    twins: Sequence[Twins]
    disputes: Sequence[Dispute]
    disputed: int
    blinding: Blinding
    notes: Sequence[Note]
    noted: int
    events: Sequence[Event]
    excluded: int
    names: Names


def board_of(session: Session, study: Study, now: datetime) -> Board:
    """Put the monitor together as of `now`; judgments that were read before are not read again."""
    members = members_of(session, study)
    names = names_of(session, study.id, members)
    sheet = sheet_of(judged_columns(session, study), names.known, lengths_of(session, study.id), names.better_arm_id)
    coverage = coverage_of(session, study, sheet, now)
    judged, wanted = sum(one.counted for one in coverage), sum(one.wanted for one in coverage)
    out = taken_out(active_rules(session, study), sheet, members)
    queue, number = disputed(sheet, out, MANY)
    notes, noted = note_rows(session, sheet, names, MANY)
    return Board(
        coverage=coverage,
        judged=judged,
        wanted=wanted,
        pace=pace_of(_recent(sheet, now), remaining=wanted - judged, now=now),
        people=people_rows(session, study, sheet, members, out),
        twins=twins_of(session, study.id, sheet, members),
        disputes=dispute_rows(queue, sheet, names),
        disputed=number,
        blinding=blinding_of(session, study.id, sheet),
        notes=notes,
        noted=noted,
        events=event_rows(session, study.id, MANY),
        excluded=int(out.sum()),
        names=names,
    )


def _recent(sheet: Sheet, now: datetime) -> list[datetime]:
    """List when the judgments of the last day were submitted."""
    since = microseconds(now - DAY)
    rows = sheet.judged & (sheet.columns.submitted >= since)
    return [EPOCH + timedelta(microseconds=int(one)) for one in sheet.columns.submitted[rows]]
