"""31, 34: clients that send a byte now and then, stop half-way or do not read are let go, and keep nobody waiting."""

import socket
import threading
import time
from contextlib import ExitStack, closing, suppress

import httpx2
import pytest
import uvicorn

from app.web import body, patience
from app.web.patience import PatientProtocol
from tests.conftest import START_S, Server
from tests.patience import PATIENCE_S

CLIENTS = 200
SOON_S = PATIENCE_S


@pytest.fixture
def impatient(monkeypatch):
    """Deadlines short enough for a test."""
    monkeypatch.setattr(patience, "HEAD_S", 1.0)
    monkeypatch.setattr(patience, "LINGER_S", 1.0)
    monkeypatch.setattr(patience, "READ_S", 1.0)
    monkeypatch.setattr(body, "GRACE_S", 1.0)


@pytest.fixture
def connections():
    """Those the server has open, once it runs."""
    return []


@pytest.fixture
def server(app, connections):
    """The app as `tuneshift serve` runs it; `connections` gets the set of its connections."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        config = uvicorn.Config(app, log_level="error", http=PatientProtocol, timeout_graceful_shutdown=2)
        running = uvicorn.Server(config)
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        deadline = time.monotonic() + START_S
        while not running.started and time.monotonic() < deadline:
            time.sleep(0.01)
        connections.append(running.server_state.connections)
        yield Server(f"http://127.0.0.1:{listener.getsockname()[1]}", app)
        running.should_exit = True
        thread.join(START_S)


def connected(server):
    host, port = server.url.removeprefix("http://").split(":")
    client = socket.create_connection((host, int(port)), timeout=SOON_S)
    client.settimeout(SOON_S)
    return client


def patient(server):
    """A client that waits for its answers, however busy the machine."""
    return httpx2.Client(base_url=server.url, timeout=PATIENCE_S, trust_env=False)


def drip(client, *, seconds=SOON_S):
    """Send a byte every 50 ms until the server lets go; returns what it said. Fails when it never does."""
    deadline = time.monotonic() + seconds
    said = b""
    client.settimeout(0.05)
    while time.monotonic() < deadline:
        try:
            client.sendall(b"a")
            piece = client.recv(65_536)
        except TimeoutError:
            continue
        except OSError:
            return said
        if not piece:
            return said
        said += piece
    pytest.fail(f"the server still waits after {seconds} s")


def until_closed(client):
    said = b""
    while piece := client.recv(65_536):
        said += piece
    return said


def post(length, kind="application/json"):
    return (
        f"POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n"
        "Accept: application/json\r\n\r\n"
    ).encode()


def test_who_sends_no_whole_head_is_let_go(impatient, server):
    with closing(connected(server)) as silent, closing(connected(server)) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        assert until_closed(client).startswith(b"HTTP/1.1 408 ")
        assert until_closed(silent) == b""


def test_a_head_that_comes_byte_by_byte_has_an_end_too(impatient, server):
    started = time.monotonic()
    with closing(connected(server)) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        drip(client)
        assert time.monotonic() - started >= 0.5


def test_and_so_has_the_second_head_of_a_connection(impatient, server):
    with closing(connected(server)) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /healthz HT")
        assert client.recv(65_536).startswith(b"HTTP/1.1 200 ")
        drip(client)


def test_a_body_that_comes_byte_by_byte_is_refused_in_words(impatient, server):
    with closing(connected(server)) as client:
        client.sendall(post(100_000))
        said = drip(client)
    assert said.startswith(b"HTTP/1.1 408 ")
    assert b"did not come in time" in said


def test_a_body_may_take_as_long_as_its_size_allows(impatient, server, monkeypatch):
    monkeypatch.setattr(body, "SLOWEST_BYTES_PER_S", 100)
    with closing(connected(server)) as client:
        client.sendall(post(400, "application/x-www-form-urlencoded"))
        for _ in range(8):
            client.sendall(b"a" * 50)
            time.sleep(0.25)
        # Two seconds, twice the grace: read to its end, and refused for what is in it.
        assert client.recv(65_536).startswith(b"HTTP/1.1 422 ")


def test_a_body_nobody_reads_does_not_hold_the_connection(impatient, server):
    with closing(connected(server)) as client:
        client.sendall(post(1_000_000).replace(b"POST /login", b"POST /nothing"))
        assert drip(client).startswith(b"HTTP/1.1 40")


def test_who_does_not_read_is_let_go(impatient, server, connections):
    asked = 400
    with patient(server) as other:
        size = len(other.get("/static/app.css", headers={"Accept-Encoding": "identity"}).content)
    with closing(socket.socket()) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        host, port = server.url.removeprefix("http://").split(":")
        client.connect((host, int(port)))
        client.settimeout(SOON_S)
        # Much more than the buffers of both sides hold.
        client.sendall(b"GET /static/app.css HTTP/1.1\r\nHost: x\r\n\r\n" * asked)
        (held,), here = connections, client.getsockname()
        for known in (True, False):
            # Taken by the server at some time, and let go later.
            deadline = time.monotonic() + PATIENCE_S
            while any(one.client == here for one in list(held)) != known:
                assert time.monotonic() < deadline, "the server waits for who does not read"
                time.sleep(0.01)
        got = 0
        with suppress(ConnectionError):
            while piece := client.recv(65_536):
                got += len(piece)
    assert 0 < got < asked * size


@pytest.mark.alone
def test_case_34_two_hundred_clients_that_hang_keep_nobody_waiting(server):
    with ExitStack() as stack, patient(server) as others:
        assert others.get("/").status_code == 200
        usual = longest_of_ten(others)
        for number in range(CLIENTS):
            client = stack.enter_context(closing(connected(server)))
            client.sendall(post(100_000) if number % 2 else b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        beside = longest_of_ten(others)
    # Waiting until one that hangs is let go would take fifteen seconds.
    assert beside < max(5.0, 10 * usual)


def longest_of_ten(client):
    longest = 0.0
    for _ in range(10):
        started = time.monotonic()
        assert client.get("/").status_code == 200
        longest = max(longest, time.monotonic() - started)
    return longest
