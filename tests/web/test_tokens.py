"""Keys for programs: shown once, kept as hashes, of a form that scanners of secrets find, revocable."""

import json
import re

import pytest
from sqlmodel import select
from typer.testing import CliRunner

from app.accounts.queries import token_hash
from app.cli import cli
from app.db import reading
from app.errors import ConflictError
from models import ApiToken, AuditEvent
from tests.web.api_help import carrying, program, token_for
from tests.web.test_abuse_requests import stored

FORM = re.compile(r"tsh_[A-Za-z0-9_-]{43}")


def make(client, **over):
    return client.post("/account/tokens", data={"name": "nightly", "scopes": ["read"], "days": "30"} | over)


def test_a_token_is_shown_once_and_only_its_hash_is_kept(researcher, database, client_for):
    page = make(researcher)
    (secret,) = FORM.findall(page.text)
    assert secret not in researcher.get("/account/tokens").text
    assert "nightly" in researcher.get("/account/tokens").text
    with reading(database) as session:
        (token,) = session.exec(select(ApiToken)).all()
        assert (token.token_sha256, token.hint) == (token_hash(secret), secret[:8])
    assert secret not in str(stored(database))
    assert carrying(client_for, secret).get("/api/v1/me").status_code == 200


def test_no_two_tokens_are_alike_and_each_holds_256_random_bits(database, alice):
    found = {token_for(database, alice) for _ in range(20)}
    assert len(found) == 20
    assert all(FORM.fullmatch(one) for one in found)


def test_revoking_ends_a_token_at_once_and_only_ones_own(researcher, stranger, database, alice, client_for):
    client = program(client_for, database, alice)
    with reading(database) as session:
        token_id = session.exec(select(ApiToken.id)).one()
    assert stranger.post("/account/tokens/revoke", data={"token_id": token_id}).status_code == 404
    assert client.get("/api/v1/me").status_code == 200
    assert researcher.post("/account/tokens/revoke", data={"token_id": token_id}).status_code == 303
    assert client.get("/api/v1/me").status_code == 401
    with reading(database) as session:
        assert [event.action for event in session.exec(select(AuditEvent))] == ["token made", "token revoked"]


def test_when_a_token_was_last_used_is_kept_to_the_minute(database, alice, client_for):
    client = program(client_for, database, alice)
    used = []
    for _ in range(2):
        client.get("/api/v1/me")
        with reading(database) as session:
            used.append(session.exec(select(ApiToken.last_used_at)).one())
    assert used[0] is not None
    assert used[0] == used[1]


@pytest.mark.parametrize(
    "over",
    [
        {"name": " "},
        {"name": "x" * 81},
        {"scopes": ["all"]},
        {"scopes": []},
        {"days": "0"},
        {"days": "367"},
        {"days": "x"},
    ],
)
def test_a_form_that_cannot_be_says_what_is_wrong_and_makes_nothing(researcher, database, over):
    page = make(researcher, **over)
    assert page.status_code == 422
    assert 'role="alert"' in page.text
    with reading(database) as session:
        assert session.exec(select(ApiToken)).all() == []


def test_no_token_and_no_password_is_in_any_line_of_the_log(researcher, client_for, database, alice, capsys):
    capsys.readouterr()
    secret = FORM.search(make(researcher).text).group()
    client = carrying(client_for, secret)
    client.get("/api/v1/me")
    client.get(f"/api/v1/{secret}")
    client.post("/api/v1/compare", content=b"{")
    carrying(client_for, f"{secret}x").get("/api/v1/me")
    client_for().post("/login", data={"email": "alice@example.org", "password": "a password nobody has"})
    client_for().post("/login", data={"email": "a password nobody has", "password": "x"})
    said = "".join(capsys.readouterr())
    metrics = researcher.get("/metrics").text
    with reading(database) as session:
        audit = "\n".join(map(repr, session.exec(select(AuditEvent))))
    for text in (said, metrics, audit):
        assert secret not in text
        assert "a password nobody has" not in text


def test_tokens_from_the_command_line(settings, database, alice, monkeypatch, client_for):
    monkeypatch.setenv("TUNESHIFT_DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("TUNESHIFT_DATABASE_URL", settings.resolved_database_url)
    run = CliRunner().invoke
    made = run(cli, ["token", "add", "alice@example.org", "--scope", "read", "--scope", "export", "--name", "ci"])
    secret = made.stdout.strip()
    assert FORM.fullmatch(secret), made.output
    client = carrying(client_for, secret)
    assert client.get("/api/v1/me").json()["scopes"] == ["export", "read"]
    (listed,) = json.loads(run(cli, ["token", "list", "--json"]).stdout)
    assert (listed["email"], listed["name"], listed["valid"]) == ("alice@example.org", "ci", True)
    assert secret not in run(cli, ["token", "list"]).output
    assert run(cli, ["token", "revoke", listed["id"]]).exit_code == 0
    assert client.get("/api/v1/me").status_code == 401


def test_annotators_have_no_tokens(annotator, database, bob):
    assert make(annotator).status_code == 403
    with pytest.raises(ConflictError, match="for researchers"):
        token_for(database, bob)
