"""Several servers of one checkpoint: who is asked, what happens when one fails, what is never tried again."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest

from app.engines.check import SelfCheck, joined
from app.engines.protocol import Decoding, Request
from app.engines.registry import Checkpoint
from app.engines.vllm.engine import VllmEngine
from app.engines.vllm.faults import RefusedRequestError, UnknownModelError
from app.engines.vllm.limits import Limits, Turns
from app.engines.vllm.replicas import FIRST_PAUSE_S, LONGEST_PAUSE_S, Replicas
from app.errors import EngineError, EngineUnavailableError

ONE, TWO, THREE = (f"http://{name}.example:8001/v1" for name in ("one", "two", "three"))
LFT = Checkpoint(
    name="lft", role="base", model="m", adapter=None, base="lft", revision=None, engine=ONE, served_name="tuned",
    template="none", tuning_set=None, tokenizer=Path("/nowhere"), replicas=(ONE, TWO),
)  # fmt: skip
CHOICE = {"token_ids": [5], "logprobs": {"token_logprobs": [-1.0]}, "finish_reason": "length"}
STREAM = f"data: {json.dumps({'choices': [CHOICE]})}\n\ndata: [DONE]\n\n".encode()
ENTRY = {"3": {"logprob": -0.5, "rank": 1}}
SCORED = {"choices": [{"prompt_logprobs": [None, ENTRY]}]}
EVENTS = {"content-type": "text/event-stream"}


class Clock:
    """A clock that tests set."""

    now = 100.0

    def __call__(self):
        return self.now


def works(request):
    """Answer what a working server answers."""
    path = request.url.path
    if path == "/version":
        return httpx2.Response(200, json={"version": "0.32.0"})
    if path == "/health":
        return httpx2.Response(200)
    if path == "/v1/models":
        return httpx2.Response(200, json={"data": [{"id": "tuned", "parent": None}]})
    if json.loads(request.content).get("stream"):
        return httpx2.Response(200, content=STREAM, headers=EVENTS)
    return httpx2.Response(200, json=SCORED)


def refuses(_request):
    raise httpx2.ConnectError("refused")


def answer(status, message="no"):
    return lambda _request: httpx2.Response(status, json={"error": {"message": message}})


def engine(*, asked=None, clock=None, checkpoint=LFT, limits=None, **hosts):
    """An engine whose servers, by host, do as told; `asked` collects the hosts asked for completions."""

    def handler(request):
        host = request.url.host.partition(".")[0]
        if asked is not None and request.url.path == "/v1/completions":
            asked.append(host)
        return hosts.get(host, works)(request)

    subject = VllmEngine([checkpoint], transport=httpx2.MockTransport(handler), limits=limits)
    if clock is not None:
        subject.pool.replicas = Replicas(clock)
    return subject


async def stream(subject, **over):
    request = Request(checkpoint="lft", prompt_ids=(1, 2), decoding=Decoding(max_tokens=1), **over)
    return [token async for token in subject.stream(request)]


async def score(subject):
    return await subject.score((1,), (3,), 5, checkpoint="lft", reference="lft")


async def until(condition):
    """Let everything else go on until it is so; pytest's own limit ends what never comes."""
    while not condition():  # noqa: ASYNC110  what is waited for happens in what is tested
        await asyncio.sleep(0.005)


ASKS = [stream, score]


@pytest.mark.parametrize("ask", ASKS)
def test_equal_replicas_are_asked_in_turn(ask):
    asked = []
    subject = engine(asked=asked)

    async def four():
        for _ in range(4):
            await ask(subject)

    asyncio.run(four())
    assert sorted(asked) == ["one", "one", "two", "two"]


def test_the_least_busy_replica_is_asked():
    asked, release = [], asyncio.Event()

    async def slow(request):
        await release.wait()
        return works(request)

    subject = engine(asked=asked, one=slow, checkpoint=replace(LFT, replicas=(ONE, TWO)))

    async def scenario():
        waiting = [asyncio.create_task(stream(subject)) for _ in range(2)]
        await until(lambda: len(asked) == 2)
        for _ in range(4):
            await stream(subject)
        release.set()
        await asyncio.gather(*waiting)

    asyncio.run(scenario())
    assert asked.count("one") == 1
    assert asked.count("two") == 5


@pytest.mark.parametrize("ask", ASKS)
@pytest.mark.parametrize("one", [refuses, answer(503), answer(500), answer(404), answer(401)])
def test_a_replica_that_fails_before_it_answers_is_replaced_and_set_aside(ask, one):
    asked = []
    subject = engine(asked=asked, one=one)

    async def scenario():
        return [await ask(subject) for _ in range(6)]

    found = asyncio.run(scenario())
    assert asked.count("one") == 1
    assert asked.count("two") == 6
    last = found[0].server if ask is score else found[0][-1].server
    assert last == "two.example:8001"


@pytest.mark.parametrize("ask", ASKS)
def test_what_a_working_replica_does_not_want_is_not_offered_to_another(ask):
    asked = []
    subject = engine(asked=asked, one=answer(400, "no such thing"), two=answer(400, "no such thing"))
    with pytest.raises(RefusedRequestError):
        asyncio.run(ask(subject))
    assert len(asked) == 1
    assert subject.pool.replicas.aside(ONE, "tuned") is subject.pool.replicas.aside(TWO, "tuned") is None


def test_a_stream_that_broke_off_is_not_begun_again():
    cut = STREAM.replace(b'"length"', b"null").replace(b"data: [DONE]\n\n", b"")
    asked = []
    breaks = {host: lambda _request: httpx2.Response(200, content=cut, headers=EVENTS) for host in ("one", "two")}
    subject = engine(asked=asked, **breaks)
    with pytest.raises(EngineError, match="before the end"):
        asyncio.run(stream(subject))
    assert len(asked) == 1


def test_a_scoring_that_breaks_servers_is_not_carried_to_all_of_them():
    asked = []
    subject = engine(
        asked=asked, one=answer(500), two=answer(500), three=answer(500),
        checkpoint=replace(LFT, replicas=(ONE, TWO, THREE)),
    )  # fmt: skip
    with pytest.raises(EngineError, match="status 500"):
        asyncio.run(score(subject))
    assert len(asked) == 2


def test_when_no_replica_answers_the_last_ones_reason_is_said():
    with pytest.raises(EngineUnavailableError, match="cannot be reached"):
        asyncio.run(stream(engine(one=refuses, two=refuses)))


def test_a_replica_that_lost_an_adapter_is_set_aside_for_that_model_only():
    subject = engine(one=answer(404), two=answer(404))
    with pytest.raises(UnknownModelError):
        asyncio.run(stream(subject))
    assert subject.pool.replicas.aside(ONE, "tuned") is not None
    assert subject.pool.replicas.aside(ONE, "other") is None


@pytest.mark.parametrize(("back", "asks_one"), [(works, True), (refuses, False)])
def test_a_replica_whose_pause_is_over_is_tried_beside_the_requests(back, asks_one):
    clock, asked, state = Clock(), [], {"one": refuses}

    def one(request):
        return state["one"](request)

    subject = engine(asked=asked, clock=clock, one=one)

    async def scenario():
        for _ in range(3):
            await stream(subject)
        assert asked.count("one") == 1
        state["one"] = back
        clock.now += FIRST_PAUSE_S
        await stream(subject)  # goes to the other one; the look happens beside it
        await asyncio.gather(*subject.pool._looking)
        assert asked.count("one") == 2
        asked.clear()
        for _ in range(4):
            await stream(subject)

    asyncio.run(scenario())
    assert (asked.count("one") == 2) is asks_one
    assert "one" in asked if asks_one else "one" not in asked


def test_pauses_double_up_to_a_limit():
    clock = Clock()
    replicas = Replicas(clock)
    left = []
    for _ in range(9):
        replicas.failed(ONE, "down")
        left.append(replicas.seconds_left(replicas.aside(ONE, "tuned")))
    assert left == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert replicas.take_due([ONE, TWO], "tuned") == []
    clock.now += LONGEST_PAUSE_S
    assert replicas.take_due([ONE, TWO], "tuned") == [ONE]
    assert replicas.take_due([ONE, TWO], "tuned") == []
    replicas.works(ONE, "tuned")
    assert replicas.aside(ONE, "tuned") is None


def test_a_leaking_replica_is_passed_over():
    asked = []
    subject = engine(asked=asked)
    subject.at(ONE).record_isolation("lft", leak="It mixes.")

    async def scenario():
        for _ in range(3):
            await stream(subject)
        status = (await subject.status()).checkpoints[0]
        assert status.ready
        assert status.detail.startswith("1 of 2 replicas answer: It mixes.")

    asyncio.run(scenario())
    assert asked == ["two"] * 3


def test_status_tells_every_replica_and_why_one_is_not_asked():
    clock = Clock()
    subject = engine(clock=clock, one=refuses)

    async def scenario():
        await stream(subject)
        await stream(subject)
        return (await subject.status()).checkpoints[0]

    status = asyncio.run(scenario())
    assert status.ready
    assert [(one.where, one.ready) for one in status.replicas] == [
        ("one.example:8001", False),
        ("two.example:8001", True),
    ]
    assert "cannot be reached" in status.replicas[0].detail
    assert "set aside, tried again in 1 s" in status.replicas[0].detail
    assert status.replicas[1].detail == "two.example:8001, vLLM 0.32.0, full model"


def test_a_stuck_server_does_not_hold_up_what_is_said_of_the_others(monkeypatch):
    # Long enough for the server that answers, however busy the machine.
    monkeypatch.setattr("app.engines.vllm.client.STATE_TIMEOUT_S", 1.5)

    async def never(_request):
        await asyncio.sleep(60)

    status = asyncio.run(engine(one=never).status()).checkpoints[0]
    assert [one.ready for one in status.replicas] == [False, True]
    assert "did not answer in time" in status.replicas[0].detail


def test_a_replica_is_examined_on_its_own():
    asked = []
    subject = engine(asked=asked)

    async def scenario():
        for _ in range(3):
            await stream(subject.at(TWO))
            await score(subject.at(TWO))

    asyncio.run(scenario())
    assert asked == ["two"] * 6
    passed, failed = (SelfCheck("lft", passed, f"gap {passed}") for passed in (True, False))
    assert joined("lft", {"one": passed}) == passed
    assert joined("lft", {"one": passed, "two": failed}) == SelfCheck("lft", False, "one: gap True; two: gap False")


def test_who_waits_is_told_for_how_many_and_leaves_without_a_trace():
    turns, told = Turns(1, 10, "the server"), {}

    async def work(name, gate):
        async with turns.taken(lambda ahead: told.setdefault(name, []).append(ahead)):
            await gate.wait()

    async def scenario():
        gates = [asyncio.Event() for _ in range(4)]
        tasks = []
        for name, gate in enumerate(gates):
            tasks.append(asyncio.create_task(work(name, gate)))
            await asyncio.sleep(0)
        assert (turns.running, turns.queued) == (1, 3)
        tasks[2].cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        for gate in gates:
            gate.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (turns.running, turns.queued) == (0, 0)

    asyncio.run(scenario())
    assert told == {1: [1, 0], 2: [2], 3: [3, 2, 1, 0]}


def test_a_place_given_to_somebody_who_leaves_is_passed_on():
    turns = Turns(1, 10, "the server")

    async def hold(gate):
        async with turns.taken():
            await gate.wait()

    async def scenario():
        first, rest = asyncio.Event(), asyncio.Event()
        rest.set()
        tasks = [asyncio.create_task(hold(gate)) for gate in (first, rest, rest)]
        await asyncio.sleep(0.01)
        first.set()
        await asyncio.sleep(0)  # the place is handed over, its new owner has not run yet
        tasks[1].cancel()
        await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 5)
        assert (turns.running, turns.queued) == (0, 0)

    asyncio.run(scenario())


def test_a_full_queue_is_refused_in_words():
    async def never(_request):
        await asyncio.sleep(60)

    subject = engine(one=never, checkpoint=replace(LFT, replicas=()), limits=Limits(streams=1, waiting=1))

    async def scenario():
        told = []
        tasks = [asyncio.create_task(stream(subject, on_wait=told.append)) for _ in range(2)]
        await until(lambda: told)
        with pytest.raises(EngineUnavailableError, match=r"1 requests wait for the server at one.example:8001"):
            await stream(subject)
        assert told == [1]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(scenario())


REDIRECT = {"location": "http://169.254.169.254/latest/meta-data/"}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("ask", [*ASKS, lambda subject: subject.status()])
def test_no_server_can_send_us_to_another_one(ask, status):
    hosts = []

    def away(request):
        hosts.append(request.url.host)
        return httpx2.Response(status, headers=REDIRECT)

    subject = VllmEngine([replace(LFT, replicas=())], transport=httpx2.MockTransport(away), api_key="secret")

    async def scenario():
        try:
            found = await ask(subject)
        except EngineError as error:
            return str(error)
        return found.checkpoints[0].detail

    assert f"status {status}" in asyncio.run(scenario())
    assert set(hosts) == {"one.example"}


def test_streams_and_scorings_that_alternate_both_meet_every_replica():
    asked = {"one": [], "two": []}

    def noted(host):
        def handler(request):
            if request.url.path == "/v1/completions":
                asked[host].append(bool(json.loads(request.content).get("stream")))
            return works(request)

        return handler

    subject = engine(one=noted("one"), two=noted("two"))

    async def scenario():
        for _ in range(4):
            await stream(subject)
            await score(subject)

    asyncio.run(scenario())
    assert sorted(asked["one"]) == sorted(asked["two"]) == [False, False, True, True]
