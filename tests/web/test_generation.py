"""Responses generated in the background: watched, stopped, resumed, tried again; each stored once or said why not."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType

import pytest
from bs4 import BeautifulSoup
from sqlmodel import func, select

from app.db import reading, writing
from app.demo.seed import add_demo_study, answer_demo_study
from app.errors import ConflictError, EngineError, EngineUnavailableError
from app.studies import generate, generation
from app.studies.design import NewArm
from app.studies.generate import generate_missing
from app.studies.generation_rules import LOST_AFTER
from app.studies.generation_tasks import Generations
from app.studies.queries import create_study, get_study
from models import (
    Arm,
    GenerationRun,
    GenerationState,
    Item,
    ItemResponse,
    LeakDecision,
    LeakFlag,
    LeakKind,
    Response,
    ResponseFailure,
    Study,
    StudyEvent,
    StudyState,
    Trace,
)
from models.base import now
from tests.web.setup_help import a_form, arm, lines, make, send_file

PROMPTS = ("One?", "Two?", "Three?")
PATIENCE_S = 30


@pytest.fixture
def draft(database, alice):
    return make_draft(database, alice)


def make_draft(database, alice, *, prompts=PROMPTS, arms=("base", "lft", "sft"), slug="draft"):
    with writing(database) as session:
        decoding = {"max_tokens": 200, "temperature": 0.0, "seed": 0}
        return create_study(
            session, name="Draft", slug=slug, prompts=list(prompts), pairs=[(arms[0], arms[1])], guidelines="",
            arms=[NewArm(name, name, decoding) for name in arms], overlap=1, created_by=alice.id,
        )  # fmt: skip


def post(client, study, what="start", headers=None, **form):
    return client.post(f"/studies/{study.id}/generation/{what}", data=form, headers=headers)


def page(client, study, headers=None, said=""):
    answer = client.get(f"/studies/{study.id}/generation", params={"said": said}, headers=headers)
    assert answer.status_code == 200, answer.text[-400:]
    return BeautifulSoup(answer.text, "html.parser")


def words(element):
    return " ".join(element.get_text(" ").split())


def runs(database):
    with reading(database) as session:
        return session.exec(select(GenerationRun).order_by(GenerationRun.created_at)).all()


def count(database, table):
    with reading(database) as session:
        return session.exec(select(func.count()).select_from(table)).one()


def until(true, what):
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, f"{what} did not come in {PATIENCE_S} s"
        time.sleep(0.02)


def ended(database):
    until(lambda: all(run.state is not GenerationState.RUNNING for run in runs(database)), "the end of the run")
    return runs(database)[-1]


def script(engines, name, **over):
    engines.engine.scripts[name] = replace(engines.engine.scripts[name], **over)


def distinct(engines):
    """Let every checkpoint say something of its own, so that nothing looks the same everywhere."""
    for name in engines.engine.scripts:
        script(engines, name, text=f"A kettle that {name[::-1]} filled boils faster.")


def test_everything_missing_is_generated_in_the_background(researcher, database, draft, htmx):
    start = page(researcher, draft)
    assert "9 responses missing" in words(start)
    answer = post(researcher, draft, headers=htmx)
    assert answer.status_code == (200 if htmx else 303)
    assert answer.headers.get("location") == (None if htmx else f"/studies/{draft.id}/generation")
    assert "<html" not in answer.text
    run = ended(database)
    assert (run.state, run.done, run.total) == (GenerationState.DONE, 9, 9)
    assert count(database, ItemResponse) == count(database, Response) == count(database, Trace) == 9
    done = page(researcher, draft, headers=htmx)
    assert "Everything is generated" in words(done)
    assert "3 of 3" in words(done.select_one(".generation-arms"))
    # Nothing runs, so nothing is asked for again and again.
    assert done.select_one("#generation").get("hx-trigger") is None
    with reading(database) as session:
        said = session.exec(select(StudyEvent.detail).where(StudyEvent.action == "generation")).all()
    assert said[0] == "Began to generate 9 responses."
    assert "9 responses of 9 generated." in said[1]


def test_a_running_page_polls_and_reads_out_only_what_is_new(researcher, database, draft, scripted_engines):
    script(scripted_engines, "sft", stall_at=3)
    post(researcher, draft)
    until(lambda: count(database, ItemResponse) == 6, "six responses")
    htmx = {"HX-Request": "true"}
    running = page(researcher, draft, headers=htmx)
    area = running.select_one("#generation")
    assert area["hx-trigger"] == "every 2s, refresh"
    assert "6 of 9" in words(area)
    assert "a minute" in words(area)
    spoken = running.select_one("#generation-said").text
    assert spoken == "Generating: 60 per cent done."
    assert page(researcher, draft, headers=htmx, said=spoken).select_one("#generation-said") is None
    # The whole page brings the place for what is read out, empty.
    assert page(researcher, draft).select_one("#generation-said").text == ""
    researcher.portal.call(scripted_engines.engine.release.set)
    assert ended(database).done == 9


def test_a_second_start_is_refused_in_words_wherever_the_first_runs(
    researcher, database, draft, scripted_engines, htmx, monkeypatch
):
    monkeypatch.setattr(generate, "HEARTBEAT_S", 0.1)
    script(scripted_engines, "sft", stall_at=3)
    post(researcher, draft)
    answer = post(researcher, draft, headers=htmx)
    assert answer.status_code == 409
    assert "Responses are being generated for this study." in answer.text
    with pytest.raises(ConflictError, match="are being generated"):
        asyncio.run(generate_missing(database, scripted_engines, "draft", on_progress=lambda _: None))
    # Nor may what is asked change, or the study open, meanwhile.
    assert researcher.post(f"/studies/{draft.id}/state", data={"state": "open"}).status_code == 409
    assert researcher.post(f"/studies/{draft.id}/delete", data={"confirm": "yes"}).status_code == 409
    assert len(runs(database)) == 1


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
    for name in ("base", "lft", "sft"):
        script(scripted_engines, name, stall_at=None)
    researcher.portal.call(scripted_engines.engine.release.set)
    until(lambda: count(database, ItemResponse) == 72, "all of both")
    ended(database)
    assert len(scripted_engines.engine.requests) == 72


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


def test_stopping_keeps_what_is_there_and_resuming_brings_the_rest(researcher, database, draft, scripted_engines, htmx):
    script(scripted_engines, "sft", stall_at=3)
    post(researcher, draft)
    until(lambda: count(database, ItemResponse) == 6, "six responses")
    answer = post(researcher, draft, "stop", headers=htmx)
    assert answer.status_code == (200 if htmx else 303)
    run = ended(database)
    assert (run.state, run.done) == (GenerationState.STOPPED, 6)
    assert "Stopped by Alice." in run.message
    # The engine was let go of at once.
    until(lambda: scripted_engines.engine.closed == 3, "the end of three streams")
    stopped = page(researcher, draft, headers=htmx)
    assert words(stopped.select_one("#generation-start")) == "Resume: 3 responses to go"
    # A second press finds nothing to stop, and that is no mistake.
    assert post(researcher, draft, "stop").status_code == 303
    script(scripted_engines, "sft", stall_at=None)
    post(researcher, draft, headers=htmx)
    assert ended(database).state is GenerationState.DONE
    assert count(database, ItemResponse) == count(database, Response) == 9


def test_a_failure_names_the_response_and_the_reason_and_the_others_go_on(
    researcher, database, draft, scripted_engines, htmx
):
    script(scripted_engines, "lft", fail_at=2, error=EngineError("lft ran out of memory.", remedy="Free some."))
    post(researcher, draft, headers=htmx)
    run = ended(database)
    assert (run.state, run.done) == (GenerationState.FAILED, 6)
    assert run.message.startswith("3 of 9 could not be generated. lft ran out of memory. Free some. (3 times)")
    # No half response is kept.
    assert count(database, Response) == 6
    failed = page(researcher, draft, headers=htmx)
    listed = [words(one) for one in failed.select(".generation-failures > li")]
    assert [text.partition(" lft ran")[0] for text in listed] == [
        "Item 1, lft One?", "Item 2, lft Two?", "Item 3, lft Three?"
    ]  # fmt: skip
    assert "lft ran out of memory. Free some. 1 attempt, the last" in listed[0]
    assert "0 of 3 0 3 failed" in words(failed.select_one(".generation-arms"))

    # One alone, which fails again, then all of them.
    form = {field["name"]: field["value"] for field in failed.select(".generation-failures li:nth-child(2) input")}
    assert post(researcher, draft, "retry", headers=htmx, **form).status_code == (200 if htmx else 303)
    assert ended(database).total == 1
    with reading(database) as session:
        attempts = session.exec(select(ResponseFailure.attempts).order_by(ResponseFailure.attempts)).all()
    assert attempts == [1, 1, 2]
    script(scripted_engines, "lft", fail_at=None, error=None)
    post(researcher, draft, "retry", headers=htmx)
    run = ended(database)
    assert (run.state, run.done, run.total) == (GenerationState.DONE, 3, 3)
    assert (count(database, ResponseFailure), count(database, ItemResponse)) == (0, 9)


def test_only_what_failed_is_tried_again(researcher, database, draft, alice):
    other = make_draft(database, alice, slug="other")
    post(researcher, draft)
    ended(database)
    with reading(database) as session:
        item = session.exec(select(Item.id).where(Item.study_id == draft.id)).first()
        arm = session.exec(select(Arm.id).where(Arm.study_id == draft.id)).first()
    assert post(researcher, draft, "retry", item_id=item, arm_id=arm).status_code == 404
    assert post(researcher, draft, "retry").status_code == 409
    assert post(researcher, draft).status_code == 409
    assert count(database, ItemResponse) == 9
    assert words(page(researcher, other)).count("3 missing") == 3


def test_a_checkpoint_that_is_gone_fails_by_name_and_the_others_answer(
    researcher, database, draft, scripted_engines, htmx
):
    known = {name: one for name, one in scripted_engines.registry.checkpoints.items() if name != "lft"}
    scripted_engines.registry = replace(scripted_engines.registry, checkpoints=MappingProxyType(known))
    warned = page(researcher, draft, headers=htmx)
    assert "The checkpoint lft of lft is not in the registry" in words(warned)
    post(researcher, draft, headers=htmx)
    run = ended(database)
    assert (run.state, run.done) == (GenerationState.FAILED, 6)
    with reading(database) as session:
        failures = session.exec(select(ResponseFailure)).all()
    assert len(failures) == 3
    assert all(
        "There is no checkpoint 'lft'." in one.sentence and "knows: base, sft" in one.sentence for one in failures
    )


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
    assert f"{before} new leak flags wait for a decision." in run.message
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

    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(command(scripted_engines), 2))
    (run,) = runs(database)
    assert (run.state, run.done, run.message) == (GenerationState.INTERRUPTED, 6, generation.INTERRUPTED)
    script(scripted_engines, "sft", stall_at=None)
    assert asyncio.run(command(scripted_engines)) == 3
    assert count(database, Response) == count(database, ItemResponse) == 9


def test_a_command_waits_for_one_that_was_killed_until_it_counts_as_lost(
    database, draft, scripted_engines, monkeypatch
):
    monkeypatch.setattr(generate, "HEARTBEAT_S", 0.05)
    with writing(database) as session:
        killed = generation.claim(session, get_study(session, draft.id), now=now()).run_id
        session.get_one(GenerationRun, killed).touched_at = now() - LOST_AFTER + timedelta(seconds=1)
    started = time.monotonic()
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


def test_what_is_being_judged_gets_no_unread_responses(researcher, database, draft, htmx):
    with writing(database) as session:
        session.get_one(Study, draft.id).state = StudyState.OPEN
    shown = page(researcher, draft, headers=htmx)
    assert "Pause it on its overview to generate the rest." in words(shown)
    assert shown.select_one("#generation-start") is None
    assert "Pause it first." in post(researcher, draft, headers=htmx).text
    with writing(database) as session:
        session.get_one(Study, draft.id).state = StudyState.CLOSED
    assert post(researcher, draft, headers=htmx).status_code == 409
    assert "The study is closed." in words(page(researcher, draft, headers=htmx))
    with writing(database) as session:
        session.get_one(Study, draft.id).state = StudyState.PAUSED
    post(researcher, draft, headers=htmx)
    assert ended(database).state is GenerationState.DONE


def test_a_study_with_holes_leads_to_its_generation(researcher, database, draft):
    refused = researcher.post(f"/studies/{draft.id}/state", data={"state": "open"})
    assert refused.status_code == 409
    assert "9 responses are missing" in refused.text
    assert "under Generation" in refused.text
    overview = BeautifulSoup(researcher.get(f"/studies/{draft.id}").text, "html.parser")
    assert overview.select_one(f'.banner a[href="/studies/{draft.id}/generation"]').text == "Generate them"


def test_saving_a_complete_setup_leads_to_its_generation(researcher):
    study_id = make(researcher)
    saved = BeautifulSoup(researcher.get(f"/studies/{study_id}/setup?saved=yes").text, "html.parser")
    assert saved.select_one(f'main p a[href="/studies/{study_id}/generation"]') is not None


def test_an_empty_study_is_led_to_what_it_lacks(researcher, database, htmx):
    study_id = make(researcher, prompts="", arms=({},))
    with reading(database) as session:
        study = session.get_one(Study, study_id)
    assert "There are no prompts to answer yet. Add prompts in the set-up" in words(
        page(researcher, study, headers=htmx)
    )
    send_file(researcher, study_id, "prompts", "One?\nTwo?\n", name="prompts.txt")
    assert "Nobody answers yet: the study has no arms." in words(page(researcher, study, headers=htmx))
    send_file(researcher, study_id, "responses", lines({"prompt": "One?", "response": "1."}), arm="lab")
    imported = words(page(researcher, study, headers=htmx))
    assert "All arms were imported" in imported
    assert "1 response of imported arms is missing, which no checkpoint can generate." in imported
    answer = post(researcher, study, headers=htmx)
    assert answer.status_code == 409
    assert "There is nothing to generate" in answer.text


def test_hostile_prompts_and_reasons_stay_text(researcher, database, draft, scripted_engines):
    with writing(database) as session:
        item = session.exec(select(Item).where(Item.study_id == draft.id)).first()
        item.prompt = '<img src=x hx-get="/logout" onerror=alert(1)>'
    script(scripted_engines, "sft", fail_at=0, error=EngineError("<script>alert(1)</script>"))
    post(researcher, draft)
    ended(database)
    shown = page(researcher, draft)
    assert shown.select("#generation img, #generation script, #generation [onerror]") == []
    assert shown.select_one(".generation-failures [hx-disable]").text.startswith("<img")
