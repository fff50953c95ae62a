"""Forks on the demo's weights: the same ids go on the same way, and a branch's trace is that of the whole response."""

import asyncio
from collections.abc import Iterator

import pytest

from app.compare.answers import Fold
from app.compare.fork_plan import ForkInput, plan_fork
from app.compare.plan import Plan, build_plan
from app.compare.queries import fork_of
from app.compare.runner import ColumnDone, run_columns
from app.engines.open import Engines, open_engines
from app.engines.protocol import Decoding
from app.settings import Settings
from models import BasePrompt, Response
from tests.engine.test_local import assert_equals_forward_pass, models, response_logits
from tests.engine.vllm_servers import demo_registry

__all__ = ["models"]

PROMPT = "Explain in two sentences why the sky is blue."
LENGTH, INDEX = 24, 6


@pytest.fixture(scope="module")
def engines() -> Iterator[Engines]:
    opened = open_engines(demo_registry(), Settings())
    yield opened
    asyncio.run(opened.aclose())


def run(engines: Engines, plan: Plan) -> Fold:
    async def collect() -> Fold:
        fold = Fold(plan, lambda name: engines.tokenizer_for(name).token_bytes)
        ended = 0
        async for event in run_columns(engines, plan):
            fold.take([event])
            ended += isinstance(event, ColumnDone)
        assert ended == len(plan.columns)
        return fold

    return asyncio.run(collect())


@pytest.fixture(scope="module")
def original(engines: Engines) -> Response:
    """A greedy answer of lft."""
    plan = build_plan(engines, PROMPT, ["lft"], base_prompt=BasePrompt.SAME_IDS, decoding=Decoding(max_tokens=LENGTH))
    answer = run(engines, plan).answer(0)
    return Response(
        checkpoint="lft",
        prompt=PROMPT,
        prompt_ids=list(plan.columns[0].prompt_ids),
        text=answer.text,
        text_sha256="",
        token_ids=list(answer.ids),
        finish=answer.finish,
        run=answer.run | {"text_lengths": [len(text) for text in answer.texts]},
    )


def fork(engines: Engines, original: Response, index: int, token_id: int, *names: str, max_tokens: int) -> Plan:
    sent = ForkInput(checkpoints=list(names), max_tokens=str(max_tokens))
    return plan_fork(engines, fork_of(original, index, token_id), original, (), sent, limit=1024)


@pytest.mark.parametrize("index", [0, INDEX, LENGTH - 2])
def test_from_its_own_token_the_original_is_said_again(engines: Engines, original: Response, index: int) -> None:
    rest = len(original.token_ids) - index - 1
    plan = fork(engines, original, index, original.token_ids[index], "lft", max_tokens=rest)
    again = run(engines, plan).answer(0)
    assert list(again.ids) == original.token_ids
    assert again.text == original.text


def test_a_branch_has_the_trace_of_the_whole_response(engines: Engines, original: Response, models: dict) -> None:
    # The base's first choice among the ids lft passed over here.
    (scored,) = run(engines, fork(engines, original, INDEX, original.token_ids[INDEX], "lft", max_tokens=1)).answers()
    other = next(token for token, _ in scored.shifts[INDEX].top_base if token != original.token_ids[INDEX])
    plan = fork(engines, original, INDEX, other, "base", "lft", "sft", max_tokens=12)
    fold = run(engines, plan)
    for column, answer in zip(plan.columns, fold.answers(), strict=True):
        assert list(answer.ids[: INDEX + 1]) == [*original.token_ids[:INDEX], other]
        assert column.prompt_ids == tuple(original.prompt_ids)
        base = response_logits(models["base"], column.reference_prompt_ids, answer.ids)
        tuned = response_logits(models[answer.checkpoint], column.prompt_ids, answer.ids)
        assert len(answer.scored) == len(answer.ids)
        assert_equals_forward_pass(answer.scored, base, tuned)
        # Greedy from the fork on: every drawn token is the checkpoint's own first choice.
        assert list(answer.ids[INDEX + 1 :]) == tuned.argmax(-1).tolist()[INDEX + 1 :]
        whole = asyncio.run(
            engines.for_checkpoint(answer.checkpoint).score(
                column.prompt_ids, answer.ids, 100, checkpoint=answer.checkpoint, reference="base"
            )
        )
        assert [shift.base_rank for shift in answer.scored] == [shift.base_rank for shift in whole.tokens]
