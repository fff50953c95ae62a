import re

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import create_engine, text

from app.db import connect
from app.errors import ConfigurationError
from app.main import create_app
from app.web.readiness import stored_parts
from app.workers.place import WHOLE


def test_a_visitor_is_told_what_this_is_and_where_to_sign_in(anonymous, htmx):
    response = anonymous.get("/", headers=htmx)
    assert response.status_code == 200
    assert 'href="/login"' in response.text


def test_each_person_starts_where_they_work(annotator, researcher):
    assert annotator.get("/").headers["location"] == "/judge"
    assert researcher.get("/").headers["location"] == "/explore"


def test_the_process_says_that_it_lives(anonymous):
    assert anonymous.get("/healthz").text == "ok"


def test_ready_says_so_per_part_and_names_no_checkpoint(anonymous, scripted_engines):
    scripted_engines.engine.scripts["sft"].ready = False
    response = anonymous.get("/readyz")
    assert response.status_code == 200
    assert response.json() == {
        "ready": True,
        "parts": {
            "database": {"ok": True, "detail": "answers"},
            "migrations": {"ok": True, "detail": "at head"},
            "disk": {"ok": True, "detail": "can be written"},
            "space": {"ok": True, "detail": "enough is free"},
            "registry": {"ok": True, "detail": "3 checkpoints"},
            "engines": {"ok": False, "detail": "2 of 3 checkpoints ready"},
        },
    }


def test_a_database_behind_is_not_ready(anonymous, database):
    with database.begin() as connection:
        connection.execute(text("DELETE FROM alembic_version"))
    response = anonymous.get("/readyz")
    assert (response.status_code, response.json()["ready"]) == (503, False)
    assert response.json()["parts"]["migrations"] == {"ok": False, "detail": "behind; run: tuneshift db upgrade"}


def test_a_server_does_not_start_on_a_database_it_would_fail_on(settings, scripted_engines):
    with (
        pytest.raises(ConfigurationError, match=r"lacks migrations\. Run: tuneshift db upgrade"),
        TestClient(create_app(settings, engines=scripted_engines)),
    ):
        pass


def test_a_database_that_is_gone_is_not_ready(app, anonymous, tmp_path):
    (tmp_path / "folder.db").mkdir()
    app.state.database.dispose()
    app.state.database = connect(f"sqlite:///{tmp_path / 'folder.db'}")
    response = anonymous.get("/readyz")
    assert response.status_code == 503
    assert response.json()["parts"]["database"] == {"ok": False, "detail": "it does not answer"}


def test_missing_checkpoints_do_not_make_a_server_unready(settings, database):
    with TestClient(create_app(settings)) as client:
        response = client.get("/readyz")
    assert response.status_code == 200
    assert response.json()["parts"]["registry"]["ok"] is False


@pytest.mark.sqlite
def test_a_disk_that_is_nearly_full_is_not_ready(anonymous, monkeypatch):
    monkeypatch.setattr("app.web.readiness.MIN_FREE_BYTES", 2**60)
    response = anonymous.get("/readyz")
    assert response.status_code == 503
    assert re.fullmatch(r"\d+ MiB free; at least \d+ are needed", response.json()["parts"]["space"]["detail"])


def test_a_file_system_without_room_does_not_matter_to_a_database_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr("app.web.readiness.MIN_FREE_BYTES", 2**60)
    elsewhere = create_engine("postgresql+psycopg://nobody@127.0.0.1:1/nothing")
    parts = stored_parts(elsewhere, tmp_path, WHOLE)
    assert {name for name, part in parts.items() if part.needed and not part.ok} == {"database", "migrations"}
    assert not parts["space"].ok


def samples(client) -> dict:
    families = text_string_to_metric_families(client.get("/metrics").text)
    return {(s.name, *sorted(s.labels.items())): s.value for family in families for s in family.samples}


@pytest.mark.parametrize(
    ("path", "route", "status"),
    [
        ("/invite/some-token", "/invite/{token}", "404"),
        ("/guess/77", "unmatched", "404"),
        ("/static/app.css", "/static", "200"),
    ],
)
def test_metrics_count_by_route_and_never_by_address(anonymous, path, route, status):
    key = ("tuneshift_requests_total", ("method", "GET"), ("route", route), ("status", status))
    before = samples(anonymous).get(key, 0)
    anonymous.get(path)
    assert samples(anonymous)[key] == before + 1
    assert "some-token" not in anonymous.get("/metrics").text


def test_a_made_up_method_does_not_grow_the_metrics(anonymous):
    anonymous.request("X" * 20, "/")
    assert "X" * 20 not in anonymous.get("/metrics").text
