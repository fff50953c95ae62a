"""The audit log: what people and programs do is in it, nothing changes it, owners read it."""

import csv
import io

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError
from sqlmodel import select

from app.accounts.audit import PAGE, record
from app.accounts.passwords import hash_password
from app.accounts.queries import create_invite
from app.db import reading, writing
from models import AuditEvent, Role, User
from tests.factories import PASSWORD


def logged(database):
    with reading(database) as session:
        return [
            (one.action, one.user_id, one.about)
            for one in session.exec(select(AuditEvent).order_by(AuditEvent.created_at, AuditEvent.id))
        ]


def rows_of(client, query=""):
    return list(csv.DictReader(io.StringIO(client.get(f"/audit.csv{query}").text)))


@pytest.mark.parametrize("statement", ["UPDATE auditevent SET detail = 'x'", "DELETE FROM auditevent"])
def test_no_entry_is_ever_changed_or_removed(database, statement):
    with writing(database) as session:
        record(session, by=None, action="tried")
    with pytest.raises(DatabaseError, match="append-only"), writing(database) as session:
        session.execute(text(statement))


def test_signing_in_and_failing_to_is_in_it_without_a_word_that_was_typed(anonymous, database, alice):
    with writing(database) as session:
        session.get_one(User, alice.id).password_hash = hash_password(PASSWORD)
    for email, password in (("alice@example.org", "wrong horse"), ("nobody@example.org", "x"), (alice.email, PASSWORD)):
        anonymous.post("/login", data={"email": email, "password": password})
    anonymous.post("/logout")
    assert logged(database) == [
        ("sign-in failed", None, alice.id),
        ("sign-in failed", None, ""),
        ("signed in", alice.id, ""),
        ("signed out", alice.id, ""),
    ]
    with reading(database) as session:
        events = session.exec(select(AuditEvent)).all()
        assert len({one.client for one in events}) == 1
        said = "\n".join(f"{one}" for one in events)
    assert not [word for word in ("wrong horse", "nobody@", "alice@", "testclient", PASSWORD) if word in said]


def test_a_new_role_is_in_it_with_who_gave_it(client_for, database, alice, bob):
    with writing(database) as session:
        token = create_invite(session, role=Role.RESEARCHER, days=1, created_by=alice.id)
    client_for(bob).post(f"/invite/{token}")
    assert ("role changed", alice.id, bob.id) in logged(database)


def test_an_owner_reads_filters_and_downloads_the_log_of_server_and_studies(researcher, database, study, alice, bob):
    with writing(database) as session:
        for at in range(PAGE + 5):
            record(session, by=bob.id, action="looked", detail=f"number {at:03d}")
        record(session, by=None, action="=cmd|x", about=bob.id, detail="<b>bold</b>")
    researcher.post(f"/studies/{study.id}/state", data={"state": "paused"})
    page = researcher.get("/audit")
    assert "state: paused" in page.text
    assert "Kettles" not in page.text
    assert "kettles" in page.text
    assert "&lt;b&gt;bold" in page.text
    assert "number 000" not in page.text
    assert "number 000" in researcher.get("/audit?page=2").text
    only = researcher.get("/audit?action=state: paused").text
    assert "number" not in only
    assert researcher.get(f"/audit?who={bob.id}&action=looked&page=2").text.count("number 0") == 5
    assert "state: paused" in researcher.get(f"/audit?study={study.id}").text
    assert "number" not in researcher.get("/audit?since=2100-01-01").text
    assert researcher.get("/audit?since=yesterday").status_code == 422
    found = rows_of(researcher)
    assert len(found) == PAGE + 8
    assert {row["who"] for row in found} == {"Alice", "Bob", ""}
    assert {row["action"] for row in found} == {"looked", "state: paused", "'=cmd|x", "audit log downloaded"}
    assert len(rows_of(researcher, "?action=looked")) == PAGE + 5


def test_only_owners_see_it(stranger, annotator):
    for client in (stranger, annotator):
        assert client.get("/audit").status_code == 403
        assert client.get("/audit.csv").status_code == 403
