"""Adapters loaded into and dropped from a running vLLM server."""

import asyncio

import pytest

from app.engines.loading import load_adapter, unload_adapter
from app.engines.open import Engines, open_engines
from app.engines.protocol import Decoding, Request
from app.engines.vllm import adapters
from app.engines.vllm.faults import UnknownModelError
from app.errors import EngineError
from app.settings import Settings


def state_of(engines, name="lft"):
    (found,) = [one for one in asyncio.run(engines.vllm.status()).checkpoints if one.checkpoint == name]
    return found


@pytest.fixture
def engines(own, tmp_path) -> Engines:
    return open_engines(own.registry, Settings(_env_file=None, data_dir=tmp_path))


def logprobs(engines, own, name):
    ids = own.prompt("Explain why the sky is blue.")
    scores = asyncio.run(engines.vllm.score(ids, tuple(range(300, 340)), 5, checkpoint=name, reference="base"))
    return [token.tuned_logprob for token in scores.tokens]


def test_an_adapter_is_dropped_and_loaded_again_and_is_the_same(engines, own):
    before = {name: logprobs(engines, own, name) for name in ("base", "lft")}
    assert state_of(engines).adapter == "loaded"
    assert state_of(engines, "base").adapter == "fixed"
    asyncio.run(unload_adapter(engines, "lft"))
    try:
        assert state_of(engines).adapter == "absent"
        assert "load the adapter" in state_of(engines).detail
        request = Request(checkpoint="lft", prompt_ids=(1, 2), decoding=Decoding(max_tokens=2))
        with pytest.raises(UnknownModelError, match="serves no model called 'lft'"):
            asyncio.run(anext(engines.vllm.stream(request)))
    finally:
        check = asyncio.run(load_adapter(engines, "lft"))
    assert check.passed, check.detail
    assert (state_of(engines).adapter, state_of(engines).verified) == ("loaded", True)
    after = {name: logprobs(engines, own, name) for name in ("base", "lft")}
    for name, found in after.items():
        assert found == pytest.approx(before[name], abs=1e-4)
    assert max(abs(a - b) for a, b in zip(after["base"], after["lft"], strict=True)) > 1e-2


def test_what_the_server_will_not_load_is_said_in_its_words(engines, tmp_path):
    server = engines.vllm.server("lft")
    with pytest.raises(EngineError, match=r"would not load 'lft' \(status 4") as caught:
        asyncio.run(adapters.load(server, "gone", str(tmp_path / "gone"), checkpoint="lft"))
    assert "No adapter found" in caught.value.message
    assert "same path" in caught.value.remedy
