"""What a person can see and take away of themselves, and what is gone and what stays when they are removed."""

import csv
import hashlib
import io
import json
from datetime import timedelta

import pytest
from sqlmodel import select
from typer.testing import CliRunner

from app.accounts.queries import create_invite, join_study
from app.accounts.removal import REMOVED_NAME, is_removed, remove_person
from app.cli import cli
from app.db import reading, writing
from app.errors import ConflictError
from app.results.queries import iter_table
from app.results.state import fingerprint
from models import AuditEvent, Membership, MemberState, Role, Study, StudyState, User, WithdrawalPolicy
from models.base import now
from tests.factories import fill_study, make_study
from tests.web.judging_help import an_answer, change, post, take
from tests.web.test_abuse_requests import stored


@pytest.fixture
def judged(database, study, annotator, bob):
    with writing(database) as session:
        fill_study(session, session.get_one(Study, study.id))
        member = session.get_one(Membership, (study.id, bob.id))
        member.external_id = "prolific-5f3a"
    sent = an_answer(comment="The left one is clearer.", recognised_model=True, recognised_guess="a guess")
    assert post(annotator, take(annotator, study), "submit", sent).status_code == 200
    take(annotator, study)
    return study


def table(database, study, name="annotators.csv", *, external_ids=False):
    with reading(database) as session:
        return "".join(iter_table(session, session.get_one(Study, study.id), name, external_ids=external_ids))


def dump(database):
    return "\n".join(row for rows in stored(database).values() for row in rows)


def test_a_person_takes_away_what_they_gave_and_learns_no_model_and_no_pseudonym(annotator, judged):
    answer = annotator.get("/account/data")
    assert "attachment" in answer.headers["content-disposition"]
    found = answer.json()
    assert (found["account"]["email"], found["account"]["name"]) == ("bob@example.org", "Bob")
    (study,) = found["studies"]
    (given,) = study["answers"]
    assert (study["external_id"], given["comment"], given["preference"]) == (
        "prolific-5f3a",
        "The left one is clearer.",
        "left",
    )
    assert not [word for word in ("lft", "sft", "a00000000001", "arm", "response") if word in answer.text]


def test_removal_leaves_no_trace_of_the_person_and_every_judgment(researcher, database, judged, bob):
    with writing(database) as session:
        create_invite(session, role=Role.ANNOTATOR, days=1, user_id=bob.id, note="for Bob the builder")
    before = {name: table(database, judged, name) for name in ("preferences.csv", "ratings.csv")}
    asked = researcher.post(f"/accounts/{bob.id}/remove", data={"word": "yes"})
    assert asked.status_code == 422
    assert "bob@example.org" in dump(database)
    assert researcher.post(f"/accounts/{bob.id}/remove", data={"word": "remove"}).status_code == 303
    kept = dump(database)
    assert not [word for word in ("bob@example.org", "Bob", "prolific-5f3a", "builder") if word in kept]
    assert {name: table(database, judged, name) for name in before} == before
    assert "The left one is clearer." in before["preferences.csv"]
    with reading(database) as session:
        user = session.get_one(User, bob.id)
        assert (user.name, is_removed(user), user.password_hash) == (REMOVED_NAME, True, None)
        assert session.get_one(Membership, (judged.id, bob.id)).pid == "a00000000001"
        events = session.exec(select(AuditEvent).where(AuditEvent.action == "person removed")).all()
        assert [(one.user_id, one.about) for one in events] == [(judged.created_by, bob.id)]


def test_whoever_is_removed_is_signed_out_and_gives_back_what_they_hold(annotator, client_for, database, judged, bob):
    assert annotator.get("/judge").status_code in {200, 303}
    with writing(database) as session:
        remove_person(session, session.get_one(User, bob.id), by=None, now=now())
    assert annotator.get("/judge").headers["location"].startswith("/login")
    with reading(database) as session:
        assert session.get_one(Membership, (judged.id, bob.id)).state is MemberState.WITHDRAWN


@pytest.mark.parametrize(("policy", "same"), [(WithdrawalPolicy.KEEP, True), (WithdrawalPolicy.EXCLUDE, False)])
def test_a_closed_study_changes_by_a_removal_only_where_its_policy_says_so(database, judged, bob, policy, same):
    change(database, judged, state=StudyState.CLOSED, withdrawal=policy)
    with writing(database) as session:
        session.get_one(Membership, (judged.id, bob.id)).external_id = None
    hashes = []
    for _ in range(2):
        with reading(database) as session:
            study = session.get_one(Study, judged.id)
            tables = "".join(table(database, judged, name) for name in ("annotators.csv", "preferences.csv"))
            hashes.append(
                (fingerprint(session, study, external_ids=False), hashlib.sha256(tables.encode()).hexdigest())
            )
        with writing(database) as session:
            remove_person(session, session.get_one(User, bob.id), by=None, now=now() + timedelta(minutes=1))
    assert (hashes[0] == hashes[1]) is same
    (row,) = csv.DictReader(io.StringIO(table(database, judged, "preferences.csv"), newline=""))
    assert row["excluded"] == ("false" if same else "true")


def test_a_person_asks_once_and_owners_see_it_first(annotator, researcher, database, study, bob):
    for _ in range(2):
        assert annotator.post("/account/removal").status_code == 303
    assert "You have asked to be removed" in annotator.get("/account").text
    page = researcher.get("/accounts").text.partition("<tbody>")[2]
    assert page.index("bob@example.org") < page.index("alice@example.org")
    assert page.count("asked to be removed</span>") == 1
    with reading(database) as session:
        assert len(session.exec(select(AuditEvent).where(AuditEvent.action == "deletion asked")).all()) == 1


def test_the_last_owner_stays(database, alice, carol):
    with pytest.raises(ConflictError, match="last owner"), writing(database) as session:
        remove_person(session, session.get_one(User, alice.id), by=None, now=now())
    with writing(database) as session:
        session.get_one(User, carol.id).role = Role.OWNER
        remove_person(session, session.get_one(User, alice.id), by=carol.id, now=now())
    assert "alice@example.org" not in dump(database)


def test_removal_from_the_command_line_asks_first(settings, database, bob, monkeypatch):
    monkeypatch.setenv("TUNESHIFT_DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("TUNESHIFT_DATABASE_URL", settings.resolved_database_url)
    run = CliRunner().invoke
    assert run(cli, ["user", "remove", "bob@example.org"], input="n\n").exit_code == 1
    assert "bob@example.org" in dump(database)
    assert run(cli, ["user", "remove", "BOB@example.org", "--yes"]).exit_code == 0
    assert "bob@example.org" not in dump(database)


def test_pseudonyms_of_one_person_in_two_studies_share_nothing(database, alice, bob, app):
    with writing(database) as session:
        pids = []
        for slug in ("one", "two"):
            study = make_study(session, owner=alice, slug=slug)
            pids.append(join_study(session, study_id=study.id, user_id=bob.id, secret=app.state.secret).pid)
    assert pids[0] != pids[1]
    assert json.dumps(pids).count(bob.id) == 0
