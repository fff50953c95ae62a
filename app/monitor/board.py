"""Everything the monitor page shows but the matrix, as of one moment. For researchers' routes alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlmodel import Session

from app.monitor.columns import Sheet, microseconds
from app.monitor.coverage import Coverage, coverage_of
from app.monitor.disagreement import disputed
from app.monitor.exclusions import Person
from app.monitor.in_hand import LEASES, Lease, lease_rows
from app.monitor.pace import DAY, Pace, pace_of
from app.monitor.people import PersonRow, people_part, twins_of
from app.monitor.places import Part, Places, part_of
from app.monitor.sections import (
    Blinding,
    Dispute,
    Event,
    Names,
    Note,
    blinding_of,
    dispute_rows,
    event_rows,
    note_rows,
)
from app.monitor.standing import standing_of
from app.monitor.twins import Twins
from models import Study

MANY = 30
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Board:
    """The monitor's data. `judged` and `wanted` sum the coverage; `excluded` counts what some rule takes out.

    Of twins, disputes and notes the first `MANY` are listed; `alike`, `disputed` and `noted` count them all.
    """

    coverage: Sequence[Coverage]
    judged: int
    wanted: int
    pace: Pace
    people: Part[PersonRow]
    leases: Part[Lease]
    twins: Sequence[Twins]
    alike: int
    disputes: Sequence[Dispute]
    disputed: int
    blinding: Blinding
    notes: Sequence[Note]
    noted: int
    events: Sequence[Event]
    excluded: int
    names: Names
    members: Mapping[str, Person]


def board_of(session: Session, study: Study, now: datetime, places: Places) -> Board:
    """Put the monitor together as of `now`; judgments that were read before are not read again."""
    standing = standing_of(session, study)
    members, names, sheet, out = standing.members, standing.names, standing.sheet, standing.out
    held = standing.unfinished.held(now)
    coverage = coverage_of(session, study, sheet, held)
    hand = part_of(held, places.hand, LEASES)
    leases = lease_rows(session, hand.rows, names.items, members, now)
    alike = twins_of(session, study, standing)
    judged, wanted = sum(one.counted for one in coverage), sum(one.wanted for one in coverage)
    queue, number = disputed(sheet, out, MANY)
    notes, noted = note_rows(session, sheet, names, MANY)
    return Board(
        coverage=coverage,
        judged=judged,
        wanted=wanted,
        pace=pace_of(_recent(sheet, now), wanted=wanted, judged=judged, now=now),
        people=people_part(session, study, standing, places.annotators),
        leases=Part(leases, hand.page, hand.pages, hand.number),
        twins=alike[:MANY],
        alike=len(alike),
        disputes=dispute_rows(queue, sheet, names),
        disputed=number,
        blinding=blinding_of(session, study.id, sheet),
        notes=notes,
        noted=noted,
        events=event_rows(session, study.id, MANY),
        excluded=int(out.sum()),
        names=names,
        members=members,
    )


def _recent(sheet: Sheet, now: datetime) -> list[datetime]:
    """List when the judgments of the last day were submitted."""
    since = microseconds(now - DAY)
    rows = sheet.judged & (sheet.columns.submitted >= since)
    return [EPOCH + timedelta(microseconds=int(one)) for one in sheet.columns.submitted[rows]]
