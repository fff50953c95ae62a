"""Hand a request to the process that has the models, over its Unix socket, and its answer back as it comes.

What was sent is passed on piece by piece in both directions, so uploads and event streams are held nowhere. Who asked,
and how, travels in one header that only this socket can bring: no port leads to it.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress

import httpx2
import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from app.errors import AppError
from app.web.body import GRACE_S
from app.web.errors import error_response
from app.workers.place import Place, is_elsewhere

_WHO = "x-tuneshift-asked-by"
# Of one connection, not of the message; and compressed once, at the edge.
_NOT_PASSED = frozenset(
    {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect", "accept-encoding", _WHO}
)
_NOT_BACK = frozenset({"connection", "keep-alive", "transfer-encoding", "date", "server"})

_DYING_S = 0.25

_log = structlog.get_logger(__name__)


class ModelsGoneError(AppError):
    """The process with the models ended before it had answered."""

    status = 503

    def __init__(self) -> None:
        """Say so."""
        super().__init__(
            "The part of the server that has the models stopped before it answered, and is being started again.",
            remedy="Load the page to see what was done; what is not there, do again.",
        )


class TooSlowError(AppError):
    """A body stopped coming; the process with the models sees no pause, only what is passed on."""

    status = 408

    def __init__(self) -> None:
        """Say so."""
        super().__init__("What you sent did not come in time, so nothing of it was kept.", remedy="Send it again.")


class ForwardMiddleware:
    """Pure ASGI: answers what this process can, and passes the rest on."""

    def __init__(self, app: ASGIApp, *, place: Place) -> None:
        self.app = app
        transport = httpx2.AsyncHTTPTransport(
            uds=str(place.models_socket),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=64, keepalive_expiry=30),
        )
        # No limit of time: a stream is quiet for as long as its model is, and the parent sees to who does not answer.
        self.client = httpx2.AsyncClient(transport=transport, base_url="http://models", timeout=None, trust_env=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let the other process answer; whoever vanishes is not asked for any longer."""
        if scope["type"] != "http" or not is_elsewhere(scope["path"]):
            await self.app(scope, receive, send)
            return
        asked = _Asked(scope, receive)
        passing = asyncio.create_task(self._pass(asked, send))
        leaving = asyncio.create_task(asked.gone())
        try:
            await asyncio.wait({passing, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if passing.done():
                await passing
        finally:
            for task in (passing, leaving):
                task.cancel()
            await asyncio.gather(passing, leaving, return_exceptions=True)

    async def _pass(self, asked: "_Asked", send: Send, *, again: bool = False) -> None:
        begun = False
        try:
            async with self.client.stream(
                asked.scope["method"], asked.url, headers=asked.headers, content=asked.content
            ) as answer:
                begun = True
                await _give_back(answer, send)
        except TimeoutError:
            await self._refuse(asked, send, TooSlowError())
        except httpx2.TransportError as error:
            _log.warning("the process with the models did not answer", reason=type(error).__name__, again=again)
            if begun:
                # Only breaking it off tells the client that it is incomplete.
                raise
            if again or not asked.changes_nothing:
                await self._refuse(asked, send, ModelsGoneError())
                return
            # A process that is dying holds its connections a while after it was killed; the next one answers.
            await asyncio.sleep(_DYING_S)
            await self._pass(asked, send, again=True)

    async def _refuse(self, asked: "_Asked", send: Send, error: AppError) -> None:
        request = Request(asked.scope)
        request.state.user = None
        await error_response(request, error)(asked.scope, asked.receive, send)


async def _give_back(answer: httpx2.Response, send: Send) -> None:
    headers = [(name.lower(), value) for name, value in answer.headers.raw if name.lower().decode() not in _NOT_BACK]
    await send({"type": "http.response.start", "status": answer.status_code, "headers": headers})
    async for piece in answer.aiter_raw():
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


class _Asked:
    """A request on its way: its head, its body as it comes, and the moment its sender has gone."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.scope, self.receive = scope, receive
        self._read = asyncio.Event()
        sent = Headers(scope=scope)
        self._has_body = "transfer-encoding" in sent or sent.get("content-length", "0") != "0"
        if not self._has_body:
            self._read.set()

    @property
    def changes_nothing(self) -> bool:
        """Whether it may be asked twice, whatever came of the first time."""
        return self.scope["method"] in {"GET", "HEAD"} and not self._has_body

    @property
    def url(self) -> httpx2.URL:
        """The address as it was asked for, byte for byte."""
        path = self.scope.get("raw_path") or self.scope["path"].encode()
        query = self.scope["query_string"]
        return httpx2.URL("http://models").copy_with(raw_path=path + (b"?" + query if query else b""))

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """What was sent, and who sent it."""
        kept = [(name, value) for name, value in self.scope["headers"] if name.decode("latin-1") not in _NOT_PASSED]
        who = {"client": self.scope.get("client"), "scheme": self.scope["scheme"]}
        return [*kept, (_WHO.encode(), json.dumps(who).encode())]

    @property
    def content(self) -> AsyncIterator[bytes] | None:
        """The body, piece by piece; None where there is none."""
        return self._pieces() if self._has_body else None

    async def _pieces(self) -> AsyncIterator[bytes]:
        more = True
        while more:
            async with asyncio.timeout(GRACE_S):
                message = await self.receive()
            if message["type"] == "http.disconnect":
                # The rest will never come; what was begun must not look complete.
                raise httpx2.ReadError("the sender left")
            yield message.get("body", b"")
            more = message.get("more_body", False)
        self._read.set()

    async def gone(self) -> None:
        """Return when the sender has left."""
        await self._read.wait()
        while (await self.receive())["type"] != "http.disconnect":
            pass


class AskedByMiddleware:
    """Pure ASGI, where the models are: says of a request who asked it, as the process that passed it on knows."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Put the client and the scheme of the first request in the place of the socket's."""
        if scope["type"] == "http":
            headers = MutableHeaders(raw=list(scope["headers"]))
            who = json.loads(headers.get(_WHO, "{}"))
            del headers[_WHO]
            scope = dict(scope, headers=headers.raw)
            if who:
                scope.update(client=tuple(who["client"]) if who["client"] else None, scheme=who["scheme"])
        await self.app(scope, receive, send)


async def ask_models(place: Place, path: str, *, timeout_s: float) -> httpx2.Response | None:
    """Ask the process with the models for a page of its own; None when it does not answer in time."""
    transport = httpx2.AsyncHTTPTransport(uds=str(place.models_socket))
    with suppress(httpx2.TransportError):
        async with httpx2.AsyncClient(transport=transport, base_url="http://models", trust_env=False) as client:
            return await client.get(path, timeout=timeout_s)
    return None
