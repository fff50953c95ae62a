"""One answer read by every checkpoint of the demo, under every base prompt, against forward passes of transformers."""

import asyncio
from dataclasses import dataclass

import pytest

from app.engines.local import weights
from app.engines.open import Engines
from app.engines.prompts import FEW_SHOT
from app.responses.read import Written, plan_reading, read
from models import BasePrompt
from tests.engine.test_local import assert_equals_forward_pass, models, response_logits

__all__ = ["models"]

PROMPT = "Why do cats purr?"


@dataclass(frozen=True)
class Case:
    engines: Engines
    written: Written

    def reading(self, name: str, base_prompt: BasePrompt = BasePrompt.SAME_IDS):
        return asyncio.run(read(self.engines, plan_reading(self.engines, self.written, name, base_prompt)))


@pytest.fixture(scope="module")
def case(local) -> Case:
    """An answer of SFT, as the database would hold it."""
    request = local.request("sft", PROMPT, max_tokens=24)
    (tokens,) = local.answers(request)
    ids = tuple(token.id for token in tokens)
    written = Written(
        id="r",
        prompt=PROMPT,
        prompt_ids=request.prompt_ids,
        ids=ids,
        text=local.tokenizer.text(ids),
        checkpoint="sft",
        tokenizer_of="sft",
        same_ids=True,
    )
    return Case(Engines(registry=local.registry, local=local.engine, vllm=None), written)


@pytest.mark.parametrize("name", ["base", "lft", "sft"])
def test_each_reading_equals_an_independent_forward_pass(case, models, name):
    reading = case.reading(name)
    prompt, ids = case.written.prompt_ids, case.written.ids
    assert reading.prompt_ids == reading.reference_prompt_ids == prompt
    base, tuned = response_logits(models["base"], prompt, ids), response_logits(models[name], prompt, ids)
    assert_equals_forward_pass(reading.scores.tokens, base, tuned)
    if name == "base":
        assert {token.kl_tuned_base for token in reading.scores.tokens} == {0.0}
        assert all(token.base_rank == token.tuned_rank for token in reading.scores.tokens)


def test_every_reading_holds_the_same_base(case):
    readings = [case.reading(name) for name in ("base", "lft", "sft")]
    ranks = [[token.base_rank for token in reading.scores.tokens] for reading in readings]
    assert ranks[0] == ranks[1] == ranks[2]


@pytest.mark.parametrize("base_prompt", [BasePrompt.PLAIN, BasePrompt.FEW_SHOT])
@pytest.mark.parametrize("name", ["base", "lft"])
def test_another_base_prompt_equals_scoring_with_those_ids(case, models, local, name, base_prompt):
    reading = case.reading(name, base_prompt)
    text = PROMPT if base_prompt is BasePrompt.PLAIN else FEW_SHOT.format(prompt=PROMPT)
    seen = local.tokenizer.render(text, template="none")
    own = seen if name == "base" else case.written.prompt_ids
    base = response_logits(models["base"], seen, case.written.ids)
    tuned = response_logits(models[name], own, case.written.ids)
    assert (reading.prompt_ids, reading.reference_prompt_ids) == (own, seen)
    assert_equals_forward_pass(reading.scores.tokens, base, tuned)


def test_base_against_itself_costs_one_forward_pass(case, local, monkeypatch):
    """Two would give the same numbers, at twice the price."""
    case.reading("base")
    passes = []
    forward = weights.Weights.forward
    monkeypatch.setattr(weights.Weights, "forward", lambda self, *a, **k: passes.append(1) or forward(self, *a, **k))
    case.reading("base")
    assert len(passes) == 1
    case.reading("sft")
    assert len(passes) == 1 + 2
