"""What the database itself refuses, whoever asks: a revision is never changed, and a span quotes its response."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session

from app.db import writing
from models import Preference, Presentation, Revision, RevisionKind, Severity, Side, Span
from models.base import now
from tests.factories import add, fill_study, make_response

TEXT = "Wasser 💧 ist näss\r\nund e\u0301s fließt."


@pytest.fixture
def revision(database, study, bob) -> Revision:
    with writing(database) as session:
        fill_study(session, study, prompts=("Why?",))
        return add_revision(session, study, bob)


def add_revision(session: Session, study, bob) -> Revision:
    item, pair, first, second = session.execute(
        text("SELECT i.id, p.id, p.first_arm_id, p.second_arm_id FROM item i JOIN pair p ON p.study_id = i.study_id")
    ).one()
    shown = add(
        session,
        Presentation(
            study_id=study.id,
            item_id=item,
            pair_id=pair,
            annotator_id=bob.id,
            left_arm_id=first,
            right_arm_id=second,
            left_response_id=make_response(session, text=TEXT).id,
            right_response_id=make_response(session, text="Something else.").id,
            side_order_key="0" * 64,
            leased_until=now(),
        ),
    )
    return add(
        session,
        Revision(
            presentation_id=shown.id,
            number=1,
            idempotency_key="attempt-1",
            kind=RevisionKind.SUBMITTED,
            preference=Preference.LEFT,
            app_version="1",
        ),
    )


def a_span(revision: Revision, start: int, end: int, **over) -> Span:
    values = {
        "revision_id": revision.id,
        "position": 1,
        "side": Side.LEFT,
        "start": start,
        "end": end,
        "quote": TEXT[start:end],
        "prefix": "",
        "suffix": "",
        "type": "other",
        "severity": Severity.MINOR,
    }
    return Span(**(values | over))


@pytest.mark.parametrize("start", range(0, len(TEXT) - 3, 3))
def test_offsets_are_code_points_in_the_database_too(database, revision, start):
    with writing(database) as session:
        add(session, a_span(revision, start, start + 3))


@pytest.mark.parametrize(
    "over",
    [{"quote": "Wasser"}, {"start": 1, "end": 4}, {"side": Side.RIGHT}, {"quote": "wasser 💧", "start": 0, "end": 8}],
    ids=["another quote", "shifted", "the other side", "another case"],
)
def test_a_span_that_misquotes_is_refused_by_the_database(database, revision, over):
    span = a_span(revision, **({"start": 7, "end": 8, "quote": TEXT[7:8]} | over))
    with pytest.raises(IntegrityError, match="does not quote"), writing(database) as session:
        add(session, span)


@pytest.mark.parametrize("statement", ["UPDATE revision SET comment = 'x'", "DELETE FROM revision"])
def test_a_revision_is_never_changed_or_removed(database, revision, statement):
    with pytest.raises(IntegrityError, match="append-only"), writing(database) as session:
        session.execute(text(statement))


@pytest.mark.parametrize("statement", ["UPDATE span SET note = 'x'", "DELETE FROM span"])
def test_a_span_is_never_changed_or_removed(database, revision, statement):
    with writing(database) as session:
        add(session, a_span(revision, 0, 6))
    with pytest.raises(IntegrityError, match="append-only"), writing(database) as session:
        session.execute(text(statement))
