"""A checkpoint's folder, or the whole registry, deleted beneath a server: said in words, and the rest serves."""

import shutil
import time
from contextlib import contextmanager

import pytest
from bs4 import BeautifulSoup
from fastapi.testclient import TestClient

from app.db import reading
from app.main import create_app
from app.settings import Settings
from models import Comparison, RunState
from tests.conftest import ORIGIN, cookie_for
from tests.engine.tiny_checkpoints import save_checkpoints

ENDING_S = 120


@pytest.fixture
def settings(tmp_path, database_url):
    save_checkpoints(tmp_path / "checkpoints")
    return Settings(
        _env_file=None,
        data_dir=tmp_path / "data",
        public_url=ORIGIN,
        checkpoints=tmp_path / "checkpoints" / "checkpoints.toml",
        torch_threads=1,
    )


@contextmanager
def serving(settings, user):
    """The app with the engines of its registry, and a client of somebody signed in."""
    app = create_app(settings)
    with TestClient(app, headers={"Origin": ORIGIN}, follow_redirects=False) as client:
        client.cookies.set("tuneshift_session", cookie_for(app, user))
        yield app, client


def said(page):
    return BeautifulSoup(page.text, "html.parser").get_text(" ", strip=True)


def compared(database, client, name):
    """Compare with one checkpoint and return the words of the page once it has ended, or was refused."""
    sent = {"prompt": "Why?", "checkpoints": [name], "max_tokens": "4"}
    answer = client.post("/compare", data=sent)
    if answer.status_code != 303:
        return said(answer)
    place = answer.headers["location"]
    deadline = time.monotonic() + ENDING_S
    while time.monotonic() < deadline:
        with reading(database) as session:
            state = session.get_one(Comparison, place.removeprefix("/explore/")).state
        if state not in {RunState.PENDING, RunState.RUNNING}:
            return f"{state.value}: {said(client.get(place))}"
        time.sleep(0.1)
    raise TimeoutError(place)


def test_a_deleted_checkpoint_says_so_the_rest_serves_and_it_comes_back(settings, database, alice):
    with serving(settings, alice) as (app, client):
        folder = app.state.engines.registry.checkpoints["sft"].model
        kept = shutil.move(folder, f"{folder}-elsewhere")
        page = said(client.get("/checkpoints"))
        assert folder in page
        assert client.get("/readyz").json()["parts"]["engines"]["ok"] is False
        assert folder in compared(database, client, "sft")
        assert compared(database, client, "base").startswith("done: ")
        for address in ("/explore", "/studies", "/judge?stay"):
            assert client.get(address).status_code == 200, address
        shutil.move(kept, folder)
        assert compared(database, client, "sft").startswith("done: ")
        assert client.get("/readyz").json()["parts"]["engines"]["ok"] is True


def test_a_deleted_registry_changes_nothing_until_the_next_start_which_says_so(settings, database, alice):
    with serving(settings, alice) as (_, client):
        settings.checkpoints.unlink()
        assert "sft" in said(client.get("/checkpoints"))
        assert client.get("/readyz").status_code == 200
    with serving(settings, alice) as (_, client):
        page = said(client.get("/checkpoints"))
        assert str(settings.checkpoints) in page
        assert client.get("/readyz").json()["parts"]["registry"]["ok"] is False
        for address in ("/explore", "/studies", "/judge?stay"):
            assert client.get(address).status_code == 200, address
