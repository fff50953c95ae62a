"""Run, follow, reload, stop, restart: what becomes of a comparison, with and without htmx."""

import html
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import Engine
from sqlmodel import select

from app.compare import queries
from app.compare.live import MAX_RUNS_EACH
from app.db import reading, writing
from app.errors import EngineUnavailableError
from app.main import create_app
from app.settings import Settings
from app.shift.packing import unpack, unpack_names
from models import Comparison, ComparisonColumn, Response, RunState, Trace, User
from tests.patience import PATIENCE_S
from tests.scripted_engine import DEFAULT_TEXT, EOS, Script, ScriptedEngines
from tests.scripted_engine import scripted_engines as build_scripted_engines

ASKED = {"prompt": "Why a lid?", "checkpoints": ["base", "lft", "sft"], "max_tokens": "64"}


@pytest.fixture
def scripted_engines(tmp_path: Path) -> ScriptedEngines:
    return build_scripted_engines(
        tmp_path / "tokenizer",
        base=Script(base_ranks=(1,)),
        lft=Script(),
        sft=Script(base_ranks=(1, 3, 9, 40)),
        dies=Script(fail_at=4, error=EngineUnavailableError("The server went away.", remedy="Start it again.")),
        stalls=Script(stall_at=6),
        hostile=Script(text="<script>alert(1)</script><b hx-get='/x'>\u202egnirts\r\nNUL:\x00 &amp;"),
    )


def start(client: TestClient, *names: str, headers: dict[str, str] | None = None, **over: str) -> str:
    """Start a comparison; returns its id."""
    sent = ASKED | ({"checkpoints": list(names)} if names else {}) | over
    answer = client.post("/compare", data=sent, headers=headers or {})
    target = answer.headers.get("HX-Redirect") or answer.headers["location"]
    return target.removeprefix("/explore/")


def follow(client: TestClient, comparison: str, **options: object) -> str:
    """Read the event stream to its end."""
    return client.get(f"/compare/{comparison}/stream", **options).text


def page(client: TestClient, comparison: str, **options: object) -> BeautifulSoup:
    return BeautifulSoup(client.get(f"/explore/{comparison}", **options).text, "html.parser")


def state_of(soup: BeautifulSoup, column: int) -> str:
    return soup.select_one(f'[data-column="{column}"] [data-state]').get_text()


def text_of(soup: BeautifulSoup, column: int) -> str:
    return soup.select_one(f'[data-column="{column}"] [data-tokens]').get_text()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def test_a_run_is_stored_and_its_link_replays_it(
    researcher: TestClient, database: Engine, htmx: dict[str, str], scripted_engines: ScriptedEngines
) -> None:
    comparison = start(researcher, headers=htmx)
    stream = follow(researcher, comparison)
    assert (
        stream.rstrip()
        .rsplit("\n\n", 1)[-1]
        .startswith("event: done\ndata: All columns have ended: base done: 43 tokens")
    )
    asked = len(scripted_engines.engine.requests)
    soup = page(researcher, comparison, headers=htmx)
    assert [text_of(soup, column) for column in range(3)] == [DEFAULT_TEXT] * 3
    assert state_of(soup, 1) == "done: 43 tokens · end of sequence"
    # 43 tokens with ranks 1, 1, 2, 7 in turn: 11 + 11 first choices, 11 second ones, 10 seventh ones.
    words = soup.select('[data-column="1"] [data-bar="whole"] .swatch-word')
    assert [word.get_text() for word in words] == ["22\xa0unshifted", "11\xa0marginal", "10\xa0shifted"]
    assert not soup.select("[data-stream]")
    assert len(scripted_engines.engine.requests) == asked == 3


def test_what_is_stored_says_how_it_was_made(researcher: TestClient, database: Engine, alice: User) -> None:
    comparison = start(researcher)
    follow(researcher, comparison)
    with reading(database) as session:
        row = session.get_one(Comparison, comparison)
        assert (row.state, row.created_by, row.prompt) == (RunState.DONE, alice.id, "Why a lid?")
        assert row.finished_at is not None
        column = session.get_one(ComparisonColumn, (comparison, 1))
        response = session.get_one(Response, column.response_id)
        trace = session.exec(select(Trace).where(Trace.response_id == response.id, Trace.reference == "base")).one()
    assert (response.text, response.finish) == (DEFAULT_TEXT, "stop")
    assert response.token_ids == [*DEFAULT_TEXT.encode(), EOS]
    assert response.prompt_ids == list(b"Why a lid?")
    assert response.run | {"model": "", "adapter": "", "app_version": ""} == {
        "role": "lft",
        "model": "",
        "adapter": "",
        "revision": None,
        "template": "none",
        "engine": "scripted",
        "engine_version": "1",
        "dtype": "float32",
        "reference": "base",
        "base_prompt": "same_ids",
        "reference_prompt_ids": list(b"Why a lid?"),
        "decoding": {"max_tokens": 64, "temperature": 0.0, "seed": 0},
        "app_version": "",
        "text_lengths": [1] * 39 + [0, 0, 1, 0],
    }
    assert (trace.n, trace.unshifted, trace.marginal, trace.shifted, trace.kl_kind) == (43, 22, 11, 10, "exact")
    assert [token.id for token in unpack(trace.tokens)] == response.token_ids
    assert unpack_names(trace.tokens)[EOS] == b"<|end|>"


def test_reloading_and_second_tabs_never_generate_twice(
    researcher: TestClient, scripted_engines: ScriptedEngines
) -> None:
    scripted_engines.engine.scripts["stalls"].pause_s = 0.001
    comparison = start(researcher, "stalls")
    for _ in range(3):
        soup = page(researcher, comparison)
        assert soup.select_one("[data-stream]")
    until(lambda: "streaming · 6 tokens" in page(researcher, comparison).get_text())
    assert text_of(page(researcher, comparison), 0) == DEFAULT_TEXT[:6]
    assert len(scripted_engines.engine.requests) == 1
    researcher.post(f"/compare/{comparison}/stop")
    assert DEFAULT_TEXT[:6] in BeautifulSoup(follow(researcher, comparison), "html.parser").get_text()
    assert len(scripted_engines.engine.requests) == 1


def test_a_reader_that_reconnects_gets_only_what_it_has_not(researcher: TestClient, app: FastAPI) -> None:
    comparison = start(researcher, "lft", "stalls")
    run = app.state.live_runs.get(comparison)
    until(lambda: sum(hasattr(event, "token") for event in run.log) == 43 + 6)
    place = len(run.log)
    researcher.post(f"/compare/{comparison}/stop")
    rest = follow(researcher, comparison, headers={"Last-Event-ID": str(place)})
    assert "tokens-" not in rest
    assert "stopped after 6 tokens" in rest
    assert rest.count("event: done") == 1


def test_a_failed_column_says_why_keeps_its_text_and_offers_another_run(
    researcher: TestClient, database: Engine
) -> None:
    comparison = start(researcher, "base", "dies")
    follow(researcher, comparison)
    soup = page(researcher, comparison)
    assert state_of(soup, 0).startswith("done")
    assert state_of(soup, 1) == "failed after 4 tokens"
    failed = soup.select_one('[data-column="1"]')
    assert "The server went away. Start it again." in failed.get_text()
    assert failed.select_one('button[form="again"]')
    assert text_of(soup, 1) == DEFAULT_TEXT[:4]
    with reading(database) as session:
        column = session.get_one(ComparisonColumn, (comparison, 1))
        response = session.get_one(Response, column.response_id)
        assert (column.state, response.finish) == (RunState.FAILED, "failed")
        assert (
            session.exec(select(Trace).where(Trace.response_id == response.id, Trace.reference == "base")).one().n == 4
        )
        assert session.get_one(Comparison, comparison).state is RunState.DONE


def test_when_every_column_fails_the_comparison_has_failed(researcher: TestClient, database: Engine) -> None:
    comparison = start(researcher, "dies")
    follow(researcher, comparison)
    with reading(database) as session:
        assert session.get_one(Comparison, comparison).state is RunState.FAILED


def test_stop_keeps_what_there_is(researcher: TestClient, database: Engine, htmx: dict[str, str]) -> None:
    comparison = start(researcher, "base", "stalls")
    until(lambda: "streaming · 6 tokens" in page(researcher, comparison).get_text())
    assert page(researcher, comparison).select_one("[data-stop]")
    answer = researcher.post(f"/compare/{comparison}/stop", headers=htmx)
    assert answer.status_code == (204 if htmx else 303)
    follow(researcher, comparison)
    soup = page(researcher, comparison)
    assert state_of(soup, 0).startswith("done")
    assert state_of(soup, 1) == "stopped after 6 tokens"
    with reading(database) as session:
        assert session.get_one(Comparison, comparison).state is RunState.STOPPED
        stopped = session.exec(select(Response).where(Response.checkpoint == "stalls")).one()
        assert (stopped.text, stopped.finish) == (DEFAULT_TEXT[:6], "stopped")
    # Stopping what is over changes nothing and is no error.
    assert researcher.post(f"/compare/{comparison}/stop", headers=htmx).status_code == (204 if htmx else 303)


def test_only_who_started_it_or_an_owner_stops_it(
    researcher: TestClient, stranger: TestClient, annotator: TestClient, app: FastAPI
) -> None:
    comparison = start(researcher, "stalls")
    assert stranger.get(f"/explore/{comparison}").status_code == 200
    assert stranger.post(f"/compare/{comparison}/stop").status_code == 403
    assert annotator.post(f"/compare/{comparison}/stop").status_code == 403
    assert not app.state.live_runs.get(comparison).stop.is_set()
    theirs = start(stranger, "stalls")
    assert researcher.post(f"/compare/{theirs}/stop").status_code == 303


def test_too_many_runs_are_refused_in_words(researcher: TestClient, database: Engine, htmx: dict[str, str]) -> None:
    for _ in range(MAX_RUNS_EACH):
        start(researcher, "stalls")
    answer = researcher.post("/compare", data=ASKED, headers=htmx)
    assert answer.status_code == 429
    assert "You already have 3 comparisons running." in answer.text
    with reading(database) as session:
        assert len(session.exec(select(Comparison)).all()) == MAX_RUNS_EACH


def test_a_restart_marks_what_was_running_as_interrupted(
    settings: Settings, database: Engine, alice: User, scripted_engines: ScriptedEngines, app: FastAPI
) -> None:
    with TestClient(app):
        pass  # the first server is gone; its last comparison never ended
    with writing(database) as session:
        row = Comparison(prompt="Hm?", decoding={"max_tokens": 9, "temperature": 0.0, "seed": 0}, created_by=alice.id)
        row.state = RunState.RUNNING
        session.add(row)
        session.flush()
        session.add(
            ComparisonColumn(
                comparison_id=row.id, position=0, checkpoint="lft", reference="base", state=RunState.RUNNING
            )
        )
    with TestClient(create_app(settings, engines=scripted_engines)), reading(database) as session:
        stored = queries.load(session, row.id)
    assert stored.state is RunState.INTERRUPTED
    assert (stored.answers[0].state, stored.answers[0].message) == (RunState.INTERRUPTED, queries.INTERRUPTED)


def test_a_shutdown_keeps_what_has_arrived_and_says_interrupted(
    app: FastAPI, database: Engine, client_for, alice: User
) -> None:
    client = client_for(alice)
    comparison = start(client, "stalls")
    run = app.state.live_runs.get(comparison)
    until(lambda: sum(hasattr(event, "token") for event in run.log) == 6)
    client.portal.call(app.state.live_runs.aclose)
    soup = page(client, comparison)
    assert state_of(soup, 0) == "interrupted after 6 tokens"
    assert queries.INTERRUPTED in soup.get_text()
    assert text_of(soup, 0) == DEFAULT_TEXT[:6]


def test_model_text_stays_text(researcher: TestClient) -> None:
    comparison = start(researcher, "hostile")
    said = "<script>alert(1)</script><b hx-get='/x'>\u202egnirts\r\nNUL:\ufffd &amp;"
    for markup in (
        follow(researcher, comparison).replace("\ndata: ", "\n"),
        researcher.get(f"/explore/{comparison}").text,
    ):
        # Not through a parser that folds white space.
        spans = re.findall(r'<span class="([^"]*)" data-i[^>]*>([^<]*)</span>', markup)
        assert html.unescape("".join(text for _, text in spans)) == said
        assert ["bidi" in css for css, text in spans if "\u202e" in text] == [True]


def test_a_token_shows_both_models(researcher: TestClient, htmx: dict[str, str]) -> None:
    comparison = start(researcher, "lft")
    follow(researcher, comparison)
    answer = researcher.get(f"/explore/{comparison}/responses/0/tokens/2", headers=htmx)
    assert answer.text.lstrip().startswith("<!doctype" if not htmx else "<div")
    soup = BeautifulSoup(answer.text, "html.parser")
    panel = soup.select_one(".token-panel")
    assert panel.select_one(".token-panel-title").get_text() == "Token 3 of lft: k"
    emitted = panel.select_one(".emitted")
    # The script gives base rank 2 at log-probability -2 and tuned rank 1 at -0.25: e^-2 = 13.5 %, e^-0.25 = 77.9 %.
    assert emitted.get_text(" ", strip=True) == "k 107 written 13.5 % rank #2 77.9 % rank #1"
    assert panel.select_one(".rest th").get_text() == "rest of the vocabulary"
    facts = panel.select_one(".token-facts").get_text(" ", strip=True)
    assert "KL(tuned ‖ base) 0.100 nats exact" in facts
    assert "Entropy of base 1.500 nats Entropy of tuned 0.500 nats" in facts
    assert "Log-probability base \u22122.000, tuned \u22120.250 nats" in facts
    assert "Logprob difference +1.750 nats" in facts
    assert "107 6b" in facts


@pytest.mark.parametrize("place", ["responses/9/tokens/0", "responses/0/tokens/43", "responses/-1/tokens/0"])
def test_a_token_that_is_not_there_is_not_found(researcher: TestClient, place: str) -> None:
    comparison = start(researcher, "lft")
    follow(researcher, comparison)
    assert researcher.get(f"/explore/{comparison}/{place}").status_code == 404


def test_a_live_token_is_shown_before_the_run_has_ended(researcher: TestClient) -> None:
    comparison = start(researcher, "stalls")
    until(lambda: "streaming · 6 tokens" in page(researcher, comparison).get_text())
    soup = BeautifulSoup(researcher.get(f"/explore/{comparison}/responses/0/tokens/3").text, "html.parser")
    assert soup.select_one(".emitted")


def test_a_replay_needs_neither_engine_nor_tokenizer(
    settings: Settings, researcher: TestClient, app: FastAPI, scripted_engines: ScriptedEngines, tmp_path: Path
) -> None:
    comparison = start(researcher, "lft")
    follow(researcher, comparison)
    app.state.engines = None
    soup = page(researcher, comparison)
    assert text_of(soup, 0) == DEFAULT_TEXT
    panel = researcher.get(f"/explore/{comparison}/responses/0/tokens/42").text
    assert "&lt;|end|&gt;" in panel


@pytest.mark.parametrize("path", ["/explore/0000", "/compare/0000/stream", "/explore/0000/responses/0/tokens/0"])
def test_an_unknown_comparison_is_not_found(researcher: TestClient, path: str) -> None:
    assert researcher.get(path).status_code == 404
    assert researcher.post("/compare/0000/stop").status_code == 404
