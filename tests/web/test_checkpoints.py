import asyncio

import pytest
from bs4 import BeautifulSoup
from fastapi.testclient import TestClient

from app.errors import EngineUnavailableError
from app.main import create_app
from app.settings import Settings
from app.web import readiness
from tests.scripted_engine import Script, scripted_engines


def rows(client) -> list[list[str]]:
    page = BeautifulSoup(client.get("/checkpoints").text, "html.parser")
    return [[cell.text.strip() for cell in row.select("th, td")] for row in page.select("tbody tr")]


def test_the_page_lists_the_registry_in_its_order(researcher):
    assert rows(researcher) == [
        ["base", "base", "tokenizer", "itself", "", "none", "scripted 1", "float32", "ready", "verified", "Check base"],
        [
            "lft",
            "lft",
            "LoRA adapter",
            "base",
            "none",
            "none",
            "scripted 1",
            "float32",
            "ready",
            "verified",
            "Check lft",
        ],
        ["sft", "sft", "tokenizer", "base", "none", "none", "scripted 1", "float32", "ready", "verified", "Check sft"],
    ]


def test_what_cannot_answer_says_why(researcher, scripted_engines):
    script = scripted_engines.engine.scripts["sft"]
    script.ready, script.detail, script.verified = False, "the server refuses connections", None
    assert rows(researcher)[2][8:10] == ["not ready the server refuses connections", "not checked"]


def test_a_failed_self_check_says_why(researcher, scripted_engines):
    script = scripted_engines.engine.scripts["lft"]
    script.detail, script.verified = "scores differ by 0.7 nat", False
    assert rows(researcher)[1][8:10] == ["ready", "unverified scores differ by 0.7 nat"]


def test_the_check_button_runs_the_self_check(researcher, scripted_engines):
    scripted_engines.engine.scripts["lft"].verified = None
    assert rows(researcher)[1][9] == "not checked"
    assert researcher.post("/checkpoints/check", data={"name": "lft"}).headers["location"] == "/checkpoints"
    assert rows(researcher)[1][9] == "verified"


def test_a_check_that_cannot_run_says_why(researcher, scripted_engines, htmx):
    scripted_engines.engine.scripts["lft"].error = EngineUnavailableError("The server at :8001 is down.")
    response = researcher.post("/checkpoints/check", data={"name": "lft"}, headers=htmx)
    assert response.status_code == 503
    assert "The server at :8001 is down." in response.text
    assert researcher.post("/checkpoints/check", data={"name": "other"}).status_code == 404
    assert researcher.post("/checkpoints/check").status_code == 404


def test_an_engine_that_never_answers_does_not_hold_the_page(researcher, scripted_engines, monkeypatch):
    async def never():
        await asyncio.Event().wait()

    monkeypatch.setattr(readiness, "STATUS_TIMEOUT_S", 0.05)
    monkeypatch.setattr(scripted_engines.engine, "status", never)
    assert [row[8] for row in rows(researcher)] == ["not ready the engine did not say how it is within 0 s"] * 3


def test_names_are_text_not_markup(settings, database, tmp_path, client_for, alice, app):
    app.state.engines = scripted_engines(tmp_path / "t", base=Script(), **{"<img src=x>": Script()})
    assert rows(client_for(alice))[1][0] == "<img src=x>"


@pytest.fixture
def without_registry(settings: Settings, database, client_for, alice):
    app = create_app(settings)
    with TestClient(app, follow_redirects=False) as client:
        client.cookies = client_for(alice).cookies
        yield client


def test_without_a_registry_the_app_runs_and_says_what_to_do(without_registry):
    page = without_registry.get("/checkpoints")
    assert page.status_code == 200
    assert "No checkpoints yet: run make demo" in BeautifulSoup(page.text, "html.parser").text
    assert "checkpoints.toml does not exist" in page.text
    assert without_registry.get("/").headers["location"] == "/explore"


def test_a_broken_registry_is_quoted(settings, database, client_for, alice):
    settings.resolved_checkpoints.write_text('[[checkpoint]]\nname = "x"\nrole = "nonsense"\n')
    with TestClient(create_app(settings)) as client:
        client.cookies = client_for(alice).cookies
        page = BeautifulSoup(client.get("/checkpoints").text, "html.parser").text
    assert "role: 'nonsense' is unknown." in page
