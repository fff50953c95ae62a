"""What becomes of a request whose process with the models dies before it answers."""

import asyncio

import httpx2
import pytest

from app.workers.forward import ForwardMiddleware
from app.workers.place import Place

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


async def ask(place, method, deaths, **sent):
    """Ask through a process for people; the one with the models dies `deaths` times with the request in its hands."""
    asked = []

    async def models(reader, writer):
        asked.append((await reader.readuntil(b"\r\n")).split(b" ")[0].decode())
        if len(asked) > deaths:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(ANSWER)
            await writer.drain()
        writer.close()

    async def nothing(*_):
        raise AssertionError("answered here")

    async with await asyncio.start_unix_server(models, place.models_socket):
        pages = httpx2.ASGITransport(ForwardMiddleware(nothing, place=place))
        async with httpx2.AsyncClient(transport=pages, base_url="http://pages") as client:
            answer = await client.request(method, "/studies", **sent)
    return answer.status_code, asked


@pytest.fixture
def place(tmp_path):
    return Place("pages", tmp_path)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_changes_nothing_is_asked_of_the_next_process(place, method):
    assert asyncio.run(ask(place, method, 1)) == (200, [method, method])
    assert asyncio.run(ask(place, method, 9)) == (503, [method, method])


@pytest.mark.parametrize(("method", "sent"), [("POST", {"content": b"a=1"}), ("POST", {}), ("GET", {"content": b"a"})])
def test_what_may_have_been_done_is_not_done_twice(place, method, sent):
    assert asyncio.run(ask(place, method, 1, **sent)) == (503, [method])
