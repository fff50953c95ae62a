"""The audit log: what people and programs do is in it, nothing changes it, owners read it."""

import csv
import io

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError
from sqlmodel import select

from app.accounts import write_down
from app.accounts.audit import PAGE, record
from app.accounts.passwords import hash_password
from app.accounts.queries import create_invite
from app.db import reading, writing
from app.errors import InvalidInputError
from models import AuditEvent, Export, ExportState, GenerationState, ItemResponse, Role, User
from tests.factories import PASSWORD
from tests.web.generation_help import count, make_draft, post, runs, script, until


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


def said(database):
    """List (action, person, what it was done to, detail) of the server's own entries, in their order."""
    with reading(database) as session:
        query = select(AuditEvent).order_by(AuditEvent.created_at, AuditEvent.id)
        return [(one.action, one.user_id, one.about, one.detail) for one in session.exec(query)]


def the_export(database):
    with reading(database) as session:
        return session.exec(select(Export)).one()


def test_exports_and_tables_are_in_it_once_for_each_time_they_leave(researcher, database, study, alice):
    researcher.post(f"/studies/{study.id}/export", data={"external_ids": "yes"})
    until(lambda: the_export(database).state == ExportState.DONE, "the export")
    export = the_export(database)
    link = f"/studies/{study.id}/exports/{export.id}"
    assert researcher.get(link).status_code == 200
    # One that goes on where it broke off is no second one.
    assert researcher.get(link, headers={"range": "bytes=0-99"}).status_code == 206
    assert researcher.get(link, headers={"range": "bytes=100-"}).status_code == 206
    assert researcher.get(f"/studies/{study.id}/export/preferences.csv").status_code == 200
    assert researcher.get(f"/studies/{study.id}/export/nonsense.csv").status_code == 404
    ids = "with the ids of recruiting platforms"
    of = ("export downloaded", alice.id, study.id, f"of {export.as_of:%Y-%m-%d %H:%M} UTC {ids}")
    assert said(database) == [
        ("export begun", alice.id, study.id, ids),
        of,
        of,
        ("table downloaded", alice.id, study.id, "preferences.csv"),
    ]
    found = rows_of(researcher, f"?study={study.id}&action=table downloaded")
    assert [(row["who"], row["about"], row["detail"]) for row in found] == [("Alice", "kettles", "preferences.csv")]
    assert found[0]["client"].startswith("c")


def test_what_cannot_be_written_down_is_not_handed_out(researcher, app, study, monkeypatch):
    def broken(*_asked, **_over):
        raise InvalidInputError("The log takes nothing.")

    monkeypatch.setattr(write_down, "record", broken)
    answer = researcher.get(f"/studies/{study.id}/export/preferences.csv")
    assert answer.status_code == 422
    assert "presentation_id" not in answer.text


def test_runs_of_generation_and_scoring_are_in_it(researcher, database, alice, scripted_engines):
    draft = make_draft(database, alice, prompts=("One?",), arms=("base", "lft"))
    script(scripted_engines, "lft", stall_at=1)
    post(researcher, draft)
    post(researcher, draft, "stop")
    script(scripted_engines, "lft", stall_at=None)
    post(researcher, draft)
    until(lambda: count(database, ItemResponse) == 2, "the responses")
    until(lambda: runs(database)[-1].state == GenerationState.DONE, "the end of the run")
    link = f"/studies/{draft.id}/scoring"
    researcher.post(f"{link}/start", data={"reader": "sft"})
    until(lambda: "Done:" in researcher.get(link).text, "the end of the scoring")
    found = [
        (row["who"], row["action"], row["detail"])
        for row in reversed(rows_of(researcher, f"?study={draft.id}"))
        if row["action"] in {"generation", "scoring"}
    ]
    assert [(who, detail.partition(".")[0]) for who, _, detail in found if who] == [
        ("Alice", "Began to generate 2 responses"),
        ("Alice", found[1][2].partition(".")[0]),
        ("Alice", found[2][2].partition(".")[0]),
        ("Alice", "Began to score 2 responses"),
    ]
    assert found[1][2].endswith("Stopped by Alice. What was generated is kept.")
    assert found[2][2].startswith("Began to generate")
    assert [action for who, action, _ in found if not who] == ["generation", "scoring"]


def test_only_owners_see_it(stranger, annotator):
    for client in (stranger, annotator):
        assert client.get("/audit").status_code == 403
        assert client.get("/audit.csv").status_code == 403
