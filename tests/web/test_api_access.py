"""Who gets what from the interface for programs: every route with every kind of token, written down, not computed."""

from datetime import timedelta

import pytest
from sqlmodel import select

from app.accounts.access import ACCESS
from app.db import reading, writing
from models import ApiToken, Role, User
from models.base import now
from tests.web.api_help import carrying, program, token_for
from tests.web.test_access import place as place  # noqa: PLC0414  a fixture

# What a token needs, and what the study's researcher, with all scopes, gets.
ROWS = {
    ("GET", "/api/v1/me"): ("read", 200),
    ("GET", "/api/v1/checkpoints"): ("read", 200),
    ("POST", "/api/v1/compare"): ("run", 200),
    ("GET", "/api/v1/comparisons/{comparison_id}"): ("read", 200),
    ("POST", "/api/v1/score"): ("run", 200),
    ("GET", "/api/v1/studies"): ("read", 200),
    ("POST", "/api/v1/studies"): ("run", 201),
    ("GET", "/api/v1/studies/{study_id}"): ("read", 200),
    ("POST", "/api/v1/studies/{study_id}/prompts"): ("run", 409),  # it is open
    ("POST", "/api/v1/studies/{study_id}/state"): ("run", 200),
    ("GET", "/api/v1/studies/{study_id}/judgments"): ("read", 200),
    ("GET", "/api/v1/studies/{study_id}/results"): ("read", 200),
    ("GET", "/api/v1/studies/{study_id}/exports"): ("export", 200),
    ("POST", "/api/v1/studies/{study_id}/exports"): ("export", 202),
    ("GET", "/api/v1/studies/{study_id}/exports/{export_id}"): ("export", 200),
    ("GET", "/api/v1/studies/{study_id}/exports/{export_id}/file"): ("export", 200),
    ("GET", "/api/v1/studies/{study_id}/tables/{table}"): ("export", 200),
}
BODIES = {
    "/api/v1/compare": {"prompt": "Why?", "checkpoints": ["base"], "max_tokens": 4},
    "/api/v1/score": {"base": "base", "tuned": "lft", "records": [{"id": 1, "prompt": "Why?", "response": "So."}]},
    "/api/v1/studies": {"name": "Rivers"},
    "/api/v1/studies/{study_id}/state": {"state": "paused"},
    "/api/v1/studies/{study_id}/exports": {},
}


def send(client, place, row):
    method, path = row
    return client.request(method, place(path)[0], json=BODIES.get(path)), path


def test_every_route_for_programs_is_written_down_here():
    assert set(ROWS) == {row for row, needed in ACCESS.items() if needed.value.startswith("a token")}


def test_each_route_takes_the_scope_it_needs_and_no_other(place, client_for, database, alice):
    clients = {scope: program(client_for, database, alice, scope) for scope in ("read", "run", "export")}
    for row, (needed, status) in ROWS.items():
        for scope, client in clients.items():
            answer, path = send(client, place, row)
            assert answer.status_code == (status if scope == needed else 403), (row, scope, answer.text[:300])
            if scope != needed:
                assert needed in answer.json()["error"]["remedy"], path


def test_a_stranger_finds_no_study_and_an_annotator_nothing(place, client_for, database, carol):
    theirs = program(client_for, database, carol)
    for row in ROWS:
        if "{study_id}" in row[1]:
            answer, path = send(theirs, place, row)
            assert answer.status_code == 404, path
    assert theirs.get("/api/v1/studies").json() == []
    with writing(database) as session:
        session.get_one(User, carol.id).role = Role.ANNOTATOR
    for row in ROWS:
        answer, path = send(theirs, place, row)
        assert answer.status_code == 403, path


@pytest.mark.parametrize(
    "header", ["", "Bearer ", "Bearer tsh_unknown", "Basic dTpw", "Bearer {cut}", "{bare}", "Bearer {hash}"]
)
def test_nothing_but_a_whole_token_opens_anything_and_a_cookie_never_does(
    place, client_for, database, alice, researcher, header
):
    secret = token_for(database, alice)
    with reading(database) as session:
        kept = session.exec(select(ApiToken.token_sha256)).one()
    value = header.format(cut=secret[:-1], bare=secret, hash=kept)
    for client in (client_for(), researcher):
        for row in ROWS:
            path, _ = place(row[1])
            answer = client.request(row[0], path, json=BODIES.get(row[1]), headers={"Authorization": value})
            assert answer.status_code == 401, row
            assert answer.headers["www-authenticate"] == "Bearer"
            assert set(answer.json()["error"]) == {"status", "message", "where", "remedy"}


def test_a_token_ends_when_it_is_over_revoked_or_its_person_switched_off(client_for, database, alice, carol):
    over = carrying(client_for, token_for(database, alice, days=1, made=timedelta(days=1, seconds=1)))
    assert over.get("/api/v1/me").status_code == 401
    valid = program(client_for, database, carol, "read")
    assert valid.get("/api/v1/me").json()["scopes"] == ["read"]
    with writing(database) as session:
        session.get_one(User, carol.id).disabled_at = now()
    assert valid.get("/api/v1/me").status_code == 401
    with writing(database) as session:
        session.get_one(User, carol.id).disabled_at = None
    assert valid.get("/api/v1/me").status_code == 200


def test_a_page_takes_no_token(client_for, database, alice):
    client = program(client_for, database, alice)
    assert client.get("/studies").status_code == 303
    assert client.post("/compare", data={"prompt": "Why?"}).status_code == 401


def test_another_website_can_use_neither_cookie_nor_token(client_for, database, alice, researcher):
    evil = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    assert researcher.post("/api/v1/studies", json={"name": "x"}, headers=evil).status_code == 403
    with_token = program(client_for, database, alice)
    answer = with_token.options("/api/v1/studies", headers=evil | {"Access-Control-Request-Method": "POST"})
    assert answer.status_code == 405
    assert not [name for name in answer.headers if name.startswith("access-control")]
