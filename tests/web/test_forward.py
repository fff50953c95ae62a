"""What is handed on to the process with the models, what never is, and who may say who asked."""

import asyncio
import json
import socket
import threading

import pytest
import uvicorn
from fastapi.testclient import TestClient

from app.accounts.access import ACCESS, Access
from app.main import create_app
from app.workers.forward import AskedByMiddleware, ForwardMiddleware
from app.workers.place import Crew, Place, is_elsewhere, read_crew, write_crew

EVERYBODY = {Access.PUBLIC, Access.SIGNED_IN}


def test_whatever_is_for_researchers_is_handed_on_and_judging_never_is():
    assert all(is_elsewhere(path) for (_, path), needed in ACCESS.items() if needed not in EVERYBODY)
    here = {
        path.split("/")[1] for (_, path), needed in ACCESS.items() if needed in EVERYBODY and not is_elsewhere(path)
    }
    assert {"", "judge", "login", "logout", "join", "invite", "healthz", "readyz", "metrics"} <= here
    assert not any(map(is_elsewhere, ("/", "", "*", "/static/app.css", "/judge/x/submit", "/explorer")))


@pytest.fixture
def place(tmp_path):
    place = Place("pages", tmp_path)
    place.metrics.mkdir()
    write_crew(place, Crew(3, 3, 0, models=True))
    return place


def test_a_process_without_models_needs_none_for_what_it_answers(
    settings, database, scripted_engines, place, bob, study
):
    app = create_app(settings, engines=scripted_engines, place=place)
    assert read_crew(place) == Crew(3, 3, 0, models=True)
    with TestClient(app, raise_server_exceptions=False, headers={"Origin": settings.public_url}) as client:
        assert not hasattr(app.state, "live_runs")
        for (method, path), needed in ACCESS.items():
            if needed in EVERYBODY and not is_elsewhere(path):
                answer = client.request(method, path.replace("{", "").replace("}", ""))
                assert answer.status_code < 500, (method, path, answer.text)
        # Nobody listens where the models should be.
        answer = client.get("/explore")
        assert answer.status_code == 503
        assert "being started again" in answer.text
        assert answer.headers["Content-Security-Policy"]
        assert client.get("/readyz").json()["parts"]["models"]["ok"] is False


@pytest.fixture
def echo(tmp_path):
    """Serve an app on the models' socket that says what it was sent."""
    place = Place("models", tmp_path)

    async def app(scope, receive, send):
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        heard = {
            "method": scope["method"], "path": scope["raw_path"].decode(), "query": scope["query_string"].decode(),
            "client": scope["client"], "scheme": scope["scheme"], "size": len(body),
            "headers": [[name.decode(), value.decode()] for name, value in scope["headers"]],
        }  # fmt: skip
        headers = [(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"), (b"x-request-id", b"77")]
        await send({"type": "http.response.start", "status": 207, "headers": headers})
        await send(
            {"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else json.dumps(heard).encode()}
        )

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place.models_socket))
        listener.listen()
        server = uvicorn.Server(uvicorn.Config(AskedByMiddleware(app), lifespan="off", log_config=None))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        yield place
        server.should_exit = True
        thread.join(20)


def ask(place, method, path, *, body=(), headers=()):
    """Put a request through the middleware as uvicorn would; returns the messages it answered."""

    async def run():
        pieces = iter(body)
        left = len(body)
        answered = []
        over = asyncio.Event()

        async def receive():
            nonlocal left
            if (piece := next(pieces, None)) is not None:
                left -= 1
                return {"type": "http.request", "body": piece, "more_body": left > 0}
            await over.wait()
            return {"type": "http.disconnect"}

        async def send(message):
            answered.append(message)

        async def never(*_):
            pytest.fail("answered here")

        raw, _, query = path.partition("?")
        scope = {
            "type": "http", "method": method, "path": raw, "raw_path": raw.encode(), "query_string": query.encode(),
            "headers": [(b"host", b"lab.example"), *headers], "client": ("198.51.100.7", 5), "scheme": "https",
        }  # fmt: skip
        middleware = ForwardMiddleware(never, place=place)
        await middleware(scope, receive, send)
        await middleware.client.aclose()
        return answered

    return asyncio.run(run())


def heard(answered):
    return json.loads(b"".join(message.get("body", b"") for message in answered[1:]))


def test_a_request_arrives_as_it_was_sent_and_its_answer_comes_back_whole(echo):
    sent = [bytes(500_000)] * 6
    answered = ask(
        echo, "POST", "/studies/a%2Fb?x=1&x=%20", body=sent,
        headers=[(b"content-length", b"3000000"), (b"cookie", b"tuneshift_session=s"), (b"expect", b"100-continue")],
    )  # fmt: skip
    assert answered[0]["status"] == 207
    assert [value for name, value in answered[0]["headers"] if name == b"set-cookie"] == [b"a=1", b"b=2"]
    arrived = heard(answered)
    assert (arrived["method"], arrived["path"], arrived["query"]) == ("POST", "/studies/a%2Fb", "x=1&x=%20")
    assert (arrived["client"], arrived["scheme"], arrived["size"]) == (["198.51.100.7", 5], "https", 3_000_000)
    names = dict(arrived["headers"])
    assert (names["host"], names["cookie"]) == ("lab.example", "tuneshift_session=s")
    assert "expect" not in names


def test_a_body_of_unknown_length_and_none_at_all_arrive_too(echo):
    chunked = ask(echo, "POST", "/compare", body=[b"abc", b"de"], headers=[(b"transfer-encoding", b"chunked")])
    assert heard(chunked)["size"] == 5
    assert heard(ask(echo, "GET", "/explore", body=[b""]))["size"] == 0
    assert ask(echo, "HEAD", "/explore", body=[b""])[0]["status"] == 207


def test_a_body_that_stops_coming_is_not_waited_for(echo, monkeypatch):
    monkeypatch.setattr("app.workers.forward.GRACE_S", 0.2)
    answered = ask(echo, "POST", "/compare", body=[], headers=[(b"content-length", b"5")])
    assert answered[0]["status"] == 408
    assert b"did not come in time" in answered[1]["body"]


def test_nobody_can_claim_to_be_somebody_else(echo):
    lie = json.dumps({"client": ["127.0.0.1", 1], "scheme": "http"}).encode()
    arrived = heard(ask(echo, "GET", "/explore", body=[b""], headers=[(b"x-tuneshift-asked-by", lie)]))
    assert arrived["client"] == ["198.51.100.7", 5]
    assert "x-tuneshift-asked-by" not in dict(arrived["headers"])
