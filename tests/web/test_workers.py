"""`tuneshift serve --workers N` with real processes: whichever of them is asked, it is one server."""

import os
import signal
import threading
from contextlib import contextmanager

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlmodel import select

from app.accounts.queries import add_user
from app.db import connect, reading, writing
from app.settings import Settings
from models import Comparison, GenerationState, ItemResponse, Response, Role, RunState
from tests.factories import PASSWORD
from tests.kill9 import examine, make_writers
from tests.several import PATIENCE_S, Several, asking, events, eventually, several, start, visible
from tests.web.generation_help import count, make_draft, runs
from tests.web.generation_help import post as act

TEXT = "A kettle boils faster with its lid on. " * 8


@pytest.fixture(scope="module")
def settings(all_databases, tmp_path_factory):
    data = tmp_path_factory.mktemp("several") / "data"
    url = all_databases.create(data, migrated=True)
    data.mkdir(exist_ok=True)
    yield Settings(_env_file=None, data_dir=data, database_url=url)
    all_databases.drop(url)


@pytest.fixture(scope="module")
def database(settings):
    engine = connect(settings.resolved_database_url)
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def owner(database):
    with writing(database) as session:
        return add_user(session, email="olga@example.org", name="Olga", role=Role.OWNER, password=PASSWORD)


@pytest.fixture(scope="module")
def shared(database, settings):
    """One server for those tests that leave it running; what dies in it is replaced before the next."""
    url = settings.resolved_database_url
    with several(settings.data_dir, workers=2, slow=True, TUNESHIFT_DATABASE_URL=url) as server:
        yield server


@pytest.fixture
def server(shared):
    eventually(lambda: len(shared.pids()) == 3, "a process that died was not replaced")
    return shared


@contextmanager
def only(server: Several, number: int):
    """Let one of the processes that answer people do it, and hold the others still."""
    others = [pid for post, pid in server.pids().items() if post not in {"models", f"pages-{number}"}]
    for pid in others:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in others:
            os.kill(pid, signal.SIGCONT)


def test_who_signed_in_at_one_process_is_known_to_all(server, settings, owner):
    with asking(server, settings) as client:
        with only(server, 1):
            sent = {"email": owner.email, "password": PASSWORD}
            assert client.post("/login", data=sent).headers["location"] == "/"
        with only(server, 2):
            assert client.get("/").headers["location"] == "/explore"
            assert "Olga" in client.get("/explore").text


def test_a_comparison_is_followed_and_stopped_wherever_one_asks(server, database, settings, owner):
    with asking(server, settings, owner) as client:
        with only(server, 1):
            comparison = start(client)
        seen = ""
        with only(server, 2), client.stream("GET", f"/compare/{comparison}/stream") as answer:
            place, following = "", events(answer.iter_lines())
            for id_, event, data in following:
                seen += visible(data) if event == "tokens-0" else ""
                place = id_ or place
                if event == "mark" and len(seen) > 40:
                    break
            # The reader's process dies under it; the run does not, and another process has the rest.
            server.kill("pages-2")
            with pytest.raises(httpx2.TransportError):
                list(following)
        eventually(lambda: len(server.pids()) == 3, "nobody took the place of the process that died")
        with client.stream("GET", f"/compare/{comparison}/stream", headers={"Last-Event-ID": place}) as answer:
            for _id, event, data in events(answer.iter_lines()):
                seen += visible(data) if event == "tokens-0" else ""
                if event == "mark" and len(seen) > 80:
                    break
        assert seen.replace("⏎", "") == TEXT[: len(seen)]
        client.post(f"/compare/{comparison}/stop")
        with client.stream("GET", f"/compare/{comparison}/stream", headers={"Last-Event-ID": "0"}) as answer:
            assert [event for _, event, _ in events(answer.iter_lines())][-1] == "done"
    with reading(database) as session:
        assert session.exec(select(Comparison.state)).all() == [RunState.STOPPED]


def test_a_comparison_whose_process_died_says_so_and_can_be_run_again(server, database, settings, owner):
    with asking(server, settings, owner) as client:
        comparison = start(client)
        with client.stream("GET", f"/compare/{comparison}/stream") as answer:
            following = events(answer.iter_lines())
            next(following)
            server.kill("models")
            with pytest.raises(httpx2.TransportError):
                list(following)
        # Whoever asks meanwhile waits; the browser's own reconnection is such a one.
        with client.stream("GET", f"/compare/{comparison}/stream", headers={"Last-Event-ID": "1"}) as answer:
            told = list(events(answer.iter_lines()))
        assert told[-1][1] == "done"
        assert "The server stopped before this answer ended." in told[0][2]
        page = client.get(f"/explore/{comparison}").text
        assert "The server stopped before this answer ended." in page
        again = start(client)
        with client.stream("GET", f"/compare/{again}/stream") as answer:
            assert next(events(answer.iter_lines()))


def test_a_study_is_filled_once_whoever_is_asked_and_goes_on_after_a_death(server, database, settings, owner):
    prompts = [f"Why number {number}?" for number in range(4)]
    study = make_draft(database, owner, prompts=prompts, arms=("base", "lft"))
    before = count(database, Response)
    with asking(server, settings, owner) as client:
        statuses = []
        for number in (1, 2):
            with only(server, number):
                statuses.append(act(client, study).status_code)
        assert statuses == [303, 409]
        eventually(lambda: runs(database)[-1].touched_at > runs(database)[-1].created_at, "no sign of life")
        server.kill("models")
        # The page is answered by the next one, which says first what became of the run.
        assert "Resume" in client.get(f"/studies/{study.id}/generation").text
        assert [run.state for run in runs(database)] == [GenerationState.INTERRUPTED]
        assert act(client, study).status_code == 303
        eventually(lambda: runs(database)[-1].state is GenerationState.DONE, server.log.read_text())
    first, second = runs(database)
    assert first.done + second.done == count(database, ItemResponse) == count(database, Response) - before == 8


def counted(client):
    families = text_string_to_metric_families(client.get("/metrics").text)
    return {(s.name, *sorted(s.labels.items())): s.value for family in families for s in family.samples}


def test_metrics_are_those_of_all_processes_and_survive_the_death_of_one(server, settings, owner):
    saved = ("tuneshift_requests_total", ("method", "GET"), ("route", "/login"), ("status", "200"))
    with asking(server, settings, owner) as researcher:
        comparison = start(researcher)
        with researcher.stream("GET", f"/compare/{comparison}/stream") as answer:
            next(event for _, event, _ in events(answer.iter_lines()) if event == "tokens-0")
        researcher.post(f"/compare/{comparison}/stop")
    with asking(server, settings) as client:
        before = counted(client).get(saved, 0)
        for number in (1, 2):
            with only(server, number):
                client.get("/login")
        for number in (1, 2):
            with only(server, number):
                assert counted(client)[saved] == before + 2
        replaced = counted(client)["tuneshift_processes_replaced_total",]
        server.kill("pages-1")
        eventually(lambda: len(server.pids()) == 3, "a process that died was not replaced")
        now = counted(client)
        assert now[saved] == before + 2
        assert now["tuneshift_processes_replaced_total",] == replaced + 1
        assert now["tuneshift_tokens_total", ("engine", "local")] > 0
        eventually(lambda: counted(client)["tuneshift_streams_open",] == 0, "a stream is counted that has ended")
        assert now["tuneshift_answers_waiting", ("engine", "local")] == 0


def test_ready_speaks_for_the_whole_server(server, settings):
    with asking(server, settings) as client:
        eventually(lambda: client.get("/readyz").json()["parts"]["processes"]["ok"], "not all processes run")
        parts = client.get("/readyz").json()["parts"]
        assert parts["engines"]["ok"]
        os.kill(server.pids()["models"], signal.SIGSTOP)
        try:
            told = client.get("/readyz")
        finally:
            os.kill(server.pids()["models"], signal.SIGCONT)
        # Judging goes on without models.
        assert told.status_code == 200
        assert told.json()["parts"]["models"]["detail"] == "the process that has them does not answer"


def test_guesses_are_counted_over_all_processes(server, settings, owner):
    with asking(server, settings) as client:
        wrong = {"email": owner.email, "password": "not it at all"}
        statuses = []
        for number in range(11):
            with only(server, 1 + number % 2):
                statuses.append(client.post("/login", data=wrong).status_code)
        assert statuses == [422] * 10 + [429]
        with only(server, 2):
            assert client.post("/login", data=wrong).status_code == 429


def test_nothing_acknowledged_is_lost_when_workers_are_killed_while_people_save(server, database, settings):
    writers = make_writers(database, settings, int(server.url.rpartition(":")[2]), people=3)
    over = threading.Event()

    def save(writer):
        while not over.is_set():
            # The connection breaks when its process dies; the answer that was not acknowledged is sent again.
            writer.run(over)

    def acknowledged():
        return sum(len(writer.acknowledged) for writer in writers)

    threads = [threading.Thread(target=save, args=(writer,)) for writer in writers]
    for thread in threads:
        thread.start()
    for post in ("pages-1", "pages-2", "models", "pages-1"):
        enough = acknowledged() + 6
        eventually(lambda: acknowledged() > enough, server.log.read_text())  # noqa: B023
        eventually(lambda: len(server.pids()) == 3, "a process that died was not replaced")
        server.kill(post)
    over.set()
    for thread in threads:
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
    outcome = examine(database, writers, cycles=4, seconds=0.0)
    assert outcome.acknowledged > 24
    assert (outcome.lost, outcome.duplicated, outcome.gaps, outcome.refused) == (0, 0, 0, [])
    assert outcome.integrity == "ok"
