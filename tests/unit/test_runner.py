"""Columns run together, end in exactly one way each, and never hold each other up."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from app.compare.answers import Fold
from app.compare.plan import Plan, build_plan
from app.compare.runner import (
    ColumnDone,
    ColumnFailed,
    ColumnStarted,
    ColumnStopped,
    Event,
    Finished,
    TokenArrived,
    TokensScored,
    run_columns,
)
from app.engines.protocol import Decoding, Request, Token
from app.errors import EngineUnavailableError
from models import BasePrompt, RunState
from tests.scripted_engine import EOS, Script, ScriptedEngine, ScriptedEngines, scripted_engines

LONG = "abcdefghij" * 20


class PendingEngine(ScriptedEngine):
    """Delivers tokens without their shifts, as an engine does that scores afterwards."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)
        self.scored: list[tuple[int, int]] = []

    async def stream(self, request: Request) -> AsyncIterator[Token]:
        async for token in super().stream(request):
            yield replace(token, shift=None)

    async def score(self, prompt_ids, response_ids, top_k, **names):
        self.scored.append((len(response_ids), top_k))
        return await super().score(prompt_ids, response_ids, top_k, **names)


def plan_for(engines: ScriptedEngines, *names: str, max_tokens: int = 256) -> Plan:
    decoding = Decoding(max_tokens=max_tokens)
    return build_plan(engines, "Why?", names, base_prompt=BasePrompt.SAME_IDS, decoding=decoding)


def run(engines: ScriptedEngines, plan: Plan, **options: object) -> list[Event]:
    async def collect() -> list[Event]:
        return [event async for event in run_columns(engines, plan, **options)]

    return asyncio.run(collect())


def of_column(events: list[Event], column: int) -> list[Event]:
    return [event for event in events if not isinstance(event, Finished) and event.column == column]


def test_three_columns_start_together_and_all_finish(tmp_path: Path) -> None:
    engines = scripted_engines(tmp_path)
    events = run(engines, plan_for(engines, "base", "lft", "sft"))
    assert [event.column for event in events[:3] if isinstance(event, ColumnStarted)] == [0, 1, 2]
    assert isinstance(events[-1], Finished)
    for column in range(3):
        mine = of_column(events, column)
        assert isinstance(mine[-1], ColumnDone)
        assert (mine[-1].finish, len(mine[-1].scores.tokens)) == ("stop", 43)
        texts = [event.text for event in mine if isinstance(event, TokenArrived)]
        # The cup of coffee is three bytes, so two tokens add nothing and the third the whole character.
        assert texts[-4:] == ["", "", "☕", ""]
        assert "".join(texts) == "A kettle boils faster with its lid on. ☕"


def test_tokens_of_the_columns_arrive_interleaved(tmp_path: Path) -> None:
    engines = scripted_engines(tmp_path)
    events = run(engines, plan_for(engines, "base", "lft", "sft"))
    arrivals = [event.column for event in events if isinstance(event, TokenArrived)]
    assert arrivals[:9] == [0, 1, 2] * 3


def test_a_failing_column_says_why_keeps_what_it_has_and_stops_nobody(tmp_path: Path) -> None:
    dies = Script(fail_at=5, error=EngineUnavailableError("The server went away.", remedy="Start it again."))
    engines = scripted_engines(tmp_path, base=Script(base_ranks=(1,)), lft=dies)
    events = run(engines, plan_for(engines, "base", "lft"))
    failed = of_column(events, 1)[-1]
    assert isinstance(failed, ColumnFailed)
    assert failed.sentence == "The server went away. Start it again."
    assert failed.scores is not None
    assert len(failed.scores.tokens) == 5
    assert isinstance(of_column(events, 0)[-1], ColumnDone)


def test_a_mistake_of_ours_ends_the_column_in_words_without_its_details(tmp_path: Path) -> None:
    engines = scripted_engines(tmp_path, base=Script(fail_at=2, error=KeyError("secret")))
    failed = of_column(run(engines, plan_for(engines, "base")), 0)[-1]
    assert isinstance(failed, ColumnFailed)
    assert "unexpected error" in failed.sentence
    assert "secret" not in failed.sentence


def test_stop_ends_a_stalled_column_with_what_it_has(tmp_path: Path) -> None:
    engines = scripted_engines(tmp_path, base=Script(base_ranks=(1,)), lft=Script(stall_at=7))
    plan = plan_for(engines, "base", "lft")

    async def collect() -> list[Event]:
        stop, events = asyncio.Event(), []
        async for event in run_columns(engines, plan, stop=stop):
            events.append(event)
            if isinstance(event, ColumnDone):
                stop.set()
        return events

    events = asyncio.run(asyncio.wait_for(collect(), 10))
    stopped = of_column(events, 1)[-1]
    assert isinstance(stopped, ColumnStopped)
    assert stopped.scores is not None
    assert len(stopped.scores.tokens) == 7
    assert engines.engine.closed == 1


def test_a_silent_engine_fails_with_the_wait_in_words(tmp_path: Path) -> None:
    engines = scripted_engines(tmp_path, base=Script(stall_at=0))
    failed = of_column(run(engines, plan_for(engines, "base"), silence_s=0.05), 0)[-1]
    assert failed == ColumnFailed(0, "base sent no token for 0.05 seconds. See whether its engine is busy or down.")


def test_closing_the_iterator_closes_every_stream(tmp_path: Path) -> None:
    engines = scripted_engines(tmp_path, base=Script(stall_at=3), lft=Script(stall_at=3))

    async def leave_early() -> None:
        events = run_columns(engines, plan_for(engines, "base", "lft"))
        async for event in events:
            if isinstance(event, TokenArrived) and event.token.index == 2:
                break
        await events.aclose()

    asyncio.run(asyncio.wait_for(leave_early(), 10))
    assert engines.engine.closed == 2


@pytest.fixture
def pending(tmp_path: Path) -> ScriptedEngines:
    engines = scripted_engines(tmp_path, base=Script(base_ranks=(1,)), lft=Script(text=LONG))
    engines.engine = PendingEngine(engines.engine.tokenizer, engines.engine.scripts)
    return engines


def test_pending_tokens_are_scored_at_doubling_lengths_and_once_at_the_end(pending: ScriptedEngines) -> None:
    events = run(pending, plan_for(pending, "lft"))
    # 200 letters and the end of sequence.
    *live, last = pending.engine.scored
    assert last == (201, 100)
    assert [top_k for _, top_k in live] == [20] * len(live)
    lengths = [length for length, _ in live]
    assert lengths[0] >= 32
    assert all(later >= 2 * earlier for earlier, later in pairwise(lengths))
    scored = [event for event in events if isinstance(event, TokensScored)]
    assert (scored[-1].start, len(scored[-1].shifts)) == (0, 201)
    # Live scorings continue where the one before ended.
    ends = [0]
    for event in scored[:-1]:
        assert event.start == ends[-1]
        ends.append(event.start + len(event.shifts))


def test_a_stopped_pending_column_is_still_scored(pending: ScriptedEngines) -> None:
    pending.engine.scripts["lft"].stall_at = 10
    plan = plan_for(pending, "lft")

    async def collect() -> list[Event]:
        stop, events = asyncio.Event(), []
        async for event in run_columns(pending, plan, stop=stop):
            events.append(event)
            if isinstance(event, TokenArrived) and event.token.index == 9:
                stop.set()
        return events

    stopped = asyncio.run(asyncio.wait_for(collect(), 10))[-2]
    assert isinstance(stopped, ColumnStopped)
    assert stopped.scores is not None
    assert len(stopped.scores.tokens) == 10


def test_a_complete_text_that_cannot_be_scored_has_failed(pending: ScriptedEngines) -> None:
    pending.engine.scripts["lft"].error = EngineUnavailableError("Scoring is down.")
    failed = of_column(run(pending, plan_for(pending, "lft")), 0)[-1]
    assert failed == ColumnFailed(0, "Scoring is down.", None)


def test_max_tokens_ends_with_length(tmp_path: Path) -> None:
    engines = scripted_engines(tmp_path)
    done = of_column(run(engines, plan_for(engines, "lft", max_tokens=4)), 0)[-1]
    assert isinstance(done, ColumnDone)
    assert done.finish == "length"


def test_a_nul_is_replaced_in_the_text_and_kept_in_the_ids(tmp_path: Path) -> None:
    engines = scripted_engines(tmp_path, base=Script(text="a\x00b"))
    plan = plan_for(engines, "base")
    answer = Fold(plan, lambda _: engines.engine.tokenizer.token_bytes).take(run(engines, plan)).answer(0)
    assert answer.text == "a\ufffdb"
    assert answer.ids == (97, 0, 98, EOS)
    assert answer.state is RunState.DONE


def test_what_base_reads_is_a_choice(tmp_path: Path) -> None:
    engines = scripted_engines(tmp_path)
    lft = engines.registry.checkpoints["lft"]
    framed = {**engines.registry.checkpoints, "lft": replace(lft, template="alpaca")}
    engines.registry = replace(engines.registry, checkpoints=framed)
    seen = {}
    for choice in BasePrompt:
        plan = build_plan(engines, "Why?", ["base", "lft"], base_prompt=choice, decoding=Decoding())
        base, tuned = plan.columns
        assert bytes(tuned.prompt_ids).startswith(b"Below is an instruction")
        assert base.prompt_ids == base.reference_prompt_ids == tuned.reference_prompt_ids
        seen[choice] = bytes(base.prompt_ids).decode()
        assert (tuned.reference_prompt_ids == tuned.prompt_ids) is (choice is BasePrompt.SAME_IDS)
    assert seen[BasePrompt.PLAIN] == "Why?"
    assert seen[BasePrompt.FEW_SHOT].endswith("Question: Why?\nAnswer:")


def forked(engines: ScriptedEngines, *names: str, prefix: bytes = b"Ab", max_tokens: int = 8) -> Plan:
    plan = plan_for(engines, *names, max_tokens=max_tokens)
    return replace(plan, columns=tuple(replace(column, prefix_ids=tuple(prefix)) for column in plan.columns))


def test_a_branch_gives_its_prefix_first_and_the_engine_goes_on_from_there(tmp_path: Path) -> None:
    engines = scripted_engines(tmp_path)
    plan = forked(engines, "lft")
    events = run(engines, plan)
    (request,) = engines.engine.requests
    assert bytes(request.prompt_ids) == bytes(request.reference_prompt_ids) == b"Why?Ab"
    arrived = [event for event in events if isinstance(event, TokenArrived)]
    assert [event.token.index for event in arrived] == list(range(10))
    assert "".join(event.text for event in arrived) == "AbA kettle"
    # The given tokens wait for their scores, the drawn ones bring theirs.
    assert [event.token.shift is None for event in arrived] == [True] * 2 + [False] * 8
    answer = Fold(plan, lambda _: engines.engine.tokenizer.token_bytes).take(events).answer(0)
    assert (answer.prefix, answer.text, answer.state) == (2, "AbA kettle", RunState.DONE)


def test_a_branch_is_scored_whole_at_its_end(pending: ScriptedEngines) -> None:
    plan = forked(pending, "lft", prefix=b"p" * 40, max_tokens=4)
    done = of_column(run(pending, plan), 0)[-1]
    assert [shift.id for shift in done.scores.tokens] == [*b"p" * 40, *b"abcd"]
    assert pending.engine.scored[-1] == (44, 100)
    # The prefix was scored beside the stream, before its end.
    assert pending.engine.scored[0][1] == 20


def test_a_branch_that_fails_keeps_the_scores_of_its_first_tokens_in_order(tmp_path: Path) -> None:
    dies = Script(fail_at=3, pause_s=0.01, error=EngineUnavailableError("The server went away."))
    engines = scripted_engines(tmp_path, base=Script(base_ranks=(1,)), lft=dies)
    failed = of_column(run(engines, forked(engines, "lft")), 0)[-1]
    assert isinstance(failed, ColumnFailed)
    # Two given tokens, scored beside the stream, and the three that arrived with their shifts.
    assert bytes(shift.id for shift in failed.scores.tokens) == b"AbA k"
