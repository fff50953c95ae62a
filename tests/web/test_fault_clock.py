"""12: the server's clock set forward and back, through the routes: nothing is lost, negative or reserved for ever."""

import csv
import io
import re
from datetime import UTC, datetime, timedelta

import pytest
from bs4 import BeautifulSoup
from itsdangerous import TimestampSigner
from sqlmodel import col, select

from app.accounts.queries import create_invite
from app.db import reading, writing
from app.judging.queries import aware
from models import Invite, Membership, Presentation, PresentationState, Revision, Role, base
from tests.factories import fill_study, make_member, make_user
from tests.web.judging_help import an_answer, change, page_data, post, take

LEASE_S = 3_600
NEGATIVE = re.compile(r"(?<![\w.–-])[-−]\d")


class Clock:
    """The clock of everything in this process that asks for the time of day."""

    def __init__(self):
        self.ahead = timedelta()

    def set(self, **ahead):
        """Put the clock so far from the true time."""
        self.ahead = timedelta(**ahead)

    def now(self, _zone=UTC):
        return datetime.now(UTC) + self.ahead


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(base, "datetime", clock)
    monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda _self: int(clock.now().timestamp()))
    return clock


@pytest.fixture
def dora(client_for, database, study):
    """A second annotator of the study."""
    with writing(database) as session:
        fill_study(session, study, prompts=("One?",))
        user = make_user(session, email="dora@example.org", name="Dora")
        make_member(session, study=study, user=user, pid="a2")
    change(database, study, overlap=1)
    return client_for(user)


def leases(database):
    with reading(database) as session:
        held = select(Presentation.leased_until).where(Presentation.state == PresentationState.LEASED)
        return [aware(moment) for moment in session.exec(held).all()]


def counted(database, study):
    """Judgments and reservations of the one item, which has one place."""
    states = (PresentationState.LEASED, PresentationState.SUBMITTED)
    with reading(database) as session:
        return len(session.exec(select(Presentation).where(col(Presentation.state).in_(states))).all())


@pytest.mark.parametrize("back", [{}, {"minutes": -90}, {"days": -10}])
def test_case_12_a_clock_set_over_the_end_of_a_lease_and_back_leaves_one_in_the_place(
    clock, annotator, dora, study, database, back
):
    mine = take(annotator, study)
    assert post(annotator, mine, "draft", an_answer(comment="begun")).json()["revision"] == 1
    assert take(dora, study) is None
    clock.set(hours=2)
    theirs = take(dora, study)
    assert theirs
    clock.set(**back)
    # The reservation that ended while the clock was ahead does not come back beside the one that followed it.
    refused = post(annotator, mine, "submit", an_answer(base_revision=1))
    assert refused.status_code == 409
    assert refused.json()["error"]["remedy"]
    assert page_data(annotator, mine)["answer"]["comment"] == "begun"
    assert post(dora, theirs, "submit", an_answer()).status_code == 200
    assert counted(database, study) == 1


def test_case_12_a_clock_far_ahead_reserves_nothing_for_long(clock, annotator, dora, study, database):
    mine = take(annotator, study)
    clock.set(days=13)
    assert annotator.post(f"/judge/{mine}/heartbeat").json() == {"lease_s": LEASE_S}
    clock.set()
    assert page_data(annotator, mine)["lease_s"] >= 0
    # Whoever asks next puts the reservation back to what it would be by the right clock.
    assert take(dora, study) is None
    (until,) = leases(database)
    assert until <= datetime.now(UTC) + timedelta(seconds=LEASE_S)
    clock.set(hours=2)
    assert take(dora, study)


def test_case_12_a_heartbeat_after_the_clock_went_back_reserves_from_the_new_time(
    clock, annotator, study, dora, database
):
    clock.set(days=1)
    mine = take(annotator, study)
    clock.set()
    assert annotator.post(f"/judge/{mine}/heartbeat").json() == {"lease_s": LEASE_S}
    (until,) = leases(database)
    assert until <= datetime.now(UTC) + timedelta(seconds=LEASE_S)
    assert 0 < page_data(annotator, mine)["lease_s"] <= LEASE_S


def test_case_12_saves_made_while_the_clock_jumps_are_all_kept_in_their_order(
    clock, annotator, researcher, dora, study, database
):
    mine = take(annotator, study)
    for number, ahead in enumerate(({"days": 2}, {}, {"days": -2}, {"minutes": 5})):
        clock.set(**ahead)
        answer = an_answer(comment=f"at {ahead}", base_revision=number)
        kind = "submit" if number == 3 else "draft"
        assert post(annotator, mine, kind, answer).json()["revision"] == number + 1
        assert page_data(annotator, mine)["answer"]["comment"] == f"at {ahead}"
    clock.set(days=-2)
    assert page_data(annotator, mine)["answer"]["revision"] == 4
    # Corrected, by a clock that says it was before the judgment was made.
    assert post(annotator, mine, "submit", an_answer(comment="last", base_revision=4)).json()["revision"] == 5
    clock.set()
    with reading(database) as session:
        numbers = session.exec(select(Revision.number).order_by(col(Revision.number))).all()
    assert numbers == [1, 2, 3, 4, 5]
    sheet = researcher.get(f"/studies/{study.id}/export/preferences.csv").text
    (row,) = csv.DictReader(io.StringIO(sheet, newline=""))
    assert (row["revision"], row["comment"]) == ("5", "last")
    assert int(row["active_ms"]) >= 0
    assert int(row["wall_ms"]) >= 0


def test_case_12_no_page_tells_a_time_below_nothing(clock, annotator, researcher, dora, study):
    clock.set(days=3)
    mine = take(annotator, study)
    clock.set()
    assert post(annotator, mine, "submit", an_answer()).status_code == 200
    clock.set(days=-3)
    pages = [
        annotator.get("/judge?stay"),
        annotator.get("/judge/history"),
        *(researcher.get(f"/studies/{study.id}{page}") for page in ("", "/monitor", "/people", "/judgments")),
    ]
    for page in pages:
        assert page.status_code == 200, page.url
        soup = BeautifulSoup(page.text, "html.parser")
        for other in soup(["script", "style", "svg"]):
            other.decompose()
        assert not NEGATIVE.search(soup.get_text(" ")), page.url


@pytest.mark.parametrize("ahead", [{"seconds": -2}, {"days": -13}, {"days": 13}])
def test_a_clock_put_right_signs_nobody_out(clock, annotator, ahead):
    clock.set(**ahead)
    assert annotator.get("/judge?stay").status_code == 200


@pytest.mark.parametrize("ahead", [{"days": -15}, {"days": 15}])
def test_but_no_session_outlives_its_days_either_way(clock, annotator, ahead):
    clock.set(**ahead)
    assert annotator.get("/judge?stay").headers["location"].startswith("/login")


def test_an_invitation_ends_by_the_clock_of_the_moment_and_is_used_once(clock, anonymous, database, study):
    with writing(database) as session:
        token = create_invite(session, role=Role.ANNOTATOR, created_by=study.created_by, study_id=study.id, days=14)
    clock.set(days=15)
    assert anonymous.get(f"/invite/{token}").status_code == 410
    clock.set(days=-30)
    assert anonymous.get(f"/invite/{token}").status_code == 200
    sent = {"email": "eve@example.org", "name": "Eve", "password": "correct horse battery"}
    assert anonymous.post(f"/invite/{token}", data=sent).status_code == 303
    with reading(database) as session:
        assert session.exec(select(Invite.used_at)).one() is not None
        assert len(session.exec(select(Membership)).all()) == 2
    clock.set()
    assert anonymous.post(f"/invite/{token}", data=sent | {"email": "mallory@example.org"}).status_code == 410
