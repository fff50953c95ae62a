"""Runs wherever they live: one at a time, none stored twice, ended by servers and commands, scanned for leaks."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import structlog
from bs4 import BeautifulSoup
from sqlmodel import select

from app.db import reading, writing
from app.demo.seed import add_demo_study, answer_demo_study
from app.engines.traffic import Traffic, in_words
from app.errors import ConflictError, EngineError, EngineUnavailableError
from app.studies import generate, generation
from app.studies.generate import generate_missing
from app.studies.generation_rules import LOST_AFTER
from app.studies.generation_tasks import Generations
from app.studies.queries import get_study
from models import (
    GenerationRun,
    GenerationState,
    ItemResponse,
    LeakDecision,
    LeakFlag,
    LeakKind,
    Response,
    ResponseFailure,
    Study,
    StudyState,
    Trace,
)
from models.base import now
from tests.patience import PATIENCE_S
from tests.web.generation_help import (
    count,
    distinct,
    ended,
    make_draft,
    page,
    post,
    runs,
    script,
    until,
    words,
)
from tests.web.setup_help import a_form, arm, make


@pytest.fixture
def draft(database, alice):
    return make_draft(database, alice)


def test_a_run_without_a_page_is_known_to_the_log_by_its_own_id(database, draft, scripted_engines, monkeypatch):
    known, stream = [], scripted_engines.engine.stream

    def noted(request):
        known.append(structlog.contextvars.get_contextvars())
        return stream(request)

    monkeypatch.setattr(scripted_engines.engine, "stream", noted)
    asyncio.run(generate_missing(database, scripted_engines, draft.slug, on_progress=lambda _: None))
    assert known
    assert all(one == {"run": runs(database)[0].id} for one in known)


def test_two_studies_take_turns_and_ask_no_more_of_the_engines_than_one(
    researcher, database, alice, draft, scripted_engines
):
    prompts = [f"Question {n}?" for n in range(12)]
    first, second = (make_draft(database, alice, prompts=prompts, slug=slug) for slug in ("first", "second"))
    for name in ("base", "lft", "sft"):
        script(scripted_engines, name, stall_at=1)
    post(researcher, first)
    post(researcher, second)
    until(lambda: len(scripted_engines.engine.requests) == 30, "ten items of three arms")
    time.sleep(0.3)
    assert len(scripted_engines.engine.requests) == 30
    assert "Turns taken with 1 other run" in words(page(researcher, first))
    for name in ("base", "lft", "sft"):
        script(scripted_engines, name, stall_at=None)
    researcher.portal.call(scripted_engines.engine.release.set)
    until(lambda: count(database, ItemResponse) == 72, "all of both")
    ended(database)
    assert len(scripted_engines.engine.requests) == 72


def test_while_it_runs_the_page_says_what_each_server_is_asked_and_which_is_full_or_away(
    researcher, database, alice, scripted_engines, htmx
):
    study = make_draft(database, alice, arms=("base", "sft"))
    full = Traffic("one:8001", streams=64, scorings=1, waiting_streams=12, waiting_scorings=0, most=64)
    away = Traffic(
        "two:8002", streams=0, scorings=0, waiting_streams=0, waiting_scorings=0,
        trouble="set aside, tried again in 8 s (it cannot be reached);",
    )  # fmt: skip
    scripted_engines.now = [full, away]
    assert "Servers" not in words(page(researcher, study, htmx))
    script(scripted_engines, "sft", stall_at=1)
    post(researcher, study)
    until(lambda: count(database, ItemResponse) == 3, "the responses of base")
    shown = page(researcher, study, htmx)
    assert [words(line) for line in shown.select(".generation-servers li")] == [in_words(full), in_words(away)]
    # Base has answered; only who is still to answer is told of.
    assert scripted_engines.told_of == ["sft"]
    script(scripted_engines, "sft", stall_at=None)
    researcher.portal.call(scripted_engines.engine.release.set)
    ended(database)
    assert "Servers" not in words(page(researcher, study, htmx))


def test_a_run_of_a_command_says_that_its_requests_are_not_counted_here(researcher, database, draft, scripted_engines):
    with writing(database) as session:
        assert generation.claim(session, get_study(session, draft.id), now=now())
    scripted_engines.now = [Traffic("one:8001", 1, 0, 0, 0)]
    shown = page(researcher, draft)
    assert "It runs in another process" in words(shown)
    assert not shown.select(".generation-servers")


def test_of_many_who_claim_at_once_one_gets_the_run(database, draft):
    def claim(_):
        try:
            with writing(database) as session:
                return generation.claim(session, get_study(session, draft.id), now=now())
        except ConflictError:
            return None

    with ThreadPoolExecutor(20) as pool:
        claimed = [one for one in pool.map(claim, range(60)) if one]
    assert len(claimed) == len(runs(database)) == 1
    assert len(claimed[0].holes) == 9


def test_a_dead_engine_is_not_asked_for_ever(database, alice, scripted_engines):
    study = make_draft(database, alice, prompts=[f"Question {n}?" for n in range(25)], arms=("base", "sft"))
    script(scripted_engines, "sft", fail_at=0, error=EngineUnavailableError("The server of sft is down."))
    with pytest.raises(EngineError, match=r"25 of 50 could not be generated.*is down.*run it again"):
        asyncio.run(generate_missing(database, scripted_engines, study.slug, on_progress=lambda _: None))
    with reading(database) as session:
        sentences = session.exec(select(ResponseFailure.sentence)).all()
    asked = "The server of sft is down."
    assert sorted(set(sentences)) == sorted({asked, f"Not asked, because the 10 before it failed: {asked}"})
    assert sentences.count(asked) == 10
    assert sum(request.checkpoint == "sft" for request in scripted_engines.engine.requests) == 10
    assert count(database, ItemResponse) == 25


def test_a_mistake_of_ours_ends_the_run_and_says_so(researcher, database, draft, monkeypatch):
    def broken(*_args, **_more):
        raise OSError("disk full")

    monkeypatch.setattr(generate, "store_response", broken)
    post(researcher, draft)
    run = ended(database)
    assert run.state is GenerationState.FAILED
    assert "unexpected error" in run.message
    assert count(database, Response) == count(database, ItemResponse) == 0


def test_what_is_new_is_scanned_and_its_flags_wait(researcher, database, draft, scripted_engines, htmx):
    distinct(scripted_engines)
    script(scripted_engines, "lft", text="As an AI language model, I boil water.")
    script(scripted_engines, "sft", fail_at=1, error=EngineError("sft died."))
    post(researcher, draft, headers=htmx)
    run = ended(database)
    assert run.state is GenerationState.FAILED
    before = count(database, LeakFlag)
    assert before >= 3
    assert f"{before} new leak flags found." in run.message
    # What came after a scan is scanned too.
    script(scripted_engines, "sft", text="As an AI language model, I cool it.", fail_at=None, error=None)
    post(researcher, draft, headers=htmx)
    run = ended(database)
    assert run.state is GenerationState.DONE
    assert count(database, LeakFlag) >= before + 3
    with reading(database) as session:
        assert "" not in session.exec(select(ItemResponse.scanned_with)).all()
    shown = page(researcher, draft, headers=htmx)
    assert shown.select_one(f'a[href="/studies/{draft.id}/leaks"]') is not None
    assert "for a decision before the study can open." in words(shown)


def test_responses_that_were_replaced_are_scanned_again(researcher, database, scripted_engines):
    script(scripted_engines, "lft", text="As an AI language model, I boil water.")
    study_id = make(researcher, arms=(arm("lft"), arm("sft")))
    with reading(database) as session:
        study = session.get_one(Study, study_id)
    post(researcher, study)
    ended(database)

    def scanned():
        with reading(database) as session:
            shown = select(ItemResponse.response_id)
            flagged = session.exec(select(LeakFlag.response_id).where(LeakFlag.kind == LeakKind.SELF_IDENTIFICATION))
            return set(session.exec(shown)), set(flagged), set(session.exec(select(ItemResponse.scanned_with)))

    before, flags, versions = scanned()
    assert flags < before
    assert len(flags) == 2
    # Another decoding: its responses are no longer what the study says, and are made anew.
    changed = a_form(arms=(arm("lft", max_tokens="63"), arm("sft")), slug=study.slug)
    assert researcher.post(f"/studies/{study_id}/setup", data=changed).status_code == 303
    post(researcher, study)
    ended(database)
    after, new_flags, new_versions = scanned()
    assert len(after - before) == 2
    assert new_flags == after - before
    assert new_versions == versions
    assert len(versions) == 1


def test_a_scan_that_fails_does_not_undo_the_responses(researcher, database, draft, monkeypatch):
    def broken(*_args):
        raise OSError("disk full")

    monkeypatch.setattr(generate, "scan_study", broken)
    post(researcher, draft)
    run = ended(database)
    assert (run.state, run.done) == (GenerationState.DONE, 9)
    assert "The leak scan failed" in run.message


def test_the_command_line_runs_beside_the_page_and_is_stopped_from_it(
    researcher, database, draft, scripted_engines, monkeypatch
):
    monkeypatch.setattr(generate, "HEARTBEAT_S", 0.05)
    script(scripted_engines, "sft", stall_at=3)
    with ThreadPoolExecutor(1) as pool:
        work = generate_missing(database, scripted_engines, "draft", on_progress=lambda _: None)
        command = pool.submit(asyncio.run, work)
        until(lambda: count(database, ItemResponse) == 6, "six responses")
        running = page(researcher, draft)
        assert "from the command line" in words(running)
        assert post(researcher, draft).status_code == 409
        post(researcher, draft, "stop")
        with pytest.raises(ConflictError, match=r"was stopped.*run it again"):
            command.result(PATIENCE_S)
    assert runs(database)[-1].state is GenerationState.STOPPED
    assert count(database, Response) == 6


def test_a_run_that_lost_its_server_is_shown_interrupted_and_resumed(
    researcher, database, draft, scripted_engines, htmx
):
    with writing(database) as session:
        old = generation.claim(session, get_study(session, draft.id), now=now())
        row = session.get_one(GenerationRun, old.run_id)
        row.touched_at = now() - LOST_AFTER - timedelta(seconds=1)
    lost = page(researcher, draft, headers=htmx)
    assert "Interrupted. 0 of 9 responses generated." in words(lost)
    assert words(lost.select_one("#generation-start")) == "Resume: 9 responses to go"
    assert post(researcher, draft, headers=htmx).status_code == (200 if htmx else 303)
    assert ended(database).state is GenerationState.DONE
    assert [run.state for run in runs(database)] == [GenerationState.INTERRUPTED, GenerationState.DONE]

    # The one taken for dead wakes up: it stores nothing, and says why.
    with pytest.raises(generation.RunEndedError):
        asyncio.run(generate.run_claimed(database, scripted_engines, old))
    assert count(database, Response) == count(database, ItemResponse) == 9


def overview(client, study):
    return BeautifulSoup(client.get(f"/studies/{study.id}").text, "html.parser")


def test_a_study_says_that_its_generation_was_interrupted_and_resumes_it_with_one_press(
    researcher, database, draft, alice, scripted_engines
):
    assert overview(researcher, draft).select_one("#generation-resume") is None
    with writing(database) as session:
        generation.claim(session, get_study(session, draft.id), user=alice, now=now())
    assert overview(researcher, draft).select_one("#generation-resume") is None
    # What the next start of the process with the models does.
    Generations(database)
    button = overview(researcher, draft).select_one("#generation-resume")
    assert words(button) == "Resume: 9 responses to go"
    assert "ended after 0 of 9 responses, which are kept" in words(button.find_parent(class_="banner"))
    form = button.find_parent("form")
    assert researcher.post(form["action"]).headers["location"] == f"/studies/{draft.id}/generation"
    assert ended(database).state is GenerationState.DONE
    assert overview(researcher, draft).select_one("#generation-resume") is None


def test_an_open_study_is_not_offered_what_it_would_be_refused(researcher, database, draft, alice):
    with writing(database) as session:
        generation.claim(session, get_study(session, draft.id), user=alice, now=now())
        generation.interrupt_unfinished(session, now=now())
    assert overview(researcher, draft).select_one("#generation-resume")
    with writing(database) as session:
        session.get_one(Study, draft.id).state = StudyState.OPEN
    assert overview(researcher, draft).select_one("#generation-resume") is None


def test_a_server_marks_at_its_start_what_it_left_and_leaves_a_live_command_alone(database, draft, alice):
    other = make_draft(database, alice, slug="other")
    with writing(database) as session:
        mine = generation.claim(session, get_study(session, draft.id), user=alice, now=now())
        command = generation.claim(session, get_study(session, other.id), now=now())
    Generations(database)
    with reading(database) as session:
        states = {run: session.get_one(GenerationRun, run).state for run in (mine.run_id, command.run_id)}
    assert states == {mine.run_id: GenerationState.INTERRUPTED, command.run_id: GenerationState.RUNNING}


def test_a_shutdown_interrupts_without_half_responses(database, draft, alice, scripted_engines):
    script(scripted_engines, "sft", stall_at=3)

    async def serve_and_end():
        tasks = Generations(database)
        with writing(database) as session:
            claimed = generation.claim(session, get_study(session, draft.id), user=alice, now=now())
        tasks.start(claimed, scripted_engines)
        while count(database, ItemResponse) < 6:  # noqa: ASYNC110  what is waited for is in the database
            await asyncio.sleep(0.02)
        await tasks.aclose()

    asyncio.run(serve_and_end())
    (run,) = runs(database)
    assert (run.state, run.done) == (GenerationState.INTERRUPTED, 6)
    assert count(database, Response) == count(database, ItemResponse) == count(database, Trace) == 6
    assert scripted_engines.engine.closed == 3


def test_a_command_that_is_broken_off_is_interrupted_and_the_next_goes_on(database, draft, scripted_engines):
    script(scripted_engines, "sft", stall_at=3)

    def command(engines):
        return generate_missing(database, engines, draft.slug, on_progress=lambda _: None)

    async def broken_off():
        work = asyncio.create_task(command(scripted_engines))
        while count(database, ItemResponse) < 6:
            assert not work.done()
            await asyncio.sleep(0.02)
        work.cancel()
        await work

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(broken_off())
    (run,) = runs(database)
    assert (run.state, run.done, run.message) == (GenerationState.INTERRUPTED, 6, generation.INTERRUPTED)
    script(scripted_engines, "sft", stall_at=None)
    assert asyncio.run(command(scripted_engines)) == 3
    assert count(database, Response) == count(database, ItemResponse) == 9


def test_a_command_waits_for_one_that_was_killed_until_it_counts_as_lost(
    database, draft, scripted_engines, monkeypatch
):
    monkeypatch.setattr(generate, "HEARTBEAT_S", 0.05)
    started = time.monotonic()
    with writing(database) as session:
        killed = generation.claim(session, get_study(session, draft.id), now=now()).run_id
        session.get_one(GenerationRun, killed).touched_at = now() - LOST_AFTER + timedelta(seconds=1)
    assert asyncio.run(generate_missing(database, scripted_engines, draft.slug, on_progress=lambda _: None)) == 9
    assert time.monotonic() - started > 0.5
    assert [run.state for run in runs(database)] == [GenerationState.INTERRUPTED, GenerationState.DONE]


def test_the_demo_opens_with_its_flags_kept_by_its_researcher(database, scripted_engines):
    slug = add_demo_study(database, weights="f" * 16)
    added = asyncio.run(answer_demo_study(database, scripted_engines, slug, on_progress=lambda _: None))
    assert added == count(database, ItemResponse) == 60
    with reading(database) as session:
        assert get_study(session, slug).state is StudyState.OPEN
        flags = session.exec(select(LeakFlag)).all()
        assert {flag.decision for flag in flags} == {LeakDecision.KEEP}
        assert all(flag.decided_by == get_study(session, slug).created_by for flag in flags)
    assert asyncio.run(answer_demo_study(database, scripted_engines, slug, on_progress=lambda _: None)) == 0
