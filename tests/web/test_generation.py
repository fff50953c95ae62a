"""Responses generated in the background: watched, stopped, resumed, tried again; each stored once or said why not."""

import asyncio
from dataclasses import replace
from types import MappingProxyType

import pytest
from bs4 import BeautifulSoup
from sqlmodel import select

from app.db import reading, writing
from app.errors import ConflictError, EngineError
from app.studies import generate
from app.studies.generate import generate_missing
from models import (
    Arm,
    GenerationState,
    Item,
    ItemResponse,
    Response,
    ResponseFailure,
    Study,
    StudyEvent,
    StudyState,
    Trace,
)
from tests.web.generation_help import count, ended, make_draft, page, post, runs, script, until, words
from tests.web.setup_help import lines, make, send_file


@pytest.fixture
def draft(database, alice):
    return make_draft(database, alice)


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
    assert overview.select_one(f'.opening a[href="/studies/{draft.id}/generation"]').text.startswith("Generation")


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
