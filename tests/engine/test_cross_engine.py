"""Two engines, one answer: the same ids scored in this process and by vLLM."""

import asyncio

import pytest

PROMPTS = ("What is steel?", "Écris une phrase sur la mer 🌊.", "List three uses of copper.\n\n\t1.")
IMPORTED = " Steel is iron with carbon — about 0.2 %. 🙂"


@pytest.fixture(scope="module", params=["base", "lft", "sft"])
def pairs(request, local, vllm):
    """Every token of a greedy answer and of an imported one, as both engines see it."""
    asked = [local.request(request.param, text, max_tokens=40) for text in PROMPTS]
    responses = [tuple(token.id for token in tokens) for tokens in vllm.answers(*asked)]
    responses[-1] = local.tokenizer.encode(IMPORTED)
    found = []
    for one, response in zip(asked, responses, strict=True):
        exact, bound = local.score(one, response), vllm.score(one, response)
        assert (exact.kl_kind, bound.kl_kind) == ("exact", "lower_bound")
        assert exact.dtype == bound.dtype == "float32"
        found += zip(exact.tokens, bound.tokens, strict=True)
    assert len(found) > 50
    return found


def test_log_probabilities_agree(pairs):
    for ours, theirs in pairs:
        assert ours.id == theirs.id
        assert theirs.base_logprob == pytest.approx(ours.base_logprob, abs=1e-3)
        assert theirs.tuned_logprob == pytest.approx(ours.tuned_logprob, abs=1e-3)


def test_classes_agree_except_near_a_border(pairs):
    different = [(ours, theirs) for ours, theirs in pairs if ours.shift_class is not theirs.shift_class]
    assert [pair for pair in different if not (pair[0].near_border and pair[1].near_border)] == []
    # Far from the border almost every token is, or the mark would excuse anything.
    assert sum(ours.near_border for ours, _ in pairs) < len(pairs) / 10


def test_ranks_agree_wherever_the_lists_reach(pairs):
    apart = [(o.base_rank, t.base_rank) for o, t in pairs if o.base_rank != t.base_rank and o.base_rank <= 20]
    assert len(apart) <= len(pairs) / 50


def test_the_bound_stays_below_the_exact_divergence_and_close_to_it(pairs):
    for ours, theirs in pairs:
        assert theirs.kl_tuned_base <= ours.kl_tuned_base + 1e-4
        assert theirs.kl_base_tuned <= ours.kl_base_tuned + 1e-4
    exact, bound = (sum(token.kl_tuned_base for token in side) for side in zip(*pairs, strict=True))
    assert bound >= 0.6 * exact


def test_the_best_ids_agree(pairs):
    for ours, theirs in pairs:
        for mine, other in ((ours.top_base, theirs.top_base), (ours.top_tuned, theirs.top_tuned)):
            assert [lp for _, lp in other[:5]] == pytest.approx([lp for _, lp in mine[:5]], abs=1e-3)


def test_greedy_answers_agree(local, vllm):
    requests = [local.request(name, PROMPTS[0], max_tokens=32) for name in ("base", "lft", "sft")]
    ours = [[token.id for token in tokens] for tokens in local.answers(*requests)]
    theirs = [[token.id for token in tokens] for tokens in vllm.answers(*requests)]
    assert ours == theirs


def test_a_closed_engine_of_one_kind_leaves_the_other_answering(local, vllm):
    """Both live in one event loop, as they do in the app."""
    request = local.request("lft", PROMPTS[0], max_tokens=4)

    async def together():
        return await asyncio.gather(local.answer(request), vllm.answer(request))

    ours, theirs = asyncio.run(together())
    assert [token.id for token in ours] == [token.id for token in theirs]
