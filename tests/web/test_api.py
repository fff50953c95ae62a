"""What programs can do at /api/v1: the work of the pages, with the same rules, in one shape of errors."""

import json
import time
import zipfile
from io import BytesIO

import pytest
from sqlmodel import select

from app.accounts.access import ACCESS
from app.api.routes import schema
from app.db import reading, writing
from models import Study, StudyEvent
from tests.factories import fill_study
from tests.web.api_help import events_of, program
from tests.web.judging_help import an_answer, post, take

ERROR = {"status", "message", "where", "remedy"}


@pytest.fixture
def api(client_for, database, alice):
    return program(client_for, database, alice)


@pytest.fixture
def judged(database, study, annotator):
    with writing(database) as session:
        fill_study(session, session.get_one(Study, study.id))
    assert post(annotator, take(annotator, study), "submit", an_answer()).status_code == 200
    return study


def test_the_description_has_these_routes_alone_and_says_what_each_needs(anonymous):
    found = anonymous.get("/api/v1/openapi.json").json()
    assert found == schema()
    described = {(method.upper(), path) for path, one in found["paths"].items() for method in one}
    assert described == {row for row, needed in ACCESS.items() if needed.value.startswith("a token")}
    for path, operations in found["paths"].items():
        for method, one in operations.items():
            assert ACCESS[method.upper(), path].value == f"a token that may {one['x-scope']}"
            assert one["description"]
    page = anonymous.get("/api/v1/docs")
    assert page.status_code == 200
    assert all(path in page.text for path in found["paths"])
    assert '<script src="http' not in page.text


def test_a_comparison_comes_whole_as_json(api):
    sent = {"prompt": "Why?", "checkpoints": ["base", "lft"], "max_tokens": 6}
    answer = api.post("/api/v1/compare", json=sent)
    assert answer.status_code == 200
    found = answer.json()
    assert (found["schema"], found["comparison"]["state"]) == ("tuneshift.export", "done")
    assert [one["column"]["checkpoint"] for one in found["responses"]] == ["base", "lft"]
    assert len(found["responses"][1]["readings"][0]["tokens"]) == 6
    again = api.get(f"/api/v1/comparisons/{found['comparison']['id']}").json()
    assert again == found


def test_a_comparison_comes_as_events_and_they_say_what_is_stored(api):
    sent = {"prompt": "Why?", "checkpoints": ["base", "lft"], "max_tokens": 6}
    answer = api.post("/api/v1/compare", json=sent, headers={"Accept": "text/event-stream"})
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [(name, json.loads(data)) for name, data in events_of(answer.text)]
    assert (events[0][0], events[-1][0], events[-1][1]["state"]) == ("started", "done", "done")
    stored = api.get(f"/api/v1/comparisons/{events[0][1]['id']}").json()
    for at, column in enumerate(stored["responses"]):
        ids = [data["token"]["id"] for name, data in events if name == "token" and data["column"] == at]
        assert ids == column["response"]["token_ids"]
        (ended,) = (data for name, data in events if name == "column" and data["column"] == at)
        assert (ended["response_id"], ended["text"]) == (column["response"]["id"], column["response"]["text"])
        assert ended["summary"]["n"] == 6


def test_scores_are_those_of_the_command_line(api):
    records = [
        {"id": "a", "prompt": "Why?", "response": "So."},
        {"id": 2, "prompt_ids": [80], "response_ids": [81, 82]},
    ]
    answer = api.post("/api/v1/score", json={"base": "base", "tuned": "lft", "records": records, "top_k": 3})
    assert answer.status_code == 200, answer.text
    first, second = answer.json()["records"]
    assert (first["id"], second["id"], len(second["tokens"])) == ("a", 2, 2)
    assert set(first) >= {"engine", "dtype", "kl_kind", "prompt_ids", "summary", "tokens"}


@pytest.mark.parametrize(
    ("path", "body", "status", "where"),
    [
        ("/api/v1/compare", {"prompt": " ", "checkpoints": ["base"]}, 422, "prompt"),
        ("/api/v1/compare", {"prompt": "Why?", "checkpoints": ["nobody"]}, 422, "checkpoints"),
        ("/api/v1/compare", {"prompt": "Why?", "checkpoints": ["base"], "max_tokens": "4"}, 422, "max_tokens"),
        ("/api/v1/compare", {"prompt": "Why?", "checkpoints": ["base"], "colour": 1}, 422, "colour"),
        ("/api/v1/score", {"base": "base", "tuned": "nobody", "records": [{"id": 1, "prompt": "x"}]}, 404, ""),
        ("/api/v1/score", {"base": "base", "tuned": "lft", "records": [{"id": 1}]}, 422, ""),
        ("/api/v1/score", {"base": "base", "tuned": "lft", "records": [], "top_k": 3}, 422, "records"),
        ("/api/v1/studies", {"name": " "}, 422, "name"),
        ("/api/v1/studies", {"name": "A", "prompts": ["x", "x"]}, 422, "prompts"),
        ("/api/v1/studies", {"name": "A", "arms": [{"checkpoint": "nobody"}]}, 422, "arm-0"),
        ("/api/v1/studies", {"name": "A", "arms": [{"checkpoint": "lft"}], "pairs": [["lft", "x"]]}, 422, "pairs"),
        ("/api/v1/nothing", {}, 404, ""),
    ],
)
def test_every_refusal_has_one_shape_and_names_the_field(api, database, path, body, status, where):
    answer = api.post(path, json=body)
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert set(error) == ERROR
    assert (error["status"], error["where"]) == (status, where)
    assert error["message"].endswith((".", "…"))
    with reading(database) as session:
        assert session.exec(select(Study)).all() == []


@pytest.mark.parametrize("body", [b"{", b"[" * 100_000, b'{"prompt": ' + b"9" * 5_000 + b"}", b'"\xff"', b""])
def test_what_is_no_json_is_refused_in_the_same_shape(api, body):
    answer = api.post("/api/v1/compare", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in {400, 422}
    assert set(answer.json()["error"]) == ERROR


def test_a_study_is_made_filled_and_looked_into(api):
    sent = {
        "name": "Rivers of the north",
        "prompts": ["Why?", "Name a river."],
        "arms": [{"checkpoint": "lft"}, {"checkpoint": "sft", "name": "full", "temperature": 0.5}],
        "overlap": 3,
    }
    made = api.post("/api/v1/studies", json=sent)
    assert made.status_code == 201, made.text
    found = made.json()
    assert (found["slug"], found["state"], found["items"], found["overlap"]) == ("rivers-of-the-north", "draft", 2, 3)
    assert [arm["name"] for arm in found["arms"]] == ["full", "lft"]
    assert [(pair["first"], pair["second"]) for pair in found["pairs"]] == [("lft", "full")]
    lines = '{"prompt": "One?"}\n{"prompt": "Two?"}\n{"prompt": "Three?"}\n'
    done = api.post(
        f"/api/v1/studies/{found['id']}/prompts", content=lines, headers={"Content-Type": "application/jsonl"}
    )
    assert done.json() == {"message": "3 prompts imported."}
    assert api.get("/api/v1/studies/rivers-of-the-north").json()["items"] == 3
    refused = api.post(f"/api/v1/studies/{found['id']}/state", json={"state": "open"})
    assert refused.status_code == 409
    assert "response" in refused.json()["error"]["message"]
    assert [one["id"] for one in api.get("/api/v1/studies").json()] == [found["id"]]


def test_closing_a_study_is_written_down(api, database, study):
    assert api.post(f"/api/v1/studies/{study.id}/state", json={"state": "closed"}).json()["state"] == "closed"
    with reading(database) as session:
        event = session.exec(select(StudyEvent)).one()
    assert (event.action, event.user_id, event.detail) == ("state: closed", study.created_by, "from open to closed")


def test_judgments_and_findings_are_those_of_the_pages(api, judged):
    listed = api.get(f"/api/v1/studies/{judged.id}/judgments").json()
    assert (listed["total"], listed["pages"], listed["judgments"][0]["annotator"]) == (1, 1, "a00000000001")
    assert api.get(f"/api/v1/studies/{judged.id}/judgments?outcome=tie").json()["total"] == 0
    for wrong in ("outcome=x", "marked=lft&severity=x"):
        assert api.get(f"/api/v1/studies/{judged.id}/judgments?{wrong}").status_code == 422
    for strange in ('"', "a.b", "$", "'", "[0]", "\\"):
        asked = {"rated": "lft", "dimension": strange, "value": 3}
        assert api.get(f"/api/v1/studies/{judged.id}/judgments", params=asked).json()["total"] == 0
    found = api.get(f"/api/v1/studies/{judged.id}/results").json()
    assert (found["fresh"], found["judgments"]) == (True, 1)
    assert found["findings"]["judgments.all"] == 1


def test_an_export_is_begun_followed_and_downloaded_in_pieces(api, judged):
    begun = api.post(f"/api/v1/studies/{judged.id}/exports", json={})
    assert begun.status_code == 202
    path = f"/api/v1/studies/{judged.id}/exports/{begun.json()['id']}"
    until = time.monotonic() + 60
    while (stands := api.get(path).json())["state"] == "running" and time.monotonic() < until:
        time.sleep(0.05)
    assert stands["state"] == "done", stands
    assert [one["id"] for one in api.get(f"/api/v1/studies/{judged.id}/exports").json()] == [stands["id"]]
    whole = api.get(stands["file"])
    assert len(whole.content) == stands["bytes"]
    assert "preferences.csv" in " ".join(zipfile.ZipFile(BytesIO(whole.content)).namelist())
    part = api.get(stands["file"], headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, whole.content[10:20])
    table = api.get(f"/api/v1/studies/{judged.id}/tables/preferences.csv")
    assert table.text.startswith("study_id,")
    assert api.get(f"/api/v1/studies/{judged.id}/tables/secrets.csv").status_code == 404
