"""How the local engine works, on two-layer models: batching, splitting, stopping, failing, memory."""

import asyncio
import shutil
import subprocess
import sys
import threading
import time
from contextlib import aclosing
from dataclasses import replace

import numpy as np
import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from app.engines.local import LocalEngine, batch, score, weights
from app.engines.local.decode import choose
from app.engines.protocol import Decoding, Request
from app.engines.registry import load_registry
from app.errors import EngineError, EngineUnavailableError, InvalidInputError
from tests.engine.tiny_checkpoints import CONTEXT, VOCABULARY, save_checkpoints

PROMPTS = [(5, 9, 77), (5, 9, 78, 100, 101, 102, 103), (40,) * 20]
NAMES = ("base", "lft", "lft2", "sft", "wide")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("tiny")
    save_checkpoints(path)
    return path


@pytest.fixture(scope="module")
def registry(folder):
    return load_registry(folder / "checkpoints.toml")


@pytest.fixture
def engine(registry):
    made = LocalEngine(registry, threads=1)
    yield made
    asyncio.run(made.aclose())


def request(name, prompt, *, tokens=20, temperature=0.0, seed=0, reference="base", **over):
    decoding = Decoding(max_tokens=tokens, temperature=temperature, seed=seed)
    return Request(checkpoint=name, prompt_ids=prompt, decoding=decoding, reference=reference, **over)


def answers(engine, *requests):
    async def one(asked):
        try:
            return [token async for token in engine.stream(asked)]
        except EngineError as error:
            return error

    async def together():
        return await asyncio.gather(*map(one, requests))

    return asyncio.run(together())


def ids_of(tokens):
    return [token.id for token in tokens]


def independent_logits(registry, name, ids):
    """What transformers and peft themselves say, without any of our code."""
    checkpoint = registry.get(name)
    model = AutoModelForCausalLM.from_pretrained(checkpoint.model, dtype=torch.float32)
    if checkpoint.adapter is not None:
        model = PeftModel.from_pretrained(model, checkpoint.adapter)
    with torch.no_grad():
        return model.eval()(input_ids=torch.tensor([ids])).logits[0].double()


def assert_same_shift(ours, theirs):
    for a, b in zip(ours, theirs, strict=True):
        assert (a.id, a.base_rank, a.tuned_rank) == (b.id, b.base_rank, b.tuned_rank)
        for field in ("base_logprob", "tuned_logprob", "kl_tuned_base", "kl_base_tuned", "base_entropy"):
            assert getattr(a, field) == pytest.approx(getattr(b, field), abs=1e-4)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("prompt", PROMPTS)
def test_a_stream_equals_transformers_and_peft(engine, registry, name, prompt):
    (tokens,) = answers(engine, request(name, prompt))
    ids = [*prompt]
    for token in tokens:
        logits = independent_logits(registry, name, ids)[-1]
        assert token.id == int(logits.argmax())
        assert token.logprob == pytest.approx(float(logits.log_softmax(-1)[token.id]), abs=1e-4)
        ids.append(token.id)
        if token.id >= VOCABULARY:
            return  # from here on the base reads a stand-in
        base = independent_logits(registry, "base", ids[:-1])[-1]
        assert token.shift.base_rank == 1 + int((base > base[token.id]).sum())
    assert tokens[-1].finish is not None


def test_every_mix_of_rows_equals_each_alone(engine):
    requests = [
        request(name, prompt, tokens=5 + 7 * n, reference=reference, temperature=0.7 * (n % 2), seed=n)
        for n, prompt in enumerate(PROMPTS)
        for name in NAMES
        for reference in ("base", None)
    ]
    together = answers(engine, *requests)
    for asked, tokens in zip(requests, together, strict=True):
        (alone,) = answers(engine, asked)
        assert ids_of(alone) == ids_of(tokens)
        assert [token.finish for token in alone] == [token.finish for token in tokens]
        if asked.reference is not None:
            assert_same_shift([token.shift for token in tokens], [token.shift for token in alone])


def test_scoring_equals_what_streaming_saw(engine):
    for name in NAMES:
        asked = request(name, PROMPTS[1], temperature=1.0, seed=4)
        (tokens,) = answers(engine, asked)
        scores = asyncio.run(
            engine.score(asked.prompt_ids, tuple(ids_of(tokens)), 20, checkpoint=name, reference="base")
        )
        assert_same_shift([token.shift for token in tokens], scores.tokens)
        assert scores.kl_kind == "exact"


def test_scoring_in_blocks_equals_scoring_at_once(engine, monkeypatch):
    response = tuple(np.random.default_rng(0).integers(2, VOCABULARY, 77).tolist())

    def scored():
        return asyncio.run(
            engine.score(PROMPTS[0], response, 5, checkpoint="lft", reference="base", reference_prompt_ids=PROMPTS[2])
        ).tokens

    whole = scored()
    monkeypatch.setattr(score, "BLOCK_LOGITS", 1)
    assert_same_shift(whole, scored())


def test_a_prompt_read_in_blocks_changes_nothing(engine, monkeypatch):
    requests = [request(name, prompt) for name in ("lft", "sft") for prompt in PROMPTS]
    whole = answers(engine, *requests)
    monkeypatch.setattr(batch, "PREFILL_COLUMNS", 3)
    for tokens, again in zip(whole, answers(engine, *requests), strict=True):
        assert_same_shift([token.shift for token in tokens], [token.shift for token in again])


def test_rows_that_agree_are_computed_once(engine, monkeypatch):
    rows = []
    forward = weights.Weights.forward

    def counting(self, ids, adapters, **options):
        rows.append(len(adapters))
        return forward(self, ids, adapters, **options)

    monkeypatch.setattr(weights.Weights, "forward", counting)
    # The base stream and both references read one prompt, and go on as one row while all emit the same ids.
    answers(engine, request("base", PROMPTS[0], tokens=4), request("base", PROMPTS[0], tokens=4))
    assert set(rows) == {1}


def test_closing_a_stream_stops_its_row_within_a_step(engine, monkeypatch):
    steps = []
    advance = batch.Batch.advance

    def counting(self):
        steps.append(len(self.views))
        advance(self)

    monkeypatch.setattr(batch.Batch, "advance", counting)

    async def scenario():
        async with aclosing(engine.stream(request("base", PROMPTS[0], tokens=100, temperature=1.0))) as stream:
            await anext(stream)
        # A second response makes the thread pass the point where the first would have gone on.
        async for _ in engine.stream(request("sft", PROMPTS[0], tokens=3, reference=None)):
            pass
        return len(steps)

    seen = asyncio.run(scenario())
    time.sleep(0.2)
    assert len(steps) <= seen + 1


def test_a_slow_reader_and_a_dead_loop_hurt_nobody(engine):
    async def abandon():
        stream = engine.stream(request("base", PROMPTS[0], tokens=100))
        await anext(stream)
        asyncio.get_running_loop().stop()

    loop = asyncio.new_event_loop()
    task = loop.create_task(abandon())
    loop.run_forever()
    assert task is not None
    (tokens,) = answers(engine, request("lft", PROMPTS[0]))
    assert tokens[-1].finish is not None
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


def test_a_failing_column_leaves_the_others_and_recovers(folder, registry, engine):
    file = folder / "sft/model.safetensors"
    shutil.copy(file, folder / "whole")
    file.write_bytes(file.read_bytes()[:1000])
    try:
        asked = [request(name, PROMPTS[0]) for name in ("base", "lft", "sft")]
        base, lft, sft = answers(engine, *asked)
        assert base[-1].finish
        assert lft[-1].finish
        assert isinstance(sft, EngineError)
        assert "sft could not be loaded" in sft.message
        assert sft.remedy
        status = asyncio.run(engine.status())
        assert {state.checkpoint for state in status.checkpoints if not state.ready} == {"sft"}
    finally:
        shutil.move(folder / "whole", file)
    (again,) = answers(engine, request("sft", PROMPTS[0]))
    assert again[-1].finish


def test_a_model_that_dies_while_decoding_fails_only_its_columns(engine, monkeypatch):
    answers(engine, *(request(name, PROMPTS[0], tokens=1) for name in NAMES))
    forward = weights.Weights.forward

    def failing(self, ids, adapters, **options):
        if adapters and self.vocabulary > VOCABULARY and options.get("position_ids")[0, 0] > len(PROMPTS[0]):
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 9 bytes")
        return forward(self, ids, adapters, **options)

    monkeypatch.setattr(weights.Weights, "forward", failing)
    wide, lft = answers(engine, request("wide", PROMPTS[0]), request("lft", PROMPTS[0]))
    assert isinstance(wide, EngineUnavailableError)
    assert "out of memory" in wide.message
    assert lft[-1].finish is not None


def test_ids_the_base_has_never_seen(engine):
    response = (7, VOCABULARY, 9)
    scores = asyncio.run(engine.score(PROMPTS[0], response, 300, checkpoint="wide", reference="base"))
    first, unseen, after = scores.tokens
    assert unseen.base_logprob is None
    assert unseen.base_rank == VOCABULARY + 1
    assert unseen.kl_tuned_base is None
    assert first.base_logprob is not None
    assert after.base_logprob is not None
    with pytest.raises(InvalidInputError, match=str(VOCABULARY)):
        asyncio.run(engine.score(PROMPTS[0], response, 5, checkpoint="sft", reference="base"))


@pytest.mark.parametrize("length", [CONTEXT - 1, CONTEXT - 5])
def test_the_context_ends_a_response(engine, length):
    (tokens,) = answers(engine, request("sft", (40,) * length, tokens=50, temperature=3.0, seed=1))
    assert len(tokens) <= CONTEXT - length
    assert tokens[-1].finish is not None


def test_what_does_not_fit_the_context_is_refused(engine):
    with pytest.raises(InvalidInputError, match=str(CONTEXT)):
        answers(engine, request("sft", (40,) * CONTEXT))
    with pytest.raises(InvalidInputError, match=str(CONTEXT)):
        asyncio.run(engine.score((40,) * 100, (41,) * 29, 5, checkpoint="sft", reference="base"))


@pytest.mark.parametrize("bad", [{"max_tokens": 0}, {"temperature": -1.0}])
def test_decoding_that_makes_no_sense_is_refused(engine, bad):
    asked = request("base", PROMPTS[0])
    with pytest.raises(InvalidInputError):
        answers(engine, replace(asked, decoding=replace(asked.decoding, **bad)))


def test_status_loads_nothing_and_starts_no_thread(registry):
    engine = LocalEngine(registry)
    before = threading.active_count()
    status = asyncio.run(engine.status())
    assert [state.ready for state in status.checkpoints] == [True] * len(NAMES)
    assert not any(thread.name == "torch" for thread in threading.enumerate()[before:])
    asyncio.run(engine.aclose())


def test_a_closed_engine_says_so(registry):
    engine = LocalEngine(registry)
    asyncio.run(engine.aclose())
    (error,) = answers(engine, request("base", PROMPTS[0]))
    assert isinstance(error, EngineUnavailableError)


def test_opening_engines_imports_no_torch():
    code = "import sys, app.engines.open; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_greedy_takes_the_lowest_id_on_ties():
    logits = np.array([0.0, 2.0, 2.0], dtype=np.float32)
    assert choose(logits, temperature=0, rng=np.random.default_rng(0)) == 1


def test_sampling_draws_from_the_softmax():
    # Temperature 2 halves the logits: probabilities 1 : e : 0 at logits 0, 2 and minus infinity.
    logits = np.array([0.0, 2.0, -np.inf], dtype=np.float32)
    rng = np.random.default_rng(7)
    drawn = [choose(logits, temperature=2.0, rng=rng) for _ in range(20_000)]
    expected = np.e / (1 + np.e)
    # Four standard deviations of a share over 20,000 draws: 4 sqrt(0.731 * 0.269 / 20,000) = 0.0125.
    assert np.mean(np.array(drawn) == 1) == pytest.approx(expected, abs=0.0125)
    assert 2 not in drawn
