"""Judging the items of a sample more often than was promised, after a study was opened."""

import pytest
from bs4 import BeautifulSoup
from sqlmodel import select

from app.db import reading, writing
from app.studies.coverage import pair_progress
from models import Item, Study, StudyEvent
from tests.factories import fill_study, make_study


def settled(database, alice):
    with writing(database) as session:
        study = make_study(session, owner=alice, slug="o", overlap=2)
        fill_study(session, study)
        return study


def with_sample(database, alice, n=2, overlap=4):
    study = settled(database, alice)
    with writing(database) as session:
        for item in session.exec(select(Item).where(Item.study_id == study.id).order_by(Item.position).limit(n)):
            item.overlap = overlap
            session.add(item)
    return study


def overlaps(database, study):
    with reading(database) as session:
        query = select(Item.overlap).where(Item.study_id == study.id).order_by(Item.position)
        return session.get_one(Study, study.id).overlap, list(session.exec(query))


def test_the_sample_is_topped_up_and_so_much_more_is_wanted(researcher, database, alice):
    study = with_sample(database, alice)
    place = f"/studies/{study.id}/setup"
    field = BeautifulSoup(researcher.get(place).text, "html.parser").select_one("[name=sample_overlap]")
    assert (field["value"], field["min"]) == ("4", "4")
    with reading(database) as session:
        (before,) = pair_progress(session, session.get_one(Study, study.id))
    assert researcher.post(place, data={"sample_overlap": "6"}).status_code == 303
    assert overlaps(database, study) == (2, [6, 6, None])
    with reading(database) as session:
        (after,) = pair_progress(session, session.get_one(Study, study.id))
        assert (before.wanted, after.wanted) == (4 + 4 + 2, 6 + 6 + 2)
        assert session.get_one(Study, study.id).version == 2
        events = session.exec(select(StudyEvent.action, StudyEvent.detail)).all()
    assert ("change_sample_overlap", "Judgments per item of the sample: 4 became 6.") in events
    # Saved again as it stands, nothing changes.
    researcher.post(place, data={"overlap": "2", "sample_overlap": "6"})
    with reading(database) as session:
        assert len(session.exec(select(StudyEvent)).all()) == len(events)


@pytest.mark.parametrize(
    ("sent", "sentence"),
    [
        ({"sample_overlap": "3"}, "It can only grow: 4 are promised per item already, not 3."),
        ({"sample_overlap": ""}, "A whole number from 4 to 100"),
        ({"sample_overlap": "101"}, "A whole number"),
    ],
)
def test_the_overlap_of_a_sample_only_grows(researcher, database, alice, sent, sentence):
    study = with_sample(database, alice)
    answer = researcher.post(f"/studies/{study.id}/setup", data=sent | {"overlap": "3"})
    assert answer.status_code == 422
    assert sentence in answer.text
    assert overlaps(database, study) == (2, [4, 4, None])


def test_without_a_sample_none_is_drawn_late(researcher, database, alice):
    study = settled(database, alice)
    place = f"/studies/{study.id}/setup"
    assert "sample_overlap" not in researcher.get(place).text
    answer = researcher.post(place, data={"sample_overlap": "5"})
    assert answer.status_code == 422
    assert overlaps(database, study) == (2, [None, None, None])
    assert researcher.post(place, data={"overlap": "3", "sample_overlap": ""}).status_code == 303


def test_all_items_topped_up_beyond_the_sample_leave_no_sample(researcher, database, alice):
    study = with_sample(database, alice)
    assert (
        researcher.post(f"/studies/{study.id}/setup", data={"overlap": "5", "sample_overlap": "4"}).status_code == 303
    )
    assert overlaps(database, study) == (5, [None, None, None])
