"""What a save asks of the database: a few statements, whose number and whose way do not depend on the study's size."""

import pytest
from sqlalchemy import event

from app.db import writing
from models import Study
from tests.factories import fill_study
from tests.web.judging_help import an_answer, page_data, post, take

# A statement costs the server about a third of a millisecond, whatever it finds.
MOST = {"draft": 5, "submit": 13, "page": 16}
# Indexes whose rows under one study are all that anybody ever judged in it; counting there is for nobody's save.
ALL_OF_A_STUDY = ("ix_presentation_study_id", "ix_presentation_submitted (study_id=?)", "SCAN presentation")


@pytest.fixture
def token(annotator, database, study):
    with writing(database) as session:
        prompts = tuple(f"Question {at}?" for at in range(12))
        fill_study(session, session.get_one(Study, study.id), prompts=prompts)
    return take(annotator, study)


@pytest.fixture
def statements(app):
    seen = []

    def note(_connection, _cursor, statement, values, *_):
        if statement.startswith(("SELECT", "INSERT", "UPDATE")):
            seen.append((statement, values))

    event.listen(app.state.database, "before_cursor_execute", note)
    yield seen
    event.remove(app.state.database, "before_cursor_execute", note)


def go_on(client, token):
    """Save a draft, submit it, and open the page of the next item; yields what was done and leads to that item."""
    yield "draft", post(client, token, "draft", an_answer())
    answer = post(client, token, "submit", an_answer(base_revision=1))
    yield "submit", answer
    following = answer.json()["next"].removeprefix("/judge/")
    page_data(client, following)
    yield "page", following


def test_a_save_asks_for_little_however_much_was_done_before(annotator, token, statements):
    for _ in range(3):
        for what, answer in go_on(annotator, token):
            assert 0 < len(statements) <= MOST[what], [words for words, _ in statements]
            statements.clear()
            following = answer
        token = following


@pytest.mark.sqlite
def test_a_save_reads_no_more_of_a_study_than_an_index_holds(annotator, token, statements, database):
    for _ in go_on(annotator, token):
        pass
    plans = []
    with database.connect() as connection:
        for words, values in statements:
            if words.startswith("SELECT"):
                rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {words}", values).all()
                plans += [row[3] for row in rows if "presentation" in row[3]]
    assert any("COVERING INDEX ix_presentation_places" in plan for plan in plans)
    assert [plan for plan in plans if any(bad in plan for bad in ALL_OF_A_STUDY)] == []
