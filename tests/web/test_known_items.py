"""Practice and gold items that are edited while a study is a draft: nothing of what they said before is left."""

import pytest
from sqlmodel import select

from app.db import reading, writing
from models import Item, ItemKind, ItemResponse, LeakDecision, LeakFlag, LeakKind, Response
from tests.factories import add, make_response
from tests.web.setup_help import a_form, known, make

ICE = known("Is ice cold?", kind="gold", better="It is.", worse="It is not.")


def texts(database):
    with reading(database) as session:
        return sorted(session.exec(select(Response.text)))


@pytest.fixture
def study_id(stranger):
    return make(stranger, known_items=(known(), ICE))


def save(researcher, study_id, *known_items):
    answer = researcher.post(f"/studies/{study_id}/setup", data=a_form(known_items=known_items))
    assert answer.status_code == 303, answer.text


def test_what_an_edited_item_said_before_is_gone_with_its_flags(stranger, database, study_id):
    assert texts(database) == ["It is not.", "It is.", "No.", "Yes."]
    with writing(database) as session:
        old = session.exec(select(Response).where(Response.text == "Yes.")).one()
        flag = {"kind": next(iter(LeakKind)), "start": 0, "end": 3, "quote": "Yes"}
        add(session, LeakFlag(study_id=study_id, response_id=old.id, decision=LeakDecision.UNDECIDED, **flag))
    save(stranger, study_id, known(better="Yes, it is."), ICE)
    assert texts(database) == ["It is not.", "It is.", "No.", "Yes, it is."]
    with reading(database) as session:
        assert session.exec(select(LeakFlag)).all() == []
        assert len(session.exec(select(ItemResponse)).all()) == 4
        kinds = session.exec(select(Item.kind).where(Item.kind != ItemKind.REGULAR).order_by(Item.position)).all()
        assert kinds == [ItemKind.PRACTICE, ItemKind.GOLD]


def test_an_item_that_is_taken_out_leaves_nothing(stranger, database, study_id):
    save(stranger, study_id, ICE)
    assert texts(database) == ["It is not.", "It is."]
    save(stranger, study_id)
    assert texts(database) == []


def test_a_form_that_is_refused_removes_nothing(stranger, database, study_id):
    before = texts(database)
    answer = stranger.post(f"/studies/{study_id}/setup", data=a_form(known_items=(known(worse="Yes."), ICE)))
    assert answer.status_code == 422
    assert texts(database) == before


def test_a_response_something_else_refers_to_stays(stranger, database, study_id):
    with writing(database) as session:
        old = session.exec(select(Response).where(Response.text == "Yes.")).one()
        make_response(session, prompt="On and on", text="Yes. And more.", parent_id=old.id)
        make_response(session, text="Of somebody else")
    save(stranger, study_id, ICE)
    assert texts(database) == ["It is not.", "It is.", "Of somebody else", "Yes.", "Yes. And more."]
