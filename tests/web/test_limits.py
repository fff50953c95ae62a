"""Costly routes: how much one person and one network address may ask, and what those get who ask for more."""

import pytest

from app.accounts.access import ACCESS
from app.accounts.limits import PER_PERSON, SHARED_BY, Limits, costly, kinds_of
from app.accounts.throttle import WINDOW_S
from app.errors import TooManyRequestsError
from tests.web.api_help import program

COMPARE = ("POST", "/compare")


def test_every_costly_route_exists_and_every_call_of_a_program_counts():
    assert costly() <= ACCESS.keys()
    calls = [row for row, needed in ACCESS.items() if needed.value.startswith("a token")]
    assert calls
    assert all("call" in kinds_of(row) for row in calls)
    assert kinds_of(("GET", "/judge")) == ()


def test_too_many_are_told_how_long_to_wait_and_others_are_not_held_up(
    app, client_for, database, researcher, stranger, alice
):
    api = program(client_for, database, alice)
    form, body = {"prompt": " "}, {"prompt": " ", "checkpoints": ["base"]}
    for _ in range(PER_PERSON["comparison"] - 1):
        app.state.limits.take(COMPARE, person=alice.id, client="elsewhere")
    # Pages and programs of one person share what they may.
    assert researcher.post("/compare", data=form).status_code == 422
    for answer in (researcher.post("/compare", data=form), api.post("/api/v1/compare", json=body)):
        assert answer.status_code == 429
        assert 0 < int(answer.headers["retry-after"]) <= WINDOW_S
        assert "Wait 15 minutes" in answer.text
    assert set(api.post("/api/v1/compare", json=body).json()["error"]) == {"status", "message", "where", "remedy"}
    assert researcher.get("/explore").status_code == 200
    assert stranger.post("/compare", data=form).status_code == 422


def test_many_people_at_one_address_share_more_but_not_without_end():
    limits = Limits()
    people = [f"person {at}" for at in range(SHARED_BY)]
    for person in people:
        for _ in range(PER_PERSON["export"]):
            limits.take(("POST", "/studies/{study_id}/export"), person=person, client="one")
    with pytest.raises(TooManyRequestsError, match="exports"):
        limits.take(("POST", "/studies/{study_id}/export"), person="another", client="one")
    limits.take(("POST", "/studies/{study_id}/export"), person="another", client="two")


def test_judging_and_looking_are_never_counted(annotator, app, study):
    for _ in range(5):
        annotator.get("/judge")
    assert app.state.limits._by_client["call"]._memory._moments == {}
