"""30: nothing anybody sends makes the server ask another address; only what the operator's registry names is asked."""

import itertools
import json
import socket
import urllib.request

import httpx2
import pytest

from app.accounts.access import ACCESS
from app.api.routes import schema
from app.engines.registry import load_registry
from app.engines.vllm import client
from app.errors import ConfigurationError, EngineError
from tests.conftest import ORIGIN
from tests.unit.test_vllm_faults import engine, score, stream
from tests.web.api_help import token_for
from tests.web.fuzz_help import Sender, names_of
from tests.web.test_access import place as place  # noqa: PLC0414  a fixture

INSIDE = (
    "http://169.254.169.254/latest/meta-data/",
    "http://127.0.0.1:8001/v1",
    "file:///etc/passwd",
    "//intern.example/x",
)


@pytest.fixture
def asked(monkeypatch):
    """Every address this process looks up or connects to."""
    found = []
    for name in ("getaddrinfo", "create_connection"):
        original = getattr(socket, name)
        monkeypatch.setattr(socket, name, lambda *a, _was=original, **k: (found.append(a), _was(*a, **k))[1])

    class Watched(socket.socket):
        def connect(self, address):
            found.append(address)
            return super().connect(address)

    monkeypatch.setattr(socket, "socket", Watched)
    return found


def test_case_30_no_field_of_any_route_makes_the_server_connect_anywhere(
    app, place, client_for, database, alice, asked
):
    sender = Sender(app, client_for().portal, {"alice": alice})
    addresses = itertools.cycle(INSIDE)
    told = [("Referer", INSIDE[0]), ("X-Forwarded-Host", INSIDE[0])]
    headers = [("Cookie", sender.cookies["alice"]), ("Origin", ORIGIN), *told]
    form = [*headers, ("Content-Type", "application/x-www-form-urlencoded")]
    asked.clear()
    for (method, path), (queried, sent) in names_of(app).items():
        at, known = place(path)
        for values in ({}, known):
            body = "&".join(
                f"{name}={values.get(name, next(addresses))}" for name in dict.fromkeys([*sent, *values])
            ).encode()
            query = "&".join(f"{name}={next(addresses)}" for name in queried).encode()
            status, _ = sender.send(method, at, query, body=body if method == "POST" else b"", headers=form)
            assert status < 500, path
    bearer = [("Authorization", f"Bearer {token_for(database, alice)}"), ("Content-Type", "application/json")]
    shapes = schema()["components"]["schemas"]
    for method, path in ACCESS:
        if path.startswith("/api/") and method == "POST":
            for shape in shapes.values():
                body = json.dumps(dict.fromkeys(shape.get("properties", {}), next(addresses))).encode()
                assert sender.send(method, place(path)[0], body=body, headers=bearer)[0] < 500
    assert asked == []


def test_case_30_the_watch_over_connections_sees_one(asked):
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen("http://127.0.0.1:9/", timeout=5)
    assert asked


@pytest.mark.parametrize("ask", [stream, score])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_case_30_a_model_server_cannot_send_us_elsewhere(monkeypatch, ask, status):
    monkeypatch.setattr(client, "RETRY_AFTER_S", ())
    hosts = []

    def handler(request):
        hosts.append(request.url.host)
        return httpx2.Response(status, headers={"Location": INSIDE[0]})

    with pytest.raises(EngineError, match=f"status {status}"):
        ask(engine(handler=handler))
    assert "169.254.169.254" not in hosts
    assert hosts


@pytest.mark.parametrize(
    "address", ["file:///etc/passwd", "ftp://host/v1", "gopher://host/v1", "//host/v1", "host:80/v1", "http:///v1"]
)
def test_case_30_the_registry_takes_addresses_of_model_servers_alone(tmp_path, address):
    file = tmp_path / "checkpoints.toml"
    file.write_text(f'[[checkpoint]]\nname = "base"\nrole = "base"\nmodel = "m"\nengine = "{address}"\n')
    with pytest.raises(ConfigurationError, match="neither local nor an address"):
        load_registry(file)


def test_case_30_a_name_that_points_at_us_brings_no_session(client_for, place):
    """A page of another site whose name is made to point here shares our address, but not our cookie."""
    browser = client_for()
    headers = {"Host": "evil.example", "Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"}
    for row in ACCESS:
        if row[0] == "POST" and ACCESS[row].value != "public":
            path, form = place(row[1])
            assert browser.post(path, data=form, headers=headers).status_code == 401, row
