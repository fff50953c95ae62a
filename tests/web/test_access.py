"""Every row of the access table, as everyone: the answer is written down here, not computed from the table."""

from typing import NamedTuple

import pytest
from sqlmodel import SQLModel

from app.accounts.access import ACCESS, Access, check_table
from app.accounts.queries import create_invite, new_token, token_hash
from app.database.digest import digest_of
from app.db import reading, writing
from models import (
    Comparison,
    ComparisonColumn,
    Evidence,
    Exclusion,
    Export,
    ExportState,
    ImportState,
    Role,
    RunState,
    ScoredFile,
    Study,
    TuningInstance,
    TuningSet,
    User,
)
from models.base import now
from tests.factories import fill_study, make_response
from tests.web.judging_help import a_form, take

SIGN_IN = 303  # to /login, for a page; a write or a stream gets 401


class Expected(NamedTuple):
    """What an anonymous visitor, an annotator, a researcher of other studies, and the study's own researcher get."""

    anonymous: int
    annotator: int
    stranger: int
    researcher: int


NOBODY = Expected(401, 401, 401, 401)

# 404 for the stranger where the thing is Alice's or Bob's. Comparisons are shared among researchers by their link.
EXPECTED = {
    ("GET", "/healthz"): Expected(200, 200, 200, 200),
    ("GET", "/readyz"): Expected(200, 200, 200, 200),
    ("GET", "/metrics"): Expected(200, 200, 200, 200),
    ("GET", "/"): Expected(200, 303, 303, 303),
    ("GET", "/login"): Expected(200, 303, 303, 303),
    ("POST", "/login"): Expected(422, 422, 422, 422),
    ("POST", "/logout"): Expected(401, 303, 303, 303),
    ("GET", "/invite/{token}"): Expected(200, 200, 200, 200),
    ("POST", "/invite/{token}"): Expected(422, 303, 303, 303),
    ("GET", "/account"): Expected(SIGN_IN, 200, 200, 200),
    ("GET", "/account/tokens"): Expected(SIGN_IN, 403, 200, 200),
    ("POST", "/account/tokens"): Expected(401, 403, 422, 422),
    ("POST", "/account/tokens/revoke"): Expected(401, 403, 422, 422),
    ("GET", "/account/data"): Expected(SIGN_IN, 200, 200, 200),
    ("POST", "/account/removal"): Expected(401, 303, 303, 303),
    ("GET", "/accounts"): Expected(SIGN_IN, 403, 403, 200),
    ("GET", "/accounts/{user_id}/remove"): Expected(SIGN_IN, 403, 403, 200),
    # Nothing happens without a word that confirms it.
    ("POST", "/accounts/{user_id}/remove"): Expected(401, 403, 403, 422),
    ("GET", "/audit"): Expected(SIGN_IN, 403, 403, 200),
    ("GET", "/audit.csv"): Expected(SIGN_IN, 403, 403, 200),
    ("GET", "/join/{open_token}"): Expected(200, 200, 200, 200),
    # Whoever may see the study cannot judge blind in it, so its link takes them not.
    ("POST", "/join/{open_token}"): Expected(303, 303, 303, 409),
    ("GET", "/studies/{study_id}/people"): Expected(SIGN_IN, 403, 404, 200),
    ("GET", "/studies/{study_id}/people/{pid}"): Expected(SIGN_IN, 403, 404, 200),
    ("POST", "/studies/{study_id}/people/{pid}/pause"): Expected(401, 403, 404, 303),
    ("POST", "/studies/{study_id}/people/{pid}/remove"): Expected(401, 403, 404, 303),
    ("POST", "/studies/{study_id}/people/{pid}/resume"): Expected(401, 403, 404, 303),
    ("POST", "/studies/{study_id}/people/{pid}/try"): Expected(401, 403, 404, 409),
    ("POST", "/studies/{study_id}/people/invites"): Expected(401, 403, 404, 200),
    ("POST", "/studies/{study_id}/people/invites/revoke"): Expected(401, 403, 404, 303),
    ("POST", "/studies/{study_id}/people/link"): Expected(401, 403, 404, 200),
    ("GET", "/checkpoints"): Expected(SIGN_IN, 403, 200, 200),
    ("POST", "/checkpoints/check"): Expected(401, 403, 303, 303),
    ("POST", "/checkpoints/load"): Expected(401, 403, 403, 422),
    ("POST", "/checkpoints/unload"): Expected(401, 403, 403, 422),
    ("GET", "/explore"): Expected(SIGN_IN, 403, 200, 200),
    ("GET", "/explore/{comparison_id}"): Expected(SIGN_IN, 403, 200, 200),
    ("GET", "/explore/{comparison_id}/responses/{position}/tokens/{index}"): Expected(SIGN_IN, 403, 200, 200),
    ("POST", "/compare"): Expected(401, 403, 303, 303),
    ("GET", "/compare/{comparison_id}/stream"): Expected(SIGN_IN, 403, 200, 200),
    ("POST", "/compare/{comparison_id}/stop"): Expected(401, 403, 303, 303),
    ("GET", "/responses/new"): Expected(SIGN_IN, 403, 200, 200),
    ("POST", "/responses"): Expected(401, 403, 303, 303),
    ("GET", "/responses/{response_id}"): Expected(SIGN_IN, 403, 200, 200),
    ("POST", "/responses/{response_id}/readings"): Expected(401, 403, 303, 303),
    ("GET", "/responses/{response_id}/measures"): Expected(SIGN_IN, 403, 200, 200),
    ("GET", "/responses/{response_id}/tokens/{index}"): Expected(SIGN_IN, 403, 200, 200),
    ("POST", "/responses/{response_id}/fork"): Expected(401, 403, 303, 303),
    ("GET", "/responses/{response_id}/branches"): Expected(SIGN_IN, 403, 200, 200),
    ("GET", "/responses/{response_id}/export.{format_}"): Expected(SIGN_IN, 403, 200, 200),
    ("GET", "/explore/{comparison_id}/export.{format_}"): Expected(SIGN_IN, 403, 200, 200),
    ("GET", "/traces"): Expected(SIGN_IN, 403, 200, 200),
    ("GET", "/traces/types"): Expected(SIGN_IN, 403, 200, 200),
    ("GET", "/traces/table"): Expected(SIGN_IN, 403, 200, 200),
    ("GET", "/traces/progress"): Expected(SIGN_IN, 403, 200, 200),
    ("GET", "/traces/files"): Expected(SIGN_IN, 403, 200, 200),
    ("POST", "/traces/files"): Expected(401, 403, 422, 422),
    ("GET", "/traces/files/{file_id}"): Expected(SIGN_IN, 403, 200, 200),
    ("GET", "/responses/{response_id}/shifted"): Expected(SIGN_IN, 403, 200, 200),
    ("GET", "/lexicon"): Expected(SIGN_IN, 403, 200, 200),
    ("POST", "/lexicon"): Expected(401, 403, 303, 303),
    ("GET", "/tuning-sets"): Expected(SIGN_IN, 403, 200, 200),
    ("POST", "/tuning-sets"): Expected(401, 403, 422, 422),
    ("GET", "/tuning-sets/{set_id}"): Expected(SIGN_IN, 403, 200, 200),
    ("GET", "/tuning-sets/{set_id}/progress"): Expected(SIGN_IN, 403, 303, 303),
    ("GET", "/tuning-sets/{set_id}/instances/{position}"): Expected(SIGN_IN, 403, 200, 200),
    ("POST", "/tuning-sets/{set_id}/uses"): Expected(401, 403, 303, 303),
    ("POST", "/tuning-sets/{set_id}/retry"): Expected(401, 403, 409, 409),
    ("POST", "/tuning-sets/{set_id}/delete"): Expected(401, 403, 303, 303),
    ("GET", "/responses/{response_id}/sources"): Expected(SIGN_IN, 403, 200, 200),
    ("GET", "/responses/{response_id}/sources/{set_id}/{position}"): Expected(SIGN_IN, 403, 200, 200),
    ("GET", "/studies/{study_id}/borrowing"): Expected(SIGN_IN, 403, 404, 200),
    ("POST", "/studies/{study_id}/borrowing"): Expected(401, 403, 404, 303),
    ("GET", "/studies/{study_id}/borrowing.csv"): Expected(SIGN_IN, 403, 404, 200),
    ("GET", "/studies/{study_id}/leaks"): Expected(SIGN_IN, 403, 404, 200),
    ("POST", "/studies/{study_id}/leaks"): Expected(401, 403, 404, 422),
    ("POST", "/studies/{study_id}/leaks/scan"): Expected(401, 403, 404, 303),
    ("GET", "/studies"): Expected(SIGN_IN, 403, 200, 200),
    ("POST", "/studies"): Expected(401, 403, 422, 422),
    ("GET", "/studies/new"): Expected(SIGN_IN, 403, 200, 200),
    ("POST", "/studies/preview"): Expected(401, 403, 200, 200),
    ("POST", "/studies/imports"): Expected(401, 403, 422, 422),
    ("GET", "/studies/{study_id}"): Expected(SIGN_IN, 403, 404, 200),
    ("GET", "/studies/{study_id}/setup"): Expected(SIGN_IN, 403, 404, 200),
    ("POST", "/studies/{study_id}/setup"): Expected(401, 403, 404, 303),
    ("POST", "/studies/{study_id}/duplicate"): Expected(401, 403, 404, 303),
    ("POST", "/studies/{study_id}/delete"): Expected(401, 403, 404, 409),
    ("GET", "/studies/{study_id}/guidelines"): Expected(SIGN_IN, 403, 404, 200),
    ("GET", "/studies/{study_id}/try"): Expected(SIGN_IN, 403, 404, 200),
    ("POST", "/studies/{study_id}/state"): Expected(401, 403, 404, 303),
    ("GET", "/studies/{study_id}/export"): Expected(SIGN_IN, 403, 404, 200),
    ("POST", "/studies/{study_id}/export"): Expected(401, 403, 404, 303),
    ("GET", "/studies/{study_id}/export/{table}"): Expected(SIGN_IN, 403, 404, 200),
    ("GET", "/studies/{study_id}/generation"): Expected(SIGN_IN, 403, 404, 200),
    # The study of this test lacks no response.
    ("POST", "/studies/{study_id}/generation/start"): Expected(401, 403, 404, 409),
    ("POST", "/studies/{study_id}/generation/retry"): Expected(401, 403, 404, 409),
    ("POST", "/studies/{study_id}/generation/stop"): Expected(401, 403, 404, 303),
    ("GET", "/studies/{study_id}/scoring"): Expected(SIGN_IN, 403, 404, 200),
    ("POST", "/studies/{study_id}/scoring/start"): Expected(401, 403, 404, 303),
    # There is no order to change.
    ("POST", "/studies/{study_id}/scoring/pause"): Expected(401, 403, 404, 409),
    ("POST", "/studies/{study_id}/scoring/resume"): Expected(401, 403, 404, 409),
    ("POST", "/studies/{study_id}/scoring/cancel"): Expected(401, 403, 404, 409),
    ("POST", "/studies/{study_id}/scoring/retry"): Expected(401, 403, 404, 409),
    ("GET", "/studies/{study_id}/exports/{export_id}"): Expected(SIGN_IN, 403, 404, 200),
    ("GET", "/studies/{study_id}/import"): Expected(SIGN_IN, 403, 404, 200),
    ("POST", "/studies/judgments"): Expected(401, 403, 422, 422),
    ("GET", "/studies/{study_id}/results"): Expected(SIGN_IN, 403, 404, 200),
    ("GET", "/studies/{study_id}/results/figures/{figure}"): Expected(SIGN_IN, 403, 404, 404),  # nothing judged
    ("GET", "/studies/{study_id}/results/judgments"): Expected(SIGN_IN, 403, 404, 200),
    ("GET", "/studies/{study_id}/report.html"): Expected(SIGN_IN, 403, 404, 404),  # nothing judged
    ("GET", "/studies/{study_id}/monitor"): Expected(SIGN_IN, 403, 404, 200),
    ("POST", "/studies/{study_id}/monitor/release"): Expected(401, 403, 404, 303),
    ("GET", "/studies/{study_id}/judgments"): Expected(SIGN_IN, 403, 404, 200),
    ("GET", "/studies/{study_id}/judgments/{presentation_id}"): Expected(SIGN_IN, 403, 404, 200),
    ("GET", "/studies/{study_id}/exclusions"): Expected(SIGN_IN, 403, 404, 200),
    ("POST", "/studies/{study_id}/exclusions"): Expected(401, 403, 404, 303),
    ("POST", "/studies/{study_id}/exclusions/{exclusion_id}/revoke"): Expected(401, 403, 404, 303),
    ("GET", "/judge"): Expected(SIGN_IN, 303, 200, 200),
    ("POST", "/judge/next"): Expected(401, 303, 404, 404),
    ("GET", "/judge/history"): Expected(SIGN_IN, 200, 200, 200),
    ("POST", "/judge/shortcuts"): Expected(401, 422, 422, 422),
    ("GET", "/judge/guidelines/{study_id}"): Expected(SIGN_IN, 200, 404, 404),
    ("POST", "/judge/guidelines/{study_id}/seen"): Expected(401, 303, 404, 404),
    ("GET", "/judge/exit/{study_id}"): Expected(SIGN_IN, 303, 404, 404),
    # The study of this test asks after each item, so its annotator finds no question at the end.
    ("POST", "/judge/exit/{study_id}"): Expected(401, 404, 404, 404),
    ("GET", "/judge/{presentation_id}/feedback"): Expected(SIGN_IN, 404, 404, 404),
    ("GET", "/judge/check/{study_id}"): Expected(SIGN_IN, 303, 404, 404),
    ("POST", "/judge/check/{study_id}"): Expected(401, 303, 404, 404),
    ("POST", "/judge/studies/{study_id}/pause"): Expected(401, 303, 404, 404),
    ("POST", "/judge/studies/{study_id}/resume"): Expected(401, 303, 404, 404),
    ("GET", "/judge/studies/{study_id}/withdraw"): Expected(SIGN_IN, 200, 404, 404),
    ("POST", "/judge/studies/{study_id}/withdraw"): Expected(401, 303, 404, 404),
    ("POST", "/judge/{presentation_id}/heartbeat"): Expected(401, 200, 404, 404),
    ("GET", "/judge/{presentation_id}"): Expected(SIGN_IN, 200, 404, 404),
    ("POST", "/judge/{presentation_id}/draft"): Expected(401, 200, 404, 404),
    ("POST", "/judge/{presentation_id}/submit"): Expected(401, 303, 404, 404),
    # The study of this test shows no instances; one that was shown before is there still.
    ("POST", "/judge/{presentation_id}/evidence"): Expected(401, 404, 404, 404),
    ("POST", "/judge/{presentation_id}/evidence/{evidence_id}/opened"): Expected(401, 204, 404, 404),
    ("GET", "/api/v1/openapi.json"): Expected(200, 200, 200, 200),
    ("GET", "/api/v1/docs"): Expected(200, 200, 200, 200),
    # Programs sign in with tokens (see test_api_access.py); the cookies of these people count for nothing there.
    ("GET", "/api/v1/me"): NOBODY,
    ("GET", "/api/v1/checkpoints"): NOBODY,
    ("POST", "/api/v1/compare"): NOBODY,
    ("GET", "/api/v1/comparisons/{comparison_id}"): NOBODY,
    ("POST", "/api/v1/score"): NOBODY,
    ("GET", "/api/v1/studies"): NOBODY,
    ("POST", "/api/v1/studies"): NOBODY,
    ("GET", "/api/v1/studies/{study_id}"): NOBODY,
    ("POST", "/api/v1/studies/{study_id}/prompts"): NOBODY,
    ("POST", "/api/v1/studies/{study_id}/state"): NOBODY,
    ("GET", "/api/v1/studies/{study_id}/judgments"): NOBODY,
    ("GET", "/api/v1/studies/{study_id}/results"): NOBODY,
    ("GET", "/api/v1/studies/{study_id}/exports"): NOBODY,
    ("POST", "/api/v1/studies/{study_id}/exports"): NOBODY,
    ("GET", "/api/v1/studies/{study_id}/exports/{export_id}"): NOBODY,
    ("GET", "/api/v1/studies/{study_id}/exports/{export_id}/file"): NOBODY,
    ("GET", "/api/v1/studies/{study_id}/tables/{table}"): NOBODY,
}


@pytest.fixture
def place(app, database, study, alice, bob, annotator, researcher):
    """Make one of everything and say how its address and form read."""
    with writing(database) as session:
        fill_study(session, study)
        token = create_invite(session, role=Role.ANNOTATOR, days=1, study_id=study.id)
        open_token = new_token()
        session.get_one(Study, study.id).open_link_sha256 = token_hash(open_token)
        comparison = Comparison(
            prompt="Why?",
            decoding={"max_tokens": 8, "temperature": 0.0, "seed": 0},
            state=RunState.DONE,
            created_by=alice.id,
        )
        response = make_response(
            session, run={"engine": "scripted", "base_prompt": "same_ids", "text_lengths": [1] * 10}
        )
        tuning_set = TuningSet(name="Kettles", sha256="0" * 64, filename="k.jsonl", n=1, state=ImportState.READY)
        file = ScoredFile(name="run", sha256="0" * 64, tuned="sft", base="base", created_by=alice.id)
        exclusion = Exclusion(study_id=study.id, rule="recognised")
        session.add_all([comparison, response, tuning_set, file, exclusion])
        session.flush()
        session.add(
            TuningInstance(set_id=tuning_set.id, position=0, instance_id="0", instruction="Why?", answer="Because.")
        )
        session.add(
            ComparisonColumn(
                comparison_id=comparison.id,
                position=0,
                checkpoint="base",
                reference="base",
                state=RunState.DONE,
                response_id=response.id,
            )
        )
    researcher.post(f"/responses/{response.id}/readings", data={"checkpoint": "base"})
    presentation = take(annotator, study)
    with writing(database) as session:
        where = {"presentation_id": presentation, "side": "left", "start": 0, "end": 3}
        seen = TuningSet(name="Seen", sha256="1" * 64, filename="s.jsonl", n=1, state=ImportState.READY)
        session.add(seen)
        session.flush()
        evidence = Evidence(**where, place=1, set_id=seen.id, position=0, is_decoy=False)
        session.add(evidence)
        export = Export(study_id=study.id, state=ExportState.DONE, fingerprint="e" * 64, as_of=now())
        session.add(export)
    file_of_export = app.state.exports.folder / study.id / f"{'e' * 64}.zip"
    file_of_export.parent.mkdir(parents=True)
    file_of_export.write_bytes(b"PK")
    values = {
        "token": token,
        "open_token": open_token,
        "pid": "a00000000001",
        "user_id": bob.id,
        "comparison_id": comparison.id,
        "response_id": response.id,
        "position": 0,
        "index": 0,
        "format_": "json",
        "set_id": tuning_set.id,
        "file_id": file.id,
        "study_id": study.id,
        "table": "preferences.csv",
        "figure": "answers.svg",
        "presentation_id": presentation,
        "evidence_id": evidence.id,
        "exclusion_id": exclusion.id,
        "export_id": export.id,
    }
    forms = {
        "/checkpoints/check": {"name": "base"},
        "/checkpoints/load": {"name": "lft"},
        "/checkpoints/unload": {"name": "lft"},
        "/compare": {"prompt": "Why?", "checkpoints": ["base"], "max_tokens": "4"},
        "/responses": {"prompt": "Why?", "text": "Because.", "tokenizer": "lft"},
        "/responses/{response_id}/readings": {"checkpoint": "lft"},
        "/responses/{response_id}/fork": {"index": "0", "token_id": "88", "max_tokens": "4"},
        "/tuning-sets/{set_id}/uses": {"checkpoint": "lft"},
        "/studies/{study_id}/state": {"state": "paused"},
        "/studies/{study_id}/borrowing": {"set": tuning_set.id},
        "/studies/{study_id}/monitor/release": {"presentation_id": presentation},
        "/studies/{study_id}/exclusions": {"rule": "min_active", "seconds": "3"},
        "/studies/{study_id}/people/invites/revoke": {"invite_id": "all"},
        "/studies/{study_id}/people/link": {"what": "make"},
        "/judge/next": {"study_id": study.id},
        "/judge/exit/{study_id}": {"recognised_model": "no"},
        "/judge/{presentation_id}/draft": a_form(),
        "/judge/{presentation_id}/submit": a_form(),
    }
    return lambda path: (path.format(**values), forms.get(path, {}))


def test_every_row_has_its_expectation():
    assert EXPECTED.keys() == ACCESS.keys()


# What people are refused changes nothing, so one place serves for all of it.
REFUSED = [
    (method, path, who)
    for (method, path), row in sorted(EXPECTED.items())
    for who in ("anonymous", "annotator", "stranger")
    if getattr(row, who) in {401, 403, 404}
]
ANSWERED = [
    (method, path, who)
    for (method, path), row in sorted(EXPECTED.items())
    for who in Expected._fields
    if (method, path, who) not in REFUSED
]


def test_who_is_refused_is_refused_as_written_and_changes_nothing(request, place, database):
    people = {who: request.getfixturevalue(who) for who in Expected._fields}
    before = told(database)
    statuses = {}
    for method, path, who in REFUSED:
        address, form = place(path)
        statuses[method, path, who] = people[who].request(method, address, data=form or None).status_code
    assert statuses == {(method, path, who): getattr(EXPECTED[method, path], who) for method, path, who in REFUSED}
    assert told(database) == before


def told(database):
    """Tell every table as it is, but for the journal that somebody was refused."""
    tables = (table for table in SQLModel.metadata.sorted_tables if table.name != "studyevent")
    with reading(database) as session:
        return {table.name: digest_of(session.connection(), table) for table in tables}


@pytest.mark.parametrize(("method", "path", "who"), ANSWERED)
def test_each_row_answers_each_person_as_written(request, place, method, path, who):
    address, form = place(path)
    client = request.getfixturevalue(who)
    response = client.request(method, address, data=form or None)
    expected = getattr(EXPECTED[method, path], who)
    assert response.status_code == expected, response.text[:400]
    if who == "anonymous" and expected == SIGN_IN and not path.startswith("/join/"):
        assert response.headers["location"].startswith("/login?next=/")


def test_a_page_that_is_not_theirs_looks_like_one_that_is_not_there(stranger, place):
    """The body of a 404 must not tell an existing id from a made-up one."""
    nobodys = "0" * 16
    told_apart = []
    for method, path in (row for row in EXPECTED if EXPECTED[row].stranger == 404):
        address, form = place(path)
        form = {name: nobodys if name == "study_id" else value for name, value in form.items()}
        made_up = path.format(
            study_id=nobodys,
            presentation_id=nobodys,
            evidence_id=nobodys,
            exclusion_id=nobodys,
            pid=nobodys,
            export_id=nobodys,
            table="preferences.csv",
            figure="answers.svg",
        )
        real, unreal = (stranger.request(method, a, data=form or None) for a in (address, made_up))
        if (real.status_code, real.text) != (unreal.status_code, unreal.text):
            told_apart.append((method, path))
    assert not told_apart


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE"])
def test_other_methods_open_no_other_door(annotator, place, method):
    for path in ("/studies/{study_id}", "/studies/{study_id}/export/{table}", "/checkpoints"):
        address, _ = place(path)
        response = annotator.request(method, address)
        assert response.status_code in {403, 405}
        override = annotator.get(address, headers={"X-HTTP-Method-Override": "POST"})
        assert override.status_code == 403


def test_no_trailing_slash_or_suffix_leads_around_the_table(annotator, place):
    for path in ("/studies/{study_id}", "/checkpoints", "/explore"):
        address, _ = place(path)
        for variant in (
            f"{address}/",
            f"{address}.json",
            f"/{address}",
            address.upper(),
            f"{address}%2f",
            f"{address};x",
        ):
            assert annotator.get(f"http://testserver{variant}").status_code in {307, 403, 404}


def test_an_annotator_who_runs_nothing_gets_nothing_of_the_registry(annotator, place):
    response = annotator.get("/checkpoints")
    assert response.status_code == 403
    assert "lft" not in response.text


def test_the_app_refuses_to_start_without_a_row(app, monkeypatch):
    check_table(app.routes)
    app.get("/new")(lambda: None)
    with pytest.raises(RuntimeError, match="'/new'"):
        check_table(app.routes)
    monkeypatch.setitem(ACCESS, ("GET", "/new"), Access.OWNER)
    check_table(app.routes)
    monkeypatch.setitem(ACCESS, ("GET", "/gone"), Access.OWNER)
    with pytest.raises(RuntimeError, match="'/gone'"):
        check_table(app.routes)


def test_an_owner_row_keeps_researchers_out(app, monkeypatch, client_for, alice, carol):
    monkeypatch.setitem(ACCESS, ("GET", "/checkpoints"), Access.OWNER)
    assert client_for(carol).get("/checkpoints").status_code == 403
    assert client_for(alice).get("/checkpoints").status_code == 200


def test_a_role_taken_away_is_gone_with_the_next_request(researcher, database, alice):
    assert researcher.get("/checkpoints").status_code == 200
    with writing(database) as session:
        session.get_one(User, alice.id).role = Role.ANNOTATOR
    assert researcher.get("/checkpoints").status_code == 403
