"""34: many open streams, readers that vanish or reconnect in a storm, and judging beside all of it."""

import re
import socket
import time
from contextlib import ExitStack

import httpx2
import pytest

from app.compare.readers import MAX_STREAMS, MAX_STREAMS_EACH, Readers
from app.db import writing
from app.errors import TooManyRequestsError
from app.settings import ROOT
from models import Role
from tests.conftest import cookie_for
from tests.factories import make_user
from tests.patience import PATIENCE_S
from tests.scripted_engine import Script
from tests.scripted_engine import scripted_engines as build_scripted_engines

CLEANUP_S = 30


@pytest.fixture
def scripted_engines(tmp_path):
    return build_scripted_engines(tmp_path / "tokenizer", base=Script(base_ranks=(1,)), stalls=Script(stall_at=6))


class Reader:
    """A client that reads the head of a stream and then holds it open."""

    def __init__(self, server, user, comparison):
        host, port = server.url.removeprefix("http://").split(":")
        self.socket = socket.create_connection((host, int(port)), timeout=PATIENCE_S)
        self.socket.sendall(
            f"GET /compare/{comparison}/stream HTTP/1.1\r\nHost: {host}:{port}\r\nAccept: text/event-stream\r\n"
            f"Cookie: tuneshift_session={cookie_for(server.app, user)}\r\n\r\n".encode()
        )
        self.status = int(self.socket.recv(4096).split()[1])


def asking(server, user):
    cookies = {"tuneshift_session": cookie_for(server.app, user)}
    return httpx2.Client(
        base_url=server.url, cookies=cookies, headers={"Origin": server.url}, timeout=PATIENCE_S, trust_env=False
    )


def started(server, user):
    with asking(server, user) as client:
        sent = {"prompt": "Why a lid?", "checkpoints": ["stalls"], "max_tokens": "64"}
        return client.post("/compare", data=sent).headers["location"].removeprefix("/explore/")


def empty_within(server, seconds):
    deadline = time.monotonic() + seconds
    while len(server.app.state.readers) and time.monotonic() < deadline:
        time.sleep(0.05)
    return len(server.app.state.readers) == 0


def test_case_34_streams_are_capped_per_person_and_those_who_vanish_make_room(server, alice, carol, bob, study):
    comparison = started(server, alice)
    held = [Reader(server, alice, comparison) for _ in range(MAX_STREAMS_EACH)]
    assert {reader.status for reader in held} == {200}
    with asking(server, alice) as client:
        refused = client.get(f"/compare/{comparison}/stream", headers={"Accept": "application/json"})
        assert refused.status_code == 429
        assert f"You follow {MAX_STREAMS_EACH} comparisons already." in refused.text
        # Everything but streams goes on for them, streams go on for others, and judging for everybody.
        assert client.get("/explore").status_code == 200
    other = Reader(server, carol, comparison)
    assert other.status == 200
    with asking(server, bob) as client:
        assert client.get("/judge").status_code == 200
    for reader in (*held, other):
        reader.socket.close()
    assert empty_within(server, CLEANUP_S), f"{len(server.app.state.readers)} streams are still counted as open"
    again = Reader(server, alice, comparison)
    assert again.status == 200
    again.socket.close()


def test_case_34_a_storm_of_reconnecting_readers_leaves_nothing_behind(server, alice):
    comparison = started(server, alice)
    for _ in range(60):
        reader = Reader(server, alice, comparison)
        assert reader.status in {200, 429}
        reader.socket.close()
    assert empty_within(server, CLEANUP_S)


def test_case_34_the_whole_server_has_a_cap_too(monkeypatch):
    monkeypatch.setattr("app.compare.readers.MAX_STREAMS", 3)
    readers = Readers()
    with ExitStack() as stack:
        for person in "abc":
            stack.enter_context(readers.place(person))
        with pytest.raises(TooManyRequestsError, match="on this server already"), readers.place("d"):
            pytest.fail("a fourth reader was let in")
        assert len(readers) == 3
    assert len(readers) == 0


def test_case_34_five_hundred_streams_are_served_the_next_is_refused_and_pages_go_on(
    server, database, alice, bob, study
):
    comparison = started(server, alice)
    with writing(database) as session:
        people = [
            make_user(session, email=f"r{number}@example.org", role=Role.RESEARCHER)
            for number in range(MAX_STREAMS // MAX_STREAMS_EACH + 1)
        ]
    held = [Reader(server, people[number // MAX_STREAMS_EACH], comparison) for number in range(MAX_STREAMS)]
    assert {reader.status for reader in held} == {200}
    assert len(server.app.state.readers) == MAX_STREAMS
    with asking(server, people[-1]) as client:
        refused = client.get(f"/compare/{comparison}/stream", headers={"Accept": "application/json"})
        assert refused.status_code == 429
        assert f"{MAX_STREAMS} streams are open on this server already." in refused.text
        assert client.get("/explore").status_code == 200
    with asking(server, bob) as client:
        assert client.get("/judge").status_code == 200
    for reader in held:
        reader.socket.close()
    assert empty_within(server, CLEANUP_S)


def test_case_34_judging_needs_no_stream():
    files = [*(ROOT / "templates" / "judging").glob("*.html"), *(ROOT / "static" / "js").glob("judging*.js")]
    assert len(files) > 20
    for file in files:
        assert not re.search(r"EventSource|sse-connect|hx-ext", file.read_text(encoding="utf-8")), file
