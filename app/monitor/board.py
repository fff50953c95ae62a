"""Everything the monitor page shows but the matrix, as of one moment. For researchers' routes alone."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from app.monitor.coverage import Coverage, coverage_of
from app.monitor.disagreement import disputed
from app.monitor.exclusions import Person, people_of, reasons
from app.monitor.facts import REGULAR, SKIP, Vote
from app.monitor.pace import Pace, pace_of
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
from app.monitor.twins import Twins
from app.monitor.votes import active_rules, iter_votes, lengths_of, members_of
from models import Study

MANY = 30


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
    """Read the study once and put the monitor together as of `now`."""
    votes = list(iter_votes(session, study))
    members = members_of(session, study)
    names = names_of(session, study.id, members)
    coverage = coverage_of(session, study, now)
    judged, wanted = sum(one.counted for one in coverage), sum(one.wanted for one in coverage)
    regular = [vote for vote in votes if vote.item_kind == REGULAR]
    done = (vote.submitted_at for vote in regular if vote.preference != SKIP)
    out = _taken_out(session, study, votes, members)
    queue = disputed(vote for vote in regular if vote.presentation_id not in out)
    notes = [vote for vote in reversed(votes) if vote.flagged or vote.comment or vote.skip_reason]
    return Board(
        coverage=coverage,
        judged=judged,
        wanted=wanted,
        pace=pace_of(done, remaining=wanted - judged, now=now),
        people=people_rows(session, study, votes, members, lengths_of(session, study.id), Counter(out.values())),
        twins=twins_of(session, study.id, regular, members),
        disputes=dispute_rows(queue[:MANY], names),
        disputed=len(queue),
        blinding=blinding_of(session, study.id, regular),
        notes=note_rows(notes[:MANY], names),
        noted=len(notes),
        events=event_rows(session, study.id, MANY),
        excluded=len(out),
        names=names,
    )


def _taken_out(session: Session, study: Study, votes: Sequence[Vote], members: Mapping[str, Person]) -> dict[str, str]:
    """Map the presentations that some rule takes out to their annotators."""
    rules = active_rules(session, study)
    if not rules:
        return {}
    people = people_of(votes, members)
    return {
        vote.presentation_id: vote.annotator_id
        for vote in votes
        if vote.item_kind == REGULAR and reasons(rules, vote, people)
    }
