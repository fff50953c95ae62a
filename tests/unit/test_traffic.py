"""What servers are asked at this moment, counted where it is queued, and said in words."""

import asyncio
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from app.engines.local import engine as local
from app.engines.registry import Registry
from app.engines.traffic import Traffic, in_words
from app.engines.vllm.limits import Limits
from tests.unit.test_vllm_replicas import LFT, ONE, TWO, Clock, engine, refuses, score, stream, until

IDLE = Traffic(
    where="one:8001", streams=0, scorings=0, waiting_streams=0, waiting_scorings=0, most=64
)  # fmt: skip


@pytest.mark.parametrize(
    ("over", "words"),
    [
        ({}, "one:8001: nothing under way."),
        ({"streams": 1}, "one:8001: 1 response under way."),
        ({"streams": 12, "scorings": 1}, "one:8001: 12 responses and 1 scoring under way."),
        (
            {"scorings": 1, "waiting_scorings": 3},
            "one:8001: 1 scoring under way, 3 scorings wait for their turn.",
        ),
        (
            {"streams": 64, "waiting_streams": 1},
            "one:8001: full: 64 responses of at most 64 under way, 1 response waits for its turn.",
        ),
        (
            {"streams": 32, "waiting_streams": 8, "waiting_scorings": 1, "most": 0},
            "one:8001: full: 32 responses under way, 8 responses and 1 scoring wait for their turn.",
        ),
        (
            {"trouble": "set aside, tried again in 12 s (it cannot be reached);"},
            "one:8001: set aside, tried again in 12 s (it cannot be reached); nothing under way.",
        ),
    ],
)
def test_a_server_is_said_in_one_sentence(over, words):
    assert in_words(replace(IDLE, **over)) == words


async def never(_request):
    await asyncio.sleep(60)


def said(subject, *names):
    return [in_words(one) for one in subject.traffic(names or ("lft",))]


def test_what_is_under_way_and_what_waits_is_counted_for_each_server_and_forgotten_when_it_ends():
    subject = engine(one=never, two=never, limits=Limits(streams=1))

    async def scenario():
        work = [asyncio.create_task(stream(subject)) for _ in range(3)]
        work += [asyncio.create_task(score(subject)) for _ in range(3)]
        await until(lambda: sum(one.waiting_streams + one.waiting_scorings for one in subject.traffic(["lft"])) == 2)
        # Told from another thread, as a page is.
        found = await asyncio.to_thread(said, subject)
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
        return found

    assert said(subject) == ["one.example:8001: nothing under way.", "two.example:8001: nothing under way."]
    found = asyncio.run(scenario())
    full = "full: 1 response of at most 1 and 1 scoring under way, 1 response"
    assert sorted("full" in line for line in found) == [False, True]
    assert sum(full in line for line in found) == 1
    assert sum("1 scoring wait" in line for line in found) == 1
    assert all("1 response" in line and "1 scoring under way" in line for line in found)
    assert all("nothing under way" in line for line in said(subject))
    assert said(subject, "somebody else's") == []


def test_a_replica_that_is_away_is_said_with_why_and_for_how_long():
    clock = Clock()
    subject = engine(one=refuses, clock=clock, checkpoint=replace(LFT, replicas=(ONE, TWO)))

    async def both():
        for _ in range(2):
            await stream(subject)

    asyncio.run(both())
    one, two = said(subject)
    assert one.startswith("one.example:8001: set aside, tried again in 1 s (The server of checkpoint 'lft'")
    assert "cannot be reached); nothing under way." in one
    assert two == "two.example:8001: nothing under way."


def test_the_only_server_is_asked_all_the_same_so_only_its_last_failure_is_said_and_not_for_long():
    clock = Clock()
    subject = engine(one=refuses, clock=clock, checkpoint=replace(LFT, replicas=()))
    with pytest.raises(Exception, match="cannot be reached"):
        asyncio.run(stream(subject))
    (one,) = said(subject)
    assert "the last request failed (The server of checkpoint 'lft' (one.example:8001) cannot be reached" in one
    clock.now += 61
    assert said(subject) == ["one.example:8001: nothing under way."]


class Slow:
    """A backend that scores nothing until it is let go."""

    def __init__(self, gate):
        self.gate = gate

    def score(self, job):
        while not self.gate.is_set():
            time.sleep(0.002)
            yield
        job.out.put("scores")


def test_this_process_counts_what_it_scores_and_what_waits_in_it(monkeypatch):
    gate = threading.Event()
    monkeypatch.setattr(local, "_make_backend", lambda *_given, **_over: Slow(gate))
    base = replace(LFT, name="base", base="base", engine="local", replicas=())
    subject = local.LocalEngine(Registry(path=Path("checkpoints.toml"), checkpoints={"base": base, "lft": LFT}))

    def here():
        return [in_words(one) for one in subject.traffic(["lft", "base"])]

    async def scenario():
        work = [
            asyncio.create_task(subject.score((1,), (2,), 1, checkpoint="base", reference="base")) for _ in range(3)
        ]
        deadline = time.monotonic() + 30
        while here() != ["in this process: 1 scoring under way, 2 scorings wait for their turn."]:
            assert time.monotonic() < deadline, here()
            await asyncio.sleep(0.01)
        gate.set()
        assert await asyncio.gather(*work) == ["scores"] * 3
        found = here()
        await subject.aclose()
        return found

    assert asyncio.run(scenario()) == ["in this process: nothing under way."]
    assert subject.traffic(["lft"]) == []
