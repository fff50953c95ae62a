"""What travels compressed, and what must not."""

from fastapi.testclient import TestClient

ASKED = {"prompt": "Why?", "checkpoints": ["base", "lft", "sft"], "max_tokens": "64"}


def test_pages_travel_compressed_and_streams_do_not(researcher: TestClient) -> None:
    link = researcher.post("/compare", data=ASKED).headers["location"]
    stream = researcher.get(link.replace("/explore/", "/compare/") + "/stream")
    assert stream.headers["content-type"].startswith("text/event-stream")
    assert "content-encoding" not in stream.headers
    page = researcher.get(link)
    assert page.headers["content-encoding"] == "gzip"
    assert {"HX-Request", "Accept-Encoding"} <= {word.strip() for word in page.headers["vary"].split(",")}
    assert int(page.headers["content-length"]) < len(page.content) / 3


def test_who_asks_for_plain_bytes_gets_them(researcher: TestClient) -> None:
    plain = researcher.get("/explore", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.text.startswith("<!doctype html>")


def test_scripts_travel_compressed(researcher: TestClient) -> None:
    assert researcher.get("/static/app.css").headers["content-encoding"] == "gzip"
