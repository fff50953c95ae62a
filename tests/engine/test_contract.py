"""What every engine promises, on real weights. Both kinds pass the same tests."""

import asyncio
from contextlib import aclosing
from dataclasses import replace

import pytest

from app.engines.check import self_check
from app.errors import InvalidInputError, NotFoundError
from app.shift.classes import ShiftClass

STEEL = "What is steel?"
LONG = "Explain why the sky is blue to a child, and then, with numbers, to a student of physics who asks for details."
NAMES = ("base", "lft", "sft")


def ids_of(tokens):
    return tuple(token.id for token in tokens)


@pytest.mark.parametrize("name", NAMES)
def test_scoring_agrees_with_streaming(subject, name):
    request = subject.request(name, STEEL)
    (tokens,) = subject.answers(request)
    scores = subject.score(request, ids_of(tokens))
    assert tuple(token.id for token in scores.tokens) == ids_of(tokens)
    for token, seen in zip(tokens, scores.tokens, strict=True):
        assert seen.tuned_logprob == pytest.approx(token.logprob, abs=1e-4)
        # Greedy, in float32: nothing is above the emitted token.
        assert seen.tuned_rank == 1


def test_the_three_checkpoints_are_three_models(subject):
    """Otherwise the other tests could pass on three copies of the base."""
    request = subject.request("base", LONG)
    response = ids_of(subject.answers(request)[0])
    seen = [subject.score(subject.request(name, LONG), response).tokens for name in NAMES]
    for tuned in seen[1:]:
        assert max(token.kl_tuned_base for token in tuned) > 0.01
    assert seen[1] != seen[2]


def test_base_against_itself_is_unshifted(subject):
    request = subject.request("base", LONG)
    (tokens,) = subject.answers(request)
    for seen in subject.score(request, ids_of(tokens)).tokens:
        assert seen.shift_class is ShiftClass.UNSHIFTED
        assert seen.kl_tuned_base == seen.kl_base_tuned == 0
        assert seen.base_logprob == seen.tuned_logprob
        assert seen.top_base == seen.top_tuned


def test_max_tokens_ends_a_response(subject):
    (tokens,) = subject.answers(subject.request("sft", LONG, max_tokens=5))
    assert [token.index for token in tokens] == [0, 1, 2, 3, 4]
    assert [token.finish for token in tokens] == [None] * 4 + ["length"]


def test_the_end_of_sequence_is_a_token_of_the_response(subject):
    request = subject.request("base", "What is the capital of France? Answer with the name only.", max_tokens=64)
    (tokens,) = subject.answers(request)
    assert tokens[-1].finish == "stop"
    assert tokens[-1].id in subject.tokenizer.eos_ids
    assert not any(token.id in subject.tokenizer.eos_ids for token in tokens[:-1])
    assert subject.score(request, ids_of(tokens)).tokens[-1].tuned_logprob == pytest.approx(
        tokens[-1].logprob, abs=1e-4
    )


def test_several_at_once_equal_each_alone(subject):
    requests = [
        subject.request(name, text, reference="base", max_tokens=tokens)
        for name, text, tokens in (
            ("base", STEEL, 24),
            ("lft", STEEL, 24),
            ("sft", STEEL, 24),
            ("lft", LONG, 9),
            ("base", LONG, 16),
        )
    ]
    together = subject.answers(*requests)
    for request, tokens in zip(requests, together, strict=True):
        (alone,) = subject.answers(request)
        assert ids_of(alone) == ids_of(tokens)
        assert [token.logprob for token in alone] == pytest.approx([token.logprob for token in tokens], abs=1e-4)


def test_a_seed_repeats_a_sample(subject):
    hot = [subject.request("lft", LONG, temperature=1.0, seed=seed, max_tokens=16) for seed in (1, 1, 2)]
    first, again, other = (ids_of(subject.answers(request)[0]) for request in hot)
    assert first == again
    assert first != other


def test_logprobs_are_raw_at_any_temperature(subject):
    request = subject.request("base", LONG, temperature=1.5, seed=3, max_tokens=8)
    (tokens,) = subject.answers(request)
    seen = subject.score(request, ids_of(tokens)).tokens
    assert [token.tuned_logprob for token in seen] == pytest.approx([token.logprob for token in tokens], abs=1e-4)
    assert any(token.tuned_rank > 1 for token in seen)


def test_closing_a_stream_leaves_the_engine_free(subject):
    request = subject.request("base", LONG, max_tokens=400)

    async def scenario():
        async with aclosing(subject.engine.stream(request)) as stream:
            first = [await anext(stream) for _ in range(3)]
        return first, await subject.answer(subject.request("base", LONG, max_tokens=3))

    first, again = asyncio.run(scenario())
    assert ids_of(first) == ids_of(again)


def test_the_reference_may_see_another_prompt(subject):
    plain = subject.tokenizer.render(STEEL, template="none")
    same = subject.request("lft", STEEL)
    other = subject.request("lft", STEEL, reference_prompt_ids=plain)
    response = ids_of(subject.answers(same)[0])
    ours, theirs = subject.score(same, response).tokens, subject.score(other, response).tokens
    assert [token.tuned_logprob for token in ours] == pytest.approx([t.tuned_logprob for t in theirs], abs=1e-4)
    # The first token follows a chat prompt for one base and a bare question for the other.
    assert abs(ours[0].base_logprob - theirs[0].base_logprob) > 0.1


@pytest.mark.parametrize("top_k", [1, 7, 20])
def test_lists_have_the_length_asked_for(subject, top_k):
    request = subject.request("lft", STEEL)
    scores = subject.score(request, (10, 11, 12), top_k=top_k)
    for token in scores.tokens:
        for top in (token.top_base, token.top_tuned):
            assert len({pair[0] for pair in top}) == top_k
            assert list(top) == sorted(top, key=lambda pair: -pair[1])
        assert token.kl_tuned_base >= 0
        assert token.kl_base_tuned >= 0


def test_an_empty_response_has_empty_scores(subject):
    assert subject.score(subject.request("lft", STEEL), ()).tokens == ()


def test_an_unknown_checkpoint_is_named(subject):
    with pytest.raises(NotFoundError, match="'gpt'"):
        subject.answers(subject.request("gpt", STEEL))
    with pytest.raises(NotFoundError, match="'gpt'"):
        subject.score(subject.request("base", STEEL), (1,), reference="gpt")


def test_an_empty_prompt_is_refused(subject):
    empty = replace(subject.request("base", STEEL), prompt_ids=())
    with pytest.raises(InvalidInputError, match="empty"):
        subject.answers(empty)
    with pytest.raises(InvalidInputError, match="empty"):
        subject.score(empty, (1, 2))


def test_a_prompt_longer_than_the_context_is_refused(subject):
    request = subject.request("base", "blue " * 9000)
    with pytest.raises(InvalidInputError, match=r"\d{4}"):
        subject.answers(request)


def test_an_id_outside_the_vocabulary_is_refused(subject):
    request = subject.request("base", STEEL)
    with pytest.raises(InvalidInputError):
        subject.answers(replace(request, prompt_ids=(1, 999_999)))
    with pytest.raises(InvalidInputError):
        subject.score(request, (1, 999_999))


def test_status_knows_every_checkpoint(subject):
    status = asyncio.run(subject.engine.status())
    assert {state.checkpoint: state.ready for state in status.checkpoints} == dict.fromkeys(NAMES, True)
    assert status.version
    assert status.dtype == "float32"


@pytest.mark.parametrize("name", NAMES)
def test_the_self_check_passes(subject, name):
    check = asyncio.run(self_check(subject.engine, name, reference="base", prompt_ids=subject.prompt(LONG)))
    assert check.passed, check.detail
