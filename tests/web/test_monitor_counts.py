"""On either database, whatever block a judgment is read in, a monitor counts what plain SQL finds."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from statistics import median
from unittest.mock import patch

import numpy as np
import pytest
from sqlmodel import select

from app.db import reading, writing
from app.monitor import kept, people
from app.monitor.board import board_of
from app.monitor.in_hand import unfinished_of
from app.monitor.places import Places
from models import Exclusion, Membership, MemberState, Preference, Revision, RevisionKind, Study, User
from tests.databases import PlainReader
from tests.factories import add, fill_study, make_study, make_user
from tests.web.monitor_help import SKIPPED, START, gold, items_of, judge, person, shown

L, R, GOOD, BAD = Preference.LEFT, Preference.RIGHT, Preference.TIE_GOOD, Preference.TIE_BAD
NOW = START + timedelta(days=2)
PLAIN = """
SELECT p.id, r.number, m.pid, i.position, i.kind, p.state, r.preference, r.active_ms, r.recognised_model, r.flagged,
  r.comment, r.skip_reason, r.guideline_version, r.reading, p.submitted_at, r.created_at, r.kind
FROM revision r JOIN presentation p ON p.id = r.presentation_id JOIN item i ON i.id = p.item_id
  JOIN membership m ON m.user_id = p.annotator_id AND m.study_id = p.study_id
WHERE p.study_id = ?
"""


@pytest.fixture(params=["sqlite", "postgres"])
def stored(request, fresh):
    """A database of a kind with a study that has everything: skips, ties, gold, edits, drafts, leases, odd times."""
    database = fresh(request.param)
    with writing(database) as session:
        owner = make_user(session, email="owner@example.org", name="Owner")
        studies = [make_study(session, owner=owner, slug=slug) for slug in ("counted", "beside")]
        people = [_worked(session, one, first) for one, first in zip(studies, (2, 20), strict=True)]
        member = session.get_one(Membership, (studies[0].id, people[0][3].id))
        member.state = MemberState.WITHDRAWN
        add(session, Exclusion(study_id=studies[0].id, rule="min_active", settings={"seconds": 4}))
        return database, studies[0].id


def _worked(session, study, first):
    study.overlap = 3
    fill_study(session, study, prompts=tuple(f"Question {at}?" for at in range(7)))
    people = [person(session, study, first + at) for at in range(5)]
    items = [*items_of(session, study), gold(session, study), gold(session, study, position=101, expected="tie_bad")]
    for at, who in enumerate(people):
        for number, item in enumerate(items):
            turn = 3 * at + 2 * number
            if turn % 11 == 4:
                shown(session, study, who, item, at=NOW - timedelta(minutes=3), until=NOW + timedelta(minutes=at))
                continue
            moment = START + timedelta(hours=turn, microseconds=turn * 7)
            answer = {
                "active_ms": (-1, 900, 3_999, 4_000, 61_234)[turn % 5], "guideline_version": 1 + turn % 2,
                "recognised_model": turn % 4 == 0, "recognised_guess": "kettle" if turn % 8 == 0 else "",
                "flagged": turn % 6 == 0, "comment": "hm" if turn % 7 == 0 else "",
                "reading": ({}, {"left": 0.3, "right": 1}, {"left": 0.1 + turn / 1000})[turn % 3],
            }  # fmt: skip
            one = judge(session, study, who, item, (L, R, GOOD, BAD, SKIPPED, L)[turn % 6], at=moment, **answer)
            if turn % 5 == 2:
                one.submitted_at = None
            _again(session, one, turn, moment)
    return people


def _again(session, one, turn, moment):
    for number in range(2, 2 + turn % 3):
        draft = number % 2 == turn % 2
        values = {
            "kind": RevisionKind.DRAFT if draft else RevisionKind.SUBMITTED, "preference": None if draft else R,
            "idempotency_key": f"k{number}", "app_version": "0", "active_ms": 5_000 + turn,
            "created_at": moment + timedelta(minutes=number),
        }  # fmt: skip
        add(session, Revision(presentation_id=one.id, number=number, **values))


def plain(database, study_id):
    """The last submitted revision of each presentation, by its id, found in plain SQL row by row."""
    reader = PlainReader(database.url.render_as_string(hide_password=False))
    rows = reader.ask(PLAIN, [study_id])
    reader.close()
    found = {}
    for row in rows:
        if row[-1] == "submitted" and row[5] in ("submitted", "skipped"):
            found[row[0]] = max(row, found.get(row[0], row), key=itemgetter(1))
    return found


def _moment(value):
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _read(reading_, side):
    return (json.loads(reading_) if isinstance(reading_, str) else reading_).get(side)


@pytest.mark.parametrize("size", [1, 7, 5_000])
def test_columns_hold_what_plain_sql_finds(stored, monkeypatch, size):
    database, study_id = stored
    monkeypatch.setattr(kept, "_AT_ONCE", size)
    kept._kept.clear()
    with reading(database) as session:
        study = session.get_one(Study, study_id)
        columns = kept.judged_columns(session, study, unfinished_of(session, study_id).finished)
    expected = plain(database, study_id)
    assert len(columns) == len(expected) > 25
    for at in range(len(columns)):
        row = expected[columns.id_of(at)]
        assert columns.number[at] == row[1]
        assert columns.active_ms[at] == row[7]
        assert (columns.recognised[at], columns.flagged[at]) == (bool(row[8]), bool(row[9]))
        assert columns.noted[at] == bool(row[9] or row[10] or row[11])
        assert columns.guideline_version[at] == row[12]
        assert datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(columns.submitted[at])) == _moment(
            row[14] or row[15]
        )
        for values, side in ((columns.read_left, "left"), (columns.read_right, "right")):
            told = _read(row[13], side)
            assert np.isnan(values[at]) if told is None else values[at] == told


def test_accounts_are_compared_again_only_when_something_changed(stored):
    database, study_id = stored

    def look():
        with reading(database) as session:
            return len(board_of(session, session.get_one(Study, study_id), NOW, Places()).twins)

    with patch.object(people, "find_twins", wraps=people.find_twins) as compared:
        assert (look(), look(), compared.call_count) == (0, 0, 1)
        with writing(database) as session:
            for member in session.exec(select(Membership).where(Membership.study_id == study_id).limit(2)):
                session.get_one(User, member.user_id).name = "One Name"
        assert (look(), compared.call_count) == (1, 2)
        with writing(database) as session:
            study = session.get_one(Study, study_id)
            judge(session, study, person(session, study, 9), items_of(session, study)[0], L, at=NOW)
        assert (look(), look(), compared.call_count) == (1, 1, 3)


def test_the_board_counts_what_plain_sql_finds(stored):
    database, study_id = stored
    kept._kept.clear()
    with reading(database) as session:
        board = board_of(session, session.get_one(Study, study_id), NOW, Places())
    rows = list(plain(database, study_id).values())
    regular = [row for row in rows if row[4] == "regular"]
    judged = [row for row in regular if row[6] != "cannot_judge"]
    assert sum(pair.skipped for pair in board.coverage) == len(regular) - len(judged) > 0
    per_item = Counter(row[3] for row in judged)
    assert board.judged == sum(min(3, number) for number in per_item.values())
    assert sum(pair.beyond for pair in board.coverage) == sum(max(0, number - 3) for number in per_item.values())
    assert board.noted == sum(bool(row[9] or row[10] or row[11]) for row in rows)
    assert board.excluded == sum(0 <= row[7] < 4_000 for row in regular) > 0
    recognised = board.blinding.per_item
    assert (recognised.part, recognised.whole) == (sum(bool(row[8]) for row in judged), len(judged))
    assert board.people.number == len(board.people.rows) == 5
    for one in board.people.rows:
        own = [row for row in judged if row[2] == one.pid]
        said, profile = Counter(row[6] for row in own), one.how.profile
        assert profile.answers == dict(said)
        assert (profile.left.part, profile.left.whole) == (said["left"], said["left"] + said["right"])
        assert profile.ties.part == said["tie_good"] + said["tie_bad"]
        times = [row[7] for row in own if row[7] >= 0]
        assert profile.median_ms == (median(times) if times else None)
        mine = [row for row in regular if row[2] == one.pid]
        assert profile.skips == len(mine) - len(own)
        assert (profile.flags, profile.recognised) == (sum(bool(r[9]) for r in mine), sum(bool(r[8]) for r in mine))
        assert one.how.gold.asked == sum(row[4] == "gold" and row[2] == one.pid for row in rows)
        assert one.excluded == sum(0 <= row[7] < 4_000 for row in mine)
