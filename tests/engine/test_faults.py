"""A real vLLM server cancelled, stalled and killed, mid-stream and mid-study; this file shares one server."""

import asyncio
import signal
import time
from dataclasses import replace

import httpx2
import pytest
from sqlmodel import func, select

from app.compare.runner import ColumnDone, ColumnFailed
from app.db import reading, writing
from app.engines.open import Engines
from app.engines.protocol import Decoding, Request
from app.engines.registry import Registry
from app.engines.vllm.engine import VllmEngine
from app.engines.vllm.limits import Limits
from app.errors import EngineError
from app.studies import scoring
from app.studies.design import NewArm
from app.studies.generate import generate_missing
from app.studies.queries import create_study, get_study
from app.studies.scoring_work import Scorings
from models import BasePrompt, ItemResponse, ResponseFailure, ScoringState, ScoringTask, TaskState, Trace
from models.base import now
from tests.engine.one_column import PROMPT, column

PATIENCE_S = 240


def metric(own, name):
    """Sum of a gauge over the models of the server."""
    text = httpx2.get(f"{own.server.plan.url.removesuffix('/v1')}/metrics", trust_env=False, timeout=60).text
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(f"vllm:{name}{{"))


async def idle(own, within_s=30.0):
    """Wait until the server works on nothing; returns how long that took."""
    began = time.monotonic()
    while any([await asyncio.to_thread(metric, own, f"num_requests_{what}") for what in ("running", "waiting")]):
        assert time.monotonic() - began < within_s, "the server still works on what nobody waits for"
        await asyncio.sleep(0.05)
    return time.monotonic() - began


def engines_on(own, **over) -> Engines:
    return Engines(registry=own.registry, local=None, vllm=VllmEngine(own.registry.checkpoints.values(), **over))


def request(own, name, max_tokens):
    return Request(checkpoint=name, prompt_ids=own.prompt(PROMPT), decoding=Decoding(max_tokens=max_tokens))


def test_what_nobody_waits_for_any_more_ends_on_the_server(own):
    """Streams, a scoring and a whole comparison, left at once: vLLM's own count of running requests goes to 0."""
    engine = engines_on(own, limits=Limits(streams=2)).vllm

    async def scenario():
        begun = asyncio.Event()

        async def drain(name):
            async for _ in engine.stream(request(own, name, 1500)):
                begun.set()

        work = [asyncio.create_task(drain(name)) for name in ("base", "lft", "base", "lft")]
        await begun.wait()
        # Two have places; the others wait here, where they can be left without the server ever hearing of them.
        assert 1 <= await asyncio.to_thread(metric, own, "num_requests_running") <= 2
        assert engine.pool.queued(own.server.plan.url) == (2, 2)
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
        streams = await idle(own)
        ids = own.prompt(PROMPT)
        scored = asyncio.create_task(engine.score(ids, ids * 60, 20, checkpoint="base", reference="base"))
        await _until(lambda: metric(own, "num_requests_running") or scored.done())
        scored.cancel()
        await asyncio.gather(scored, return_exceptions=True)
        return streams, await idle(own)

    waits = asyncio.run(scenario())
    print({"idle_after_s": [round(wait, 2) for wait in waits]})
    tokens, ending = asyncio.run(column(engines_on(own)))
    assert isinstance(ending, ColumnDone)
    assert tokens


def test_a_stalled_server_ends_its_column_in_words_and_answers_when_it_goes_on(own):
    engines = engines_on(own, read_timeout_s=3.0, score_timeout_s=3.0)

    def stop(tokens):
        if tokens == 3:
            own.server.signal(signal.SIGSTOP)

    try:
        began = time.monotonic()
        tokens, ending = asyncio.run(column(engines, max_tokens=1500, on_token=stop))
        assert isinstance(ending, ColumnFailed)
        assert "did not answer in time" in ending.sentence
        assert tokens >= 3
        print({"stall_said_after_s": round(time.monotonic() - began, 1)})
        began = time.monotonic()
        states = asyncio.run(engines.vllm.status()).checkpoints
        assert time.monotonic() - began < 5
        assert not any(state.ready for state in states)
        assert "did not answer in time" in states[0].detail
    finally:
        own.server.signal(signal.SIGCONT)
    asyncio.run(idle(own, PATIENCE_S))
    _, ending = asyncio.run(column(engines_on(own)))
    assert isinstance(ending, ColumnDone)


def test_a_replica_that_is_not_there_costs_nobody_an_answer(own):
    here = own.server.plan.url
    gone = "http://127.0.0.1:9/v1"
    checkpoints = {name: replace(one, replicas=(gone, here)) for name, one in own.registry.checkpoints.items()}
    engines = engines_on(replace(own, registry=Registry(path=own.registry.path, checkpoints=checkpoints)))
    endings = [asyncio.run(column(engines, "lft", 4))[1] for _ in range(3)]
    assert all(isinstance(ending, ColumnDone) for ending in endings)
    assert {ending.scores.server for ending in endings} == {here.removeprefix("http://").removesuffix("/v1")}
    lft = next(one for one in asyncio.run(engines.vllm.status()).checkpoints if one.checkpoint == "lft")
    assert lft.ready
    assert "set aside, tried again in" in lft.replicas[0].detail


def count(database, table, *where):
    with reading(database) as session:
        return session.exec(select(func.count()).select_from(table).where(*where)).one()


@pytest.mark.timeout(600)
def test_a_study_is_completed_after_its_server_was_killed_and_stalled(own, database, alice):
    engines, prompts = engines_on(own, read_timeout_s=120.0, score_timeout_s=120.0), [f"Why? {n}" for n in range(6)]
    decoding = {"max_tokens": 8, "temperature": 0.0, "seed": 0}
    with writing(database) as session:
        study = create_study(
            session, name="Sky", slug="sky", prompts=prompts, pairs=[("base", "lft")], guidelines="", overlap=1,
            arms=[NewArm(name, name, decoding) for name in ("base", "lft")], created_by=alice.id,
        )  # fmt: skip
    wanted, killed = 2 * len(prompts), []

    def kill(progress):
        if progress.done == 3:
            killed.append(progress)
            own.server.signal(signal.SIGKILL)

    with pytest.raises(EngineError, match=r"of 12 could not be generated\. .*'(base|lft)'"):
        asyncio.run(generate_missing(database, engines, "sky", on_progress=kill))
    assert killed
    kept = count(database, ItemResponse)
    assert 3 <= kept < wanted
    assert count(database, ResponseFailure) == wanted - kept
    _wait_until_ready(engines)
    assert asyncio.run(generate_missing(database, engines, "sky", on_progress=lambda _: None)) == wanted - kept
    assert count(database, ItemResponse) == count(database, Trace) == wanted
    assert count(database, ResponseFailure) == 0
    _score_through_a_stall(own, database, alice, study)
    assert count(database, Trace, Trace.base_prompt == BasePrompt.PLAIN) == wanted


def _wait_until_ready(engines):
    began = time.monotonic()
    while not all(one.ready for one in asyncio.run(engines.vllm.status()).checkpoints):
        assert time.monotonic() - began < PATIENCE_S
        time.sleep(0.5)
    print({"back_after_s": round(time.monotonic() - began, 1)})


def _score_through_a_stall(own, database, alice, study):
    """Order every response to be read by the LFT while the server stands still for longer than a scoring may take."""
    with writing(database) as session:
        found = get_study(session, study.id, alice)
        run = scoring.order(session, found, reader="lft", base_prompt=BasePrompt.PLAIN, user=alice, now=now())

    async def scenario():
        worker = Scorings(database, engines_on(own, score_timeout_s=10.0))
        worker.start()
        try:
            await _until(lambda: count(database, ScoringTask, ScoringTask.state == TaskState.DONE) >= 2)
            own.server.signal(signal.SIGSTOP)
            try:
                await _until(lambda: count(database, ScoringTask, ScoringTask.attempts > 0) >= 1)
            finally:
                own.server.signal(signal.SIGCONT)
            await _until(lambda: count(database, ScoringTask, ScoringTask.state != TaskState.DONE) == 0)
        finally:
            await worker.aclose()

    asyncio.run(scenario())
    with reading(database) as session:
        assert session.get_one(scoring.ScoringRun, run.id).state is ScoringState.DONE


async def _until(true):
    deadline = time.monotonic() + PATIENCE_S
    while not await asyncio.to_thread(true):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
