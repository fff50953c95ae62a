"""Requests to one vLLM server, each on a connection of its own.

Event loops differ between the pages, the command line and the tests, a stream lives for seconds, and closing the
connection is how vLLM is told to stop.
"""

import asyncio
import secrets
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from typing import Any

import httpx2
import structlog

from app.engines.protocol import Decoding, Token
from app.engines.vllm.faults import explained, refusal
from app.engines.vllm.prompt_wire import PromptReader
from app.engines.vllm.wire import CompletionDecoder, ServedModel, WireError, error_message, read_json, served_models
from app.shift.trace import PartialView

CONNECT_TIMEOUT_S = 5.0
# Pages wait for the state of every server; one that is stuck must not take the others' answers with it.
STATE_TIMEOUT_S = 3.0
# Tried again after these pauses while nothing was answered yet: a restart of the server shows as a refused connection.
RETRY_AFTER_S = (0.2, 0.8)
_MAX_ERROR_BYTES = 65_536
_MAX_STATE_BYTES = 1_000_000
# Parsed in one go beside the event loop.
_PARSED_AT_ONCE = 262_144


@dataclass(frozen=True, slots=True)
class Server:
    """Where a server is and how to speak to it; `url` ends in /v1. `transport` is for tests."""

    url: str
    key: str | None = None
    read_timeout_s: float = 60.0
    transport: httpx2.AsyncBaseTransport | None = None

    def open(self, read_timeout_s: float | None = None) -> httpx2.AsyncClient:
        """Make a client for one call. It takes no proxy and no key from the environment, and follows no redirect.

        Whom we speak to stands in the registry; a server must not send us, with its key, to another one.
        """
        return httpx2.AsyncClient(
            headers=({"Authorization": f"Bearer {self.key}"} if self.key else {}) | _on_whose_behalf(),
            timeout=httpx2.Timeout(read_timeout_s or self.read_timeout_s, connect=CONNECT_TIMEOUT_S),
            verify=_certificates() if self.url.startswith("https:") else False,
            transport=self.transport,
            trust_env=False,
            follow_redirects=False,
        )

    @property
    def root(self) -> str:
        """The address without /v1, where health and version live."""
        return self.url.removesuffix("/v1")


def _on_whose_behalf() -> dict[str, str]:
    """Name the request, or else the run, that a call is made for, so that the server's log can be held beside ours.

    Each call gets an ending of its own: vLLM takes the header for its own id, and two of one id at once may fail there.
    """
    known = structlog.contextvars.get_contextvars()
    mark = known.get("request_id") or known.get("run")
    return {"X-Request-Id": f"{mark}-{secrets.token_hex(3)}"} if mark else {}


@cache
def _certificates() -> ssl.SSLContext:
    return ssl.create_default_context()


@dataclass(frozen=True, slots=True)
class Refused:
    """An answer that is not 200: its status and the server's own words."""

    status: int
    said: str


@asynccontextmanager
async def _posted(
    client: httpx2.AsyncClient, url: str, body: dict[str, Any], *, patient: bool
) -> AsyncIterator[httpx2.Response]:
    """Send; with patience, again while the server is not there yet (refused connection, 503): nothing was begun."""
    pauses = list(RETRY_AFTER_S) if patient else []
    while True:
        try:
            response = await client.send(client.build_request("POST", url, json=body), stream=True)
        except httpx2.ConnectError:
            if not pauses:
                raise
        else:
            if response.status_code != HTTPStatus.SERVICE_UNAVAILABLE or not pauses:
                break
            await response.aclose()
        await asyncio.sleep(pauses.pop(0))
    try:
        yield response
    finally:
        await response.aclose()


async def _refused(response: httpx2.Response) -> Refused | None:
    if response.status_code == HTTPStatus.OK:
        return None
    body = b""
    async for part in response.aiter_bytes():
        body += part
        if len(body) > _MAX_ERROR_BYTES:
            break
    return Refused(status=response.status_code, said=error_message(body))


def completion_body(served_name: str, prompt_ids: Sequence[int], decoding: Decoding) -> dict[str, Any]:
    """Spell out every sampling parameter: what is left out, a server takes from the model's generation_config.json."""
    return {
        "model": served_name,
        "prompt": list(prompt_ids),
        "max_tokens": decoding.max_tokens,
        "temperature": decoding.temperature,
        "seed": decoding.seed,
        "n": 1,
        "top_p": 1,
        "top_k": 0,
        "min_p": 0,
        "repetition_penalty": 1,
        "presence_penalty": 0,
        "frequency_penalty": 0,
        "min_tokens": 0,
        "skip_special_tokens": False,
        "add_special_tokens": False,
        "return_token_ids": True,
        "return_tokens_as_token_ids": True,
    }


async def stream_tokens(
    server: Server, body: dict[str, Any], *, checkpoint: str, patient: bool = True
) -> AsyncGenerator[Token, None]:
    """Stream a completion; closing the iterator closes the connection, which stops the work on the server.

    Raises EngineError, also for a server that goes on after the number of tokens it was asked for.
    """
    decoder, left = CompletionDecoder(), body["max_tokens"]
    with explained(checkpoint, server.url):
        async with server.open() as client:
            request = body | {"stream": True, "logprobs": 0}
            async with _posted(client, f"{server.url}/completions", request, patient=patient) as response:
                if refused := await _refused(response):
                    raise refusal(
                        refused.status, refused.said, checkpoint=checkpoint, served_name=body["model"], url=server.url
                    )
                if not response.headers.get("content-type", "").startswith("text/event-stream"):
                    raise WireError("it does not stream")
                async for received in response.aiter_bytes():
                    for token in decoder.feed(received):
                        if left == 0:
                            raise WireError("it sent more tokens than it was asked for")
                        left -= 1
                        yield token
                    if decoder.finished:
                        return
                decoder.flush()


async def scored(
    server: Server,
    served_name: str,
    ids: Sequence[int],
    *,
    start: int,
    k: int,
    timeout_s: float,
    patient: bool = True,
) -> tuple[PartialView, ...] | Refused:
    """Ask for the log-probabilities of `ids` with the `k` best beside each, and read the answer as it comes.

    Returns a view per id from position `start` on. Raises WireError for an answer that is not vLLM's.
    """
    body = completion_body(served_name, ids, Decoding(max_tokens=1)) | {"prompt_logprobs": k}
    reader = PromptReader(ids, start=start, k=k)
    async with (
        asyncio.timeout(timeout_s),
        server.open(timeout_s) as client,
        _posted(client, f"{server.url}/completions", body, patient=patient) as response,
    ):
        if refused := await _refused(response):
            return refused
        # Megabytes of JSON would hold up every stream of this process.
        async for received in response.aiter_bytes(_PARSED_AT_ONCE):
            await asyncio.to_thread(reader.feed, received)
    return reader.views()


async def answers(server: Server, served_name: str, *, checkpoint: str) -> None:
    """Have one token generated: a server that is stuck still says that it is healthy. Raises EngineError."""
    body = completion_body(served_name, (1,), Decoding(max_tokens=1))
    async with aclosing(stream_tokens(server, body, checkpoint=checkpoint, patient=False)) as tokens:
        with explained(checkpoint, server.url):
            async with asyncio.timeout(2 * CONNECT_TIMEOUT_S):
                await anext(tokens)


@dataclass(frozen=True, slots=True)
class ServerState:
    """What a server says of itself. `loads_adapters`: it was asked, and lets adapters be loaded and unloaded."""

    version: str
    models: dict[str, ServedModel]
    loads_adapters: bool = False


async def _got(client: httpx2.AsyncClient, url: str) -> tuple[int, bytes]:
    """Return the status and the body, of which no more is read than any such answer has."""
    body = b""
    async with client.stream("GET", url) as response:
        async for part in response.aiter_bytes():
            body += part
            if len(body) > _MAX_STATE_BYTES:
                raise WireError("it sent far more than it was asked for")
        return response.status_code, body


async def version(server: Server) -> str:
    """Return the server's vLLM version, or "unknown" where a router in front of it hides it."""
    async with asyncio.timeout(CONNECT_TIMEOUT_S), server.open(CONNECT_TIMEOUT_S) as client:
        status, body = await _got(client, f"{server.root}/version")
    return str(read_json(body).get("version", "unknown"))[:40] if status == HTTPStatus.OK else "unknown"


async def state(server: Server, *, checkpoint: str) -> ServerState:
    """Ask for health, version and models. Raises EngineError naming the checkpoint asked for."""
    with explained(checkpoint, server.url):
        async with asyncio.timeout(STATE_TIMEOUT_S), server.open(STATE_TIMEOUT_S) as client:
            for address in (f"{server.root}/health", f"{server.url}/models"):
                status, body = await _got(client, address)
                if status != HTTPStatus.OK:
                    said = error_message(body)
                    raise refusal(status, said, checkpoint=checkpoint, served_name=checkpoint, url=server.url)
            return ServerState(version=await version(server), models=served_models(body))
