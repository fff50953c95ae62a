"""Everything a server can do wrong becomes a sentence that names the checkpoint and what would help."""

import asyncio
import json
import time
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest

from app.engines.protocol import Decoding, Request
from app.engines.registry import Checkpoint
from app.engines.vllm import client
from app.engines.vllm.engine import MAX_SCORED_TOKENS, VllmEngine
from app.engines.vllm.faults import RefusedRequestError, UnknownModelError
from app.engines.vllm.status import is_before
from app.errors import EngineError, EngineTimeoutError, EngineUnavailableError, InvalidInputError, NotFoundError

SECRET = "sk-never-show-this"


def checkpoint(url, *, name="lft", served_name="tuned", adapter=None):
    return Checkpoint(
        name=name,
        role="lft" if adapter else "base",
        model="org/model",
        adapter=adapter,
        base="base",
        revision=None,
        engine=url,
        served_name=served_name,
        template="none",
        tuning_set=None,
        tokenizer=Path("/nowhere"),
    )


def engine(url="http://user:pass@models.example:8001/v1", *, handler=None, **over):
    transport = httpx2.MockTransport(handler) if handler else None
    return VllmEngine([checkpoint(url)], api_key=SECRET, transport=transport, **over)


def stream(subject, *, name="lft", prompt_ids=(1, 2)):
    async def drain():
        request = Request(checkpoint=name, prompt_ids=prompt_ids, decoding=Decoding(max_tokens=4))
        return [token.id async for token in subject.stream(request)]

    return asyncio.run(drain())


def score(subject, *, prompt_ids=(1, 2), response_ids=(3,), name="lft", **over):
    return asyncio.run(subject.score(prompt_ids, response_ids, 5, checkpoint=name, reference=name, **over))


def answer(status, message=None, *, body=None, calls=None):
    def handler(request):
        if calls is not None:
            calls.append(request)
        content = json.dumps({"error": {"message": message}}).encode() if body is None else body
        return httpx2.Response(status, content=content)

    return handler


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(client, "RETRY_AFTER_S", (0.0, 0.0))


TOO_LONG = "This model's maximum context length is 512 tokens. However, your prompt contains 600 input tokens."
ANSWERS = [
    (
        404,
        "The model `tuned` does not exist.",
        UnknownModelError,
        "serves no model called 'tuned'",
        "--lora-modules tuned=",
    ),
    (400, TOO_LONG, InvalidInputError, "holds 512 tokens", "Shorten"),
    (400, "max_tokens must be at least 1, got 0.", InvalidInputError, "do not fit", "Shorten"),
    (400, "max_tokens=9 cannot be greater than max_model_len=8.", InvalidInputError, "holds 8 tokens", "Shorten"),
    (400, "Token id 99999 is out of vocabulary", InvalidInputError, "token id 99999 is out of", "local engine"),
    (400, "no such thing", RefusedRequestError, 'refused the request: "no such thing"', "0.12"),
    (401, None, EngineError, "refused our key", "TUNESHIFT_VLLM_API_KEY"),
    (403, None, EngineError, "refused our key", "TUNESHIFT_VLLM_API_KEY"),
    (429, None, EngineUnavailableError, "takes no requests", "Wait"),
    (503, None, EngineUnavailableError, "takes no requests", "Wait"),
    (500, "EngineCore encountered an issue.", EngineError, 'status 500: "EngineCore', "log"),
    (302, None, EngineError, "status 302", "log"),
]


@pytest.mark.parametrize("ask", [stream, score])
@pytest.mark.parametrize(("status", "said", "kind", "message", "remedy"), ANSWERS)
def test_every_answer_of_a_server_becomes_a_sentence(ask, status, said, kind, message, remedy):
    with pytest.raises(kind) as caught:
        ask(engine(handler=answer(status, said)))
    assert type(caught.value) is kind
    assert message in caught.value.message
    assert "'lft'" in caught.value.message
    assert remedy in caught.value.remedy


@pytest.mark.parametrize("ask", [stream, score])
@pytest.mark.parametrize("body", [b"<html>hello</html>", b"", b"{}", b"[]", b'{"choices": [{}]}', b"\xff"])
def test_success_that_is_not_vllms_is_refused(ask, body):
    with pytest.raises(EngineError, match="cannot be used"):
        ask(engine(handler=answer(200, body=body)))


@pytest.mark.parametrize("ask", [stream, score])
def test_a_busy_server_is_asked_again_and_an_error_is_not_repeated(ask):
    for status, times in ((503, 3), (500, 1), (429, 1)):
        calls = []
        with pytest.raises(EngineError):
            ask(engine(handler=answer(status, calls=calls)))
        assert len(calls) == times


@pytest.mark.parametrize("ask", [stream, score])
def test_no_message_shows_a_key_or_the_password_of_an_address(ask):
    handlers = [answer(status, said) for status, said, *_ in ANSWERS]
    handlers += [raising(httpx2.ConnectError("x")), raising(httpx2.ReadTimeout("x")), answer(200, body=b"?")]
    for handler in handlers:
        with pytest.raises((EngineError, InvalidInputError)) as caught:
            ask(engine(handler=handler))
        shown = f"{caught.value} {caught.value.remedy}"
        assert SECRET not in shown
        assert "pass" not in shown
        assert "http" not in shown


def raising(error):
    def handler(request):
        raise error

    return handler


@pytest.mark.parametrize("ask", [stream, score])
@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (httpx2.ConnectError("refused"), EngineUnavailableError, "cannot be reached"),
        (httpx2.ConnectTimeout("slow"), EngineUnavailableError, "cannot be reached"),
        (httpx2.ReadTimeout("slow"), EngineTimeoutError, "did not answer in time"),
        (httpx2.ReadError("reset"), EngineError, "broke the connection"),
        (httpx2.RemoteProtocolError("eof"), EngineError, "broke the connection"),
    ],
)
def test_every_failure_of_the_connection_becomes_a_sentence(ask, error, kind, message):
    with pytest.raises(kind, match=message) as caught:
        ask(engine(handler=raising(error)))
    assert type(caught.value) is kind
    assert "'lft' (models.example:8001)" in caught.value.message


def test_every_sampling_parameter_is_sent():
    calls = []
    with pytest.raises(EngineError):
        stream(engine("http://models.example/v1", handler=answer(500, calls=calls)))
    body = json.loads(calls[0].content)
    assert body["prompt"] == [1, 2]
    assert body["model"] == "tuned"
    assert (body["temperature"], body["max_tokens"], body["seed"]) == (0, 4, 0)
    neutral = {"top_p": 1, "top_k": 0, "min_p": 0, "repetition_penalty": 1, "presence_penalty": 0}
    assert neutral | {"frequency_penalty": 0, "skip_special_tokens": False} | body == body
    assert body["return_token_ids"] is body["return_tokens_as_token_ids"] is body["stream"] is True
    assert calls[0].headers["authorization"] == f"Bearer {SECRET}"


def scoring_server(*, largest, seen):
    """Refuses more than `largest` entries per position, as vLLM does."""

    def handler(request):
        if request.url.path == "/version":
            return httpx2.Response(200, json={"version": "0.32.0"})
        body = json.loads(request.content)
        seen.append(body["prompt_logprobs"])
        if body["prompt_logprobs"] > largest:
            text = (
                f"Requested prompt logprobs of {body['prompt_logprobs']}, which is greater than max allowed: {largest}"
            )
            return httpx2.Response(400, json={"error": {"message": text}})
        entry = {"3": {"logprob": -0.5, "rank": 1}, "4": {"logprob": -1.5, "rank": 2}}
        return httpx2.Response(200, json={"choices": [{"prompt_logprobs": [None, entry, entry]}]})

    return handler


def test_fewer_entries_are_asked_of_a_server_that_allows_fewer():
    seen = []
    subject = engine(handler=scoring_server(largest=20, seen=seen))
    assert seen == []
    for _ in range(2):
        scores = score(subject, prompt_ids=(1, 3), response_ids=(3,))
        assert scores.tokens[0].base_rank == 1
        assert (scores.engine, scores.engine_version, scores.kl_kind) == ("vllm", "0.32.0", "lower_bound")
    assert seen == [100, 20, 20]


def test_one_model_against_itself_is_asked_once():
    seen = []
    scores = score(engine(handler=scoring_server(largest=100, seen=seen)), prompt_ids=(1, 3))
    assert seen == [100]
    assert scores.tokens[0].kl_tuned_base == 0


def test_a_response_without_tokens_needs_no_model():
    seen = []
    scores = score(engine(handler=scoring_server(largest=100, seen=seen)), response_ids=())
    assert (scores.tokens, seen) == ((), [])


def test_scoring_takes_turns_on_one_server():
    running, most = 0, 0

    async def handler(request):
        nonlocal running, most
        if request.url.path == "/version":
            return httpx2.Response(200, json={"version": "0.32.0"})
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.02)
        running -= 1
        return scoring_server(largest=100, seen=[])(request)

    subject = engine(handler=handler)

    async def many():
        asks = [subject.score((1, 3), (3,), 5, checkpoint="lft", reference="lft") for _ in range(5)]
        await asyncio.gather(*asks)

    asyncio.run(many())
    assert most == 1


def test_what_cannot_be_scored_is_refused_before_any_request():
    subject = engine(handler=raising(AssertionError("asked")))
    with pytest.raises(InvalidInputError, match="prompt is empty"):
        score(subject, prompt_ids=())
    with pytest.raises(InvalidInputError, match="prompt is empty"):
        stream(subject, prompt_ids=())
    with pytest.raises(InvalidInputError, match=f"at most {MAX_SCORED_TOKENS}"):
        score(subject, prompt_ids=(1,) * MAX_SCORED_TOKENS)
    for ask in (stream, score):
        with pytest.raises(NotFoundError, match="knows: lft"):
            ask(subject, name="nope")


def test_a_leaking_server_is_refused_and_its_status_says_so():
    subject = engine(handler=raising(AssertionError("asked")))
    subject.record_isolation("lft", leak="It mixes adapters into the base.")
    for ask in (stream, score):
        with pytest.raises(EngineError, match="mixes adapters") as caught:
            ask(subject)
        assert "--max-loras" in caught.value.remedy


@pytest.mark.parametrize(
    ("found", "old"), [("0.32.0", True), ("0.33.0+cpu", False), ("1.0", False), ("unknown", True), ("0.9.2", True)]
)
def test_versions_are_compared_as_numbers(found, old):
    assert is_before(found, (0, 33)) is old


def served(*, models, version="0.32.0"):
    def handler(request):
        body = {
            "/health": {},
            "/version": {"version": version},
            "/v1/models": {"data": [{"id": name, "parent": parent} for name, parent in models.items()]},
        }
        if request.url.path not in body:
            return httpx2.Response(404)
        return httpx2.Response(200, json=body[request.url.path])

    return handler


@pytest.mark.parametrize(
    ("handler", "ready", "words"),
    [
        (served(models={"tuned": None}), True, "models.example:8001, vLLM 0.32.0, full model"),
        (served(models={"tuned": "base", "base": None}), True, "not yet probed"),
        (served(models={"tuned": "base", "base": None}, version="0.33.0"), True, "adapter on 'base'"),
        (served(models={"other": None}), False, "serves other, not 'tuned'"),
        (answer(503), False, "takes no requests"),
        (answer(200, body=b"nginx"), False, "not JSON"),
        (raising(httpx2.ConnectError("refused")), False, "cannot be reached"),
        (raising(httpx2.ReadTimeout("slow")), False, "did not answer in time"),
    ],
)
def test_status_says_whether_a_checkpoint_can_answer(handler, ready, words):
    status = asyncio.run(engine(handler=handler).status())
    assert status.checkpoints[0].ready is ready
    assert words in status.checkpoints[0].detail
    assert SECRET not in status.checkpoints[0].detail


def test_a_full_model_in_an_adapters_place_is_not_ready():
    url = "http://127.0.0.1:1/v1"
    transport = httpx2.MockTransport(served(models={"tuned": None}))
    subject = VllmEngine([checkpoint(url, adapter=Path("/lft"))], transport=transport)
    (status,) = asyncio.run(subject.status()).checkpoints
    assert not status.ready
    assert "is an adapter" in status.detail


@asynccontextmanager
async def raw_server(handle):
    """A TCP server on this machine that says exactly what a test wants."""
    conversations = []

    async def converse(reader, writer):
        conversations.append(asyncio.current_task())
        try:
            await reader.read(10_000)
            await handle(writer)
            await writer.drain()
        finally:
            writer.close()

    server = await asyncio.start_server(converse, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.close()
        await asyncio.gather(*conversations, return_exceptions=True)


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
CHOICE = {"token_ids": [5], "logprobs": {"token_logprobs": [-1.0]}, "finish_reason": None}
EVENT = f"data: {json.dumps({'choices': [CHOICE]})}\n\n".encode()


def wire_chunk(data):
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def against(handle, *, tokens, kind, message):
    # Only who says nothing is waited for; whoever speaks may take as long as a busy machine does.
    patience = 1.0 if kind is EngineTimeoutError else 30.0

    async def scenario():
        async with raw_server(handle) as url:
            subject = VllmEngine([checkpoint(url)], read_timeout_s=patience)
            stream = subject.stream(Request(checkpoint="lft", prompt_ids=(1,), decoding=Decoding(max_tokens=4)))
            for _ in range(tokens):
                assert (await anext(stream)).id == 5
            with pytest.raises(kind, match=message) as caught:
                await anext(stream)
            assert type(caught.value) is kind

    asyncio.run(scenario())


async def never(writer):
    await asyncio.sleep(2)


async def stalls(writer):
    writer.write(HEAD + wire_chunk(EVENT))
    await asyncio.sleep(2)


async def dies(writer):
    writer.write(HEAD + wire_chunk(EVENT) + wire_chunk(EVENT[:10]))


async def ends_early(writer):
    writer.write(HEAD + wire_chunk(EVENT) + b"0\r\n\r\n")


async def reports(writer):
    error = b'data: {"error": {"message": "EngineCore died", "code": 500}}\n\ndata: [DONE]\n\n'
    writer.write(HEAD + wire_chunk(EVENT) + wire_chunk(error) + b"0\r\n\r\n")


async def refuses_late(writer):
    error = b'data: {"error": {"message": "Token id 9 is out of vocabulary", "code": 400}}\n\n'
    writer.write(HEAD + wire_chunk(error) + b"0\r\n\r\n")


async def garbage(writer):
    writer.write(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")


@pytest.mark.parametrize(
    ("handle", "tokens", "kind", "message"),
    [
        (never, 0, EngineTimeoutError, "did not answer in time"),
        (stalls, 1, EngineTimeoutError, "did not answer in time"),
        (dies, 1, EngineError, "broke the connection"),
        (ends_early, 1, EngineError, "closed the connection before the end"),
        (reports, 1, EngineError, 'it failed: "EngineCore died"'),
        (refuses_late, 0, InvalidInputError, "token id 9 is out of vocabulary"),
        (garbage, 0, EngineError, "broke the connection"),
    ],
)
def test_a_server_that_fails_on_the_wire_keeps_the_tokens_it_gave(handle, tokens, kind, message):
    against(handle, tokens=tokens, kind=kind, message=message)


def test_nobody_listening_is_said_at_once():
    started = time.monotonic()
    with pytest.raises(EngineUnavailableError, match=r"'lft' \(127.0.0.1:1\) cannot be reached"):
        stream(engine("http://127.0.0.1:1/v1"))
    # A second of pauses between three tries; waiting for three connections would take fifteen.
    assert time.monotonic() - started < 10


def test_closing_the_iterator_closes_the_connection():
    closed = asyncio.Event()

    async def endless(writer):
        writer.write(HEAD)
        try:
            while await asyncio.sleep(0.01, result=True):
                writer.write(wire_chunk(EVENT))
                await writer.drain()
        except ConnectionError:
            closed.set()

    async def scenario():
        async with raw_server(endless) as url:
            tokens = VllmEngine([checkpoint(url)]).stream(
                Request(checkpoint="lft", prompt_ids=(1,), decoding=Decoding(max_tokens=4))
            )
            await anext(tokens)
            await tokens.aclose()
            await asyncio.wait_for(closed.wait(), 2)

    asyncio.run(scenario())
