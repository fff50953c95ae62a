"""Columns and studies against a server that lies, floods, drips, dies or comes back: each ends in words, in time."""

import asyncio
import json
import time
import tracemalloc
from pathlib import Path
from types import MappingProxyType

import pytest

from app.compare.plan import build_plan
from app.compare.runner import ColumnDone, ColumnFailed, ColumnWaiting, Ending, TokenArrived, run_columns
from app.engines.open import Engines
from app.engines.protocol import Decoding
from app.engines.registry import Checkpoint, Registry
from app.engines.vllm import client
from app.engines.vllm.engine import VllmEngine
from app.engines.vllm.limits import Limits
from app.errors import EngineError
from models import BasePrompt
from tests.fake_vllm import LOGPROB, TOKEN, fake_vllm
from tests.scripted_engine import write_tokenizer

SCORE = ((97, 98), (99, 100), 5)
# What a test waits for that is about waiting; whoever answers in it does so on a busy machine too.
SHORT_S, LONG_S, FOR_EVER_S = 1.5, 25.0, 10.0


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(client, "RETRY_AFTER_S", (0.0, 0.0))
    monkeypatch.setattr(client, "STATE_TIMEOUT_S", SHORT_S)


def engines_of(folder: Path, *urls: str, **over) -> Engines:
    """Engines with one checkpoint `base` on the servers given."""
    write_tokenizer(folder)
    base = Checkpoint(
        name="base", role="base", model="m", adapter=None, base="base", revision=None, engine=urls[0],
        served_name="base", template="none", tuning_set=None, tokenizer=folder, replicas=urls if urls[1:] else (),
    )  # fmt: skip
    registry = Registry(path=folder / "checkpoints.toml", checkpoints=MappingProxyType({"base": base}))
    over = {"read_timeout_s": LONG_S, "score_timeout_s": LONG_S} | over
    return Engines(registry=registry, local=None, vllm=VllmEngine([base], **over))


async def events_of(engines, *, max_tokens=8, columns=1):
    plan = build_plan(
        engines, "Why?", ["base"] * columns, base_prompt=BasePrompt.SAME_IDS, decoding=Decoding(max_tokens=max_tokens)
    )
    return [event async for event in run_columns(engines, plan)]


def column(engines, **over):
    """Run a column to its end, which must come soon; returns (tokens shown, its ending)."""
    began = time.monotonic()
    events = asyncio.run(events_of(engines, **over))
    assert time.monotonic() - began < 2 * LONG_S
    (ending,) = [event for event in events if isinstance(event, Ending)]
    return [event for event in events if isinstance(event, TokenArrived)], ending


def lies(choice):
    def misbehave(handler, body):
        if not body.get("stream"):
            return False
        handler.begin_stream()
        handler.token()
        handler.chunk(f"data: {json.dumps({'choices': [choice]})}\n\n".encode())
        handler.end_stream()
        return True

    return misbehave


def choice(ids=(TOKEN,), logprobs=(LOGPROB,), finish=None):
    return {"token_ids": list(ids), "logprobs": {"token_logprobs": list(logprobs)}, "finish_reason": finish}


def forever(handler, body):
    if not body.get("stream"):
        return False
    handler.begin_stream()
    while True:
        handler.token()


def flood(handler, body):
    if not body.get("stream"):
        return False
    handler.begin_stream()
    handler.token()
    while True:
        handler.chunk(b"x" * 65_536)


def drip(handler, body):
    """One byte of an answer now and then, for ever: no single wait is long."""
    if body.get("stream"):
        return False
    if handler.path != "/v1/completions":
        return False
    handler.send_response(200)
    handler.send_header("content-length", "1000000")
    handler.end_headers()
    while True:
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.1)


def stall(handler, body):
    if body.get("stream"):
        handler.begin_stream()
        handler.token()
        time.sleep(FOR_EVER_S)
        return True
    return False


def hang_up(handler, body):
    if body.get("stream"):
        handler.begin_stream()
        handler.token()
        handler.close_connection = True
        return True
    return False


LIES = [
    (lies(choice(ids=[-1])), 1, "token ids that no vocabulary has"),
    (lies(choice(ids=[10**30])), 1, "token ids that no vocabulary has"),
    (lies(choice(ids=["98"])), 1, "token ids that no vocabulary has"),
    (lies(choice(ids=[98.5])), 1, "token ids that no vocabulary has"),
    (lies(choice(logprobs=[3.0])), 1, "log-probabilities above zero"),
    (lies(choice(logprobs=[float("nan")])), 1, "not numbers"),
    (lies(choice(logprobs=[])), 1, "without ids or log-probabilities"),
    (lies({"nonsense": True, "finish_reason": "stop"}), 1, "gave up"),
    (lies(choice(finish="abort")), 1, "gave up"),
    (lies("nonsense"), 1, "not a completion"),
    (forever, 8, "more tokens than it was asked for"),
    (flood, 1, "an event without an end"),
    (stall, 1, "did not answer in time"),
    (hang_up, 1, "broke the connection"),
]


@pytest.mark.parametrize(("misbehave", "tokens", "says"), LIES)
def test_a_column_says_what_its_server_did_and_keeps_the_tokens_before(tmp_path, misbehave, tokens, says):
    patience = SHORT_S if misbehave is stall else LONG_S
    with fake_vllm(misbehave=misbehave) as (url, _):
        arrived, ending = column(engines_of(tmp_path, url, read_timeout_s=patience))
    assert isinstance(ending, ColumnFailed)
    assert says in ending.sentence
    assert "unexpected" not in ending.sentence
    assert len(arrived) == tokens


def test_a_server_that_works_again_answers_again(tmp_path):
    with fake_vllm(misbehave=hang_up) as (url, state):
        engines = engines_of(tmp_path, url)
        assert isinstance(column(engines)[1], ColumnFailed)
        state.misbehave = None
        arrived, ending = column(engines)
    assert isinstance(ending, ColumnDone)
    assert len(arrived) == 8
    assert arrived[-1].token.server == url.removeprefix("http://").removesuffix("/v1")
    assert ending.scores.server == arrived[-1].token.server


def scores_with(entry):
    def misbehave(handler, body):
        if handler.path != "/v1/completions" or body.get("stream"):
            return False
        handler.json(200, {"choices": [{"prompt_logprobs": [None, *[entry] * (len(body["prompt"]) - 1)]}]})
        return True

    return misbehave


def oversize(handler, body):
    if handler.path != "/v1/completions" or body.get("stream"):
        return False
    handler.send_response(200)
    handler.send_header("content-type", "application/json")
    handler.end_headers()
    handler.close_connection = True
    while True:
        handler.wfile.write(b" " * 262_144)


SCORINGS = [
    (scores_with({"98": {"logprob": -1.0, "rank": 1}, "-7": {"logprob": -2.0, "rank": 2}}), "without|no vocabulary"),
    (scores_with({"99": {"logprob": 2.0, "rank": 1}, "100": {"logprob": 2.0, "rank": 1}}), "above zero"),
    (scores_with({"99": {"logprob": -1.0}, "100": {"logprob": -1.0}}), "without the log-probabilities"),
    (scores_with([]), "without the log-probabilities"),
    (oversize, "far more than|without the log-prob"),
    (drip, "did not answer in time"),
]


@pytest.mark.parametrize(("misbehave", "says"), SCORINGS)
def test_a_scoring_that_lies_or_never_ends_is_given_up_in_words_time_and_memory(tmp_path, misbehave, says):
    with fake_vllm(misbehave=misbehave) as (url, _):
        engine = engines_of(tmp_path, url, score_timeout_s=SHORT_S if misbehave is drip else LONG_S).vllm
        tracemalloc.start()
        try:
            with pytest.raises(EngineError, match=says):
                asyncio.run(engine.score(*SCORE, checkpoint="base", reference="base"))
            assert tracemalloc.get_traced_memory()[1] < 20_000_000
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize("path", ["/health", "/version", "/v1/models"])
@pytest.mark.parametrize("how", ["flood", "silence", "garbage"])
def test_what_a_server_says_of_itself_is_bounded_too(tmp_path, path, how):
    def misbehave(handler, _body):
        if handler.path != path:
            return False
        if how == "silence":
            time.sleep(FOR_EVER_S)
            return True
        handler.send_response(200)
        handler.end_headers()
        handler.close_connection = True
        while how == "flood":
            handler.wfile.write(b"{" * 65_536)
        handler.wfile.write(b"\xff\x00<html>")
        return True

    with fake_vllm(misbehave=misbehave) as (bad, _), fake_vllm() as (good, _):
        began = time.monotonic()
        (status,) = asyncio.run(engines_of(tmp_path, bad, good).vllm.status()).checkpoints
        assert time.monotonic() - began < FOR_EVER_S
    assert status.ready
    assert [one.ready for one in status.replicas] == [(path, how) == ("/health", "garbage"), True]


def test_a_replica_that_stalls_before_its_first_token_is_replaced_by_another(tmp_path):
    def silent(_handler, body):
        if body.get("stream"):
            time.sleep(FOR_EVER_S)
            return True
        return False

    with fake_vllm(misbehave=silent) as (stuck, _), fake_vllm() as (other, _):
        engines = engines_of(tmp_path, stuck, other, read_timeout_s=SHORT_S)
        for _ in range(3):
            arrived, ending = column(engines)
            assert isinstance(ending, ColumnDone)
            assert len(arrived) == 8
        assert engines.vllm.pool.replicas.aside(stuck, "base") is not None


def test_columns_are_told_for_how_many_they_wait_and_the_server_is_never_asked_more(tmp_path):
    with fake_vllm(pause_s=0.01) as (url, state):
        events = asyncio.run(events_of(engines_of(tmp_path, url, limits=Limits(streams=2, scorings=1)), columns=6))
        assert state.most_running <= 3
    assert sum(isinstance(event, ColumnDone) for event in events) == 6
    waits = {n: [e.ahead for e in events if isinstance(e, ColumnWaiting) and e.column == n] for n in range(6)}
    assert waits[0] == waits[1] == []
    for told in (waits[n] for n in range(2, 6)):
        assert told[-1] == 0
        assert told == sorted(told, reverse=True)
        assert told[0] >= 2
