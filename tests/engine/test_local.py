"""The local engine on the demo's weights against a forward pass of transformers and peft, sharing no code with it."""

import asyncio
from dataclasses import replace

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from app.engines.local import LocalEngine

PROMPTS = ("What is steel?", "Explain in two sentences how a glacier moves, and name one in \U0001f1e8\U0001f1ed.")


@pytest.fixture(scope="module")
def models(local):
    """Every checkpoint as its own model, in float32."""
    made = {}
    for checkpoint in local.registry.checkpoints.values():
        model = AutoModelForCausalLM.from_pretrained(checkpoint.model, dtype=torch.float32)
        if checkpoint.adapter is not None:
            model = PeftModel.from_pretrained(model, checkpoint.adapter)
        made[checkpoint.name] = model.eval()
    return made


def response_logits(model, prompt, response):
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([[*prompt, *response]])).logits[0]
    return logits[len(prompt) - 1 : -1].double()


def assert_equals_forward_pass(tokens, base, tuned):
    """Ranks exactly, log-probabilities and both KLs to 1e-4, from logits `[T, V]` in float64."""
    log_base, log_tuned = base.log_softmax(-1), tuned.log_softmax(-1)
    for t, token in enumerate(tokens):
        assert token.base_rank == 1 + int((base[t] > base[t, token.id]).sum())
        assert token.tuned_rank == 1 + int((tuned[t] > tuned[t, token.id]).sum())
        assert token.base_logprob == pytest.approx(float(log_base[t, token.id]), abs=1e-4)
        assert token.tuned_logprob == pytest.approx(float(log_tuned[t, token.id]), abs=1e-4)
        gap = log_tuned[t] - log_base[t]
        assert token.kl_tuned_base == pytest.approx(float((log_tuned[t].exp() * gap).sum()), abs=1e-4)
        assert token.kl_base_tuned == pytest.approx(float(-(log_base[t].exp() * gap).sum()), abs=1e-4)
        for top, log_p in ((token.top_base, log_base[t]), (token.top_tuned, log_tuned[t])):
            values = log_p.topk(len(top)).values.tolist()
            assert [logprob for _, logprob in top] == pytest.approx(values, abs=1e-4)
            assert [float(log_p[token_id]) for token_id, _ in top] == pytest.approx(values, abs=1e-4)


@pytest.mark.parametrize("text", PROMPTS)
@pytest.mark.parametrize("name", ["base", "lft", "sft"])
def test_streamed_and_scored_traces_equal_an_independent_forward_pass(local, models, name, text):
    request = local.request(name, text, reference="base", max_tokens=32)
    (tokens,) = local.answers(request)
    response = [token.id for token in tokens]
    base = response_logits(models["base"], request.prompt_ids, response)
    tuned = response_logits(models[name], request.prompt_ids, response)
    assert response == tuned.argmax(-1).tolist()
    assert_equals_forward_pass([token.shift for token in tokens], base, tuned)
    assert_equals_forward_pass(local.score(request, tuple(response)).tokens, base, tuned)


def test_the_reference_reads_its_own_prompt(local, models):
    plain = local.tokenizer.render(PROMPTS[0], template="none")
    request = local.request("lft", PROMPTS[0], reference="base", reference_prompt_ids=plain)
    (tokens,) = local.answers(request)
    response = [token.id for token in tokens]
    base = response_logits(models["base"], plain, response)
    tuned = response_logits(models["lft"], request.prompt_ids, response)
    assert_equals_forward_pass([token.shift for token in tokens], base, tuned)
    assert_equals_forward_pass(local.score(request, tuple(response)).tokens, base, tuned)


def test_ids_nobody_would_have_chosen_are_scored_alike(local, models):
    request = local.request("sft", PROMPTS[1])
    response = local.tokenizer.encode("Purple \U0001f642 42 </s>\0 \u05e9\u05dc\u05d5\u05dd")
    base = response_logits(models["base"], request.prompt_ids, response)
    tuned = response_logits(models["sft"], request.prompt_ids, response)
    assert_equals_forward_pass(local.score(request, response).tokens, base, tuned)


def test_three_columns_at_once_carry_the_same_traces(local):
    requests = [local.request(name, PROMPTS[1], reference="base") for name in ("base", "lft", "sft")]
    for request, tokens in zip(requests, local.answers(*requests), strict=True):
        seen = local.score(request, tuple(token.id for token in tokens)).tokens
        assert [token.shift.base_rank for token in tokens] == [token.base_rank for token in seen]
        for token, scored in zip(tokens, seen, strict=True):
            assert token.shift.kl_tuned_base == pytest.approx(scored.kl_tuned_base, abs=1e-4)


@pytest.mark.parametrize(
    "prompt", ["Hello", "", " a\n\n ", "\0", "\U0001f642 \u05e9\u05dc\u05d5\u05dd", "<|im_end|> <b>", "12345"]
)
def test_prompts_become_the_ids_transformers_makes(local, prompt):
    theirs = AutoTokenizer.from_pretrained(local.registry.get("base").tokenizer)
    messages = [{"role": "user", "content": prompt}]
    rendered = theirs.apply_chat_template(messages, add_generation_prompt=True)["input_ids"]
    assert list(local.tokenizer.render(prompt, template="chat")) == rendered
    assert list(local.tokenizer.render(prompt, template="none")) == theirs(prompt)["input_ids"]


def test_every_id_has_the_text_transformers_gives_it(local):
    theirs = AutoTokenizer.from_pretrained(local.registry.get("base").tokenizer)
    ordinary = [token for token in range(local.tokenizer.size) if not local.tokenizer.is_special(token)]
    assert [local.tokenizer.text([token]) for token in ordinary] == [theirs.decode([token]) for token in ordinary]


def test_bfloat16_is_stored_with_its_wider_border(local):
    engine = LocalEngine(local.registry, dtype="bfloat16")
    subject = replace(local, engine=engine)
    request = subject.request("lft", PROMPTS[0], reference="base", max_tokens=8)
    (tokens,) = subject.answers(request)
    scores = subject.score(request, tuple(token.id for token in tokens))
    asyncio.run(engine.aclose())
    assert (scores.dtype, scores.border_width) == ("bfloat16", 0.25)
    # Greedy in bfloat16: nothing beats the emitted token by more than the border.
    for token in scores.tokens:
        assert token.top_tuned[0][1] - token.tuned_logprob < scores.border_width
