"""Scoring a whole study as durable work: every response once, whoever dies, pauses, or answers too late."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
import structlog
from bs4 import BeautifulSoup
from sqlmodel import col, func, select

from app.db import reading, writing
from app.engines.traffic import Traffic
from app.errors import ConflictError, EngineUnavailableError
from app.studies import scoring, scoring_work
from app.studies.copies import delete_draft
from app.studies.design import NewArm
from app.studies.generate import generate_missing
from app.studies.queries import create_study, get_study
from app.studies.scoring_rules import LEASE, MOST_ATTEMPTS, progress, tried_again_at
from app.studies.scoring_work import Scorings
from models import BasePrompt, ScoringRun, ScoringState, ScoringTask, TaskState, Trace
from models.base import now
from tests.factories import make_response
from tests.web.generation_help import until, words

ITEMS, ARMS = 4, ("lft", "sft")
ALL = ITEMS * len(ARMS)


@pytest.fixture
def draft(database, alice, scripted_engines):
    with writing(database) as session:
        decoding = {"max_tokens": 20, "temperature": 0.0, "seed": 0}
        study = create_study(
            session, name="Draft", slug="draft", prompts=[f"Item {n}?" for n in range(ITEMS)], pairs=[ARMS],
            guidelines="", arms=[NewArm(name, name, decoding) for name in ARMS], overlap=1, created_by=alice.id,
        )  # fmt: skip
    asyncio.run(generate_missing(database, scripted_engines, "draft", on_progress=lambda _: None))
    return study


def order(database, alice, study, *, reader="sft", base_prompt=BasePrompt.PLAIN):
    with writing(database) as session:
        found = get_study(session, study.id, alice)
        return scoring.order(session, found, reader=reader, base_prompt=base_prompt, user=alice, now=now())


def claim(database, worker, *, most=100, at=None):
    with writing(database) as session:
        return scoring.claim(session, worker, most=most, now=at or now())


def tasks(database, **where):
    with reading(database) as session:
        return list(session.exec(select(ScoringTask).filter_by(**where)))


def run_of(database):
    with reading(database) as session:
        return session.exec(select(ScoringRun).order_by(col(ScoringRun.created_at).desc())).first()


def traces(database, reader="sft", base_prompt=BasePrompt.PLAIN):
    query = select(func.count()).select_from(Trace).where(Trace.checkpoint == reader, Trace.base_prompt == base_prompt)
    with reading(database) as session:
        return session.exec(query).one()


def post(client, study, what="start", headers=None, **form):
    return client.post(f"/studies/{study.id}/scoring/{what}", data=form, headers=headers)


def page(client, study, headers=None):
    answer = client.get(f"/studies/{study.id}/scoring", headers=headers)
    assert answer.status_code == 200, answer.text[-400:]
    return BeautifulSoup(answer.text, "html.parser")


def ended(database):
    until(lambda: run_of(database).state not in {ScoringState.RUNNING, ScoringState.PAUSED}, "the end of the scoring")
    return run_of(database)


def test_a_whole_study_is_scored_in_the_background(researcher, database, draft, htmx):
    shown = words(page(researcher, draft))
    assert "each response's own checkpoint: 0 to read" in shown
    assert f"base: {ALL} to read" in shown
    answer = post(researcher, draft, headers=htmx, reader="sft", base_prompt="plain")
    assert answer.status_code == (200 if htmx else 303)
    assert ended(database).state is ScoringState.DONE
    assert traces(database) == ALL
    assert f"Done: {ALL} of {ALL} responses" in words(page(researcher, draft, htmx))
    answer = post(researcher, draft, headers=htmx, reader="sft", base_prompt="plain")
    assert answer.status_code == 409
    assert "nothing to score" in answer.text


def test_a_scoring_is_known_to_the_log_by_its_run(app, researcher, database, draft, scripted_engines, monkeypatch):
    known, score = [], scripted_engines.engine.score

    async def noted(*asked, **over):
        known.append(structlog.contextvars.get_contextvars())
        return await score(*asked, **over)

    monkeypatch.setattr(scripted_engines.engine, "score", noted)
    post(researcher, draft, reader="sft", base_prompt="plain")
    # Whose press of a button woke the work does not matter: it may be work of another study, or another day.
    assert known == [{"run": ended(database).id}] * ALL


def test_a_run_is_paused_resumed_and_cancelled(app, researcher, database, draft, scripted_engines, htmx):
    script = scripted_engines.engine.scripts["sft"]
    # One at a time and slowly, so that the pause comes long before the end.
    app.state.scorings._at_once, script.score_pause_s = 1, 1.0
    post(researcher, draft, reader="sft", base_prompt="plain")
    until(lambda: tasks(database, state=TaskState.DONE), "the first trace")
    post(researcher, draft, "pause", headers=htmx)
    until(lambda: not tasks(database, state=TaskState.CLAIMED), "the end of what was under way")
    kept = traces(database)
    assert 0 < kept < ALL
    shown = page(researcher, draft, htmx)
    assert f"Paused: {kept} of {ALL} responses" in words(shown)
    assert shown.select_one("#scoring").get("hx-get") is None
    assert claim(database, "another") == []
    script.score_pause_s = 60
    post(researcher, draft, "resume", headers=htmx)
    until(lambda: tasks(database, state=TaskState.CLAIMED), "more work")
    scripted_engines.now = [Traffic("one:8001", streams=0, scorings=1, waiting_streams=0, waiting_scorings=3)]
    shown = page(researcher, draft, htmx)
    assert "Under way" in words(shown)
    (line,) = shown.select(".generation-servers li")
    assert words(line) == "one:8001: 1 scoring under way, 3 scorings wait for their turn."
    assert scripted_engines.told_of == ["sft"]
    post(researcher, draft, "cancel", headers=htmx)
    assert ended(database).state is ScoringState.CANCELLED
    assert "Cancelled by Alice." in words(page(researcher, draft))
    assert claim(database, "another") == []
    assert traces(database) == kept
    script.score_pause_s = 0
    post(researcher, draft, reader="sft", base_prompt="plain")
    assert ended(database).state is ScoringState.DONE
    assert traces(database) == ALL


def test_workers_beside_each_other_never_claim_one_response_twice(database, alice, draft):
    order(database, alice, draft)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: claim(database, f"worker {n}", most=1), range(3 * ALL)))
    claimed = [one.response_id for some in found for one in some]
    assert len(claimed) == len(set(claimed)) == ALL


def test_a_response_that_ends_every_process_that_reads_it_is_given_up(database, alice, draft, researcher):
    order(database, alice, draft)
    at, poison = now(), tasks(database)[0].response_id
    for _ in range(MOST_ATTEMPTS):
        assert len(claim(database, "dies", at=at)) == ALL
        with writing(database) as session:
            for task in session.exec(select(ScoringTask).where(ScoringTask.response_id != poison)):
                task.worker = "stops"
            assert scoring.release(session, "stops") == ALL - 1
        at += LEASE
    assert poison not in {one.response_id for one in claim(database, "lives", at=at)}
    (given_up,) = tasks(database, state=TaskState.FAILED)
    assert given_up.response_id == poison
    assert len(tasks(database, state=TaskState.CLAIMED, worker="lives", attempts=0)) == ALL - 1
    assert f"Each of {MOST_ATTEMPTS} servers that read it ended before it was done." in words(page(researcher, draft))


def test_what_a_dead_worker_had_claimed_is_claimed_again_when_its_lease_ends(database, alice, draft):
    order(database, alice, draft)
    began = now()
    assert len(claim(database, "dead", most=3, at=began)) == 3
    assert len(claim(database, "alive", at=began + LEASE / 2)) == ALL - 3
    assert claim(database, "alive", at=began + LEASE / 2) == []
    with writing(database) as session:
        assert len(scoring.renew(session, "alive", now=began + LEASE)) == ALL - 3
    assert len(claim(database, "alive", at=began + LEASE)) == 3
    with writing(database) as session:
        assert scoring.renew(session, "dead", now=began + LEASE) == set()


def test_a_clock_that_was_wrong_does_not_keep_a_response_for_ever(database, alice, draft):
    order(database, alice, draft)
    assert len(claim(database, "from the future", at=now() + timedelta(days=400))) == ALL
    assert len(claim(database, "alive")) == ALL


def test_a_worker_that_comes_too_late_stores_nothing(database, alice, draft, scripted_engines):
    order(database, alice, draft)
    late, swift = Scorings(database, scripted_engines), Scorings(database, scripted_engines)
    (mine, *_) = claim(database, late.worker, at=now() - 2 * LEASE)
    (same,) = [one for one in claim(database, swift.worker) if one == mine]

    async def both():
        await late._work(mine)
        assert traces(database) == 0
        await swift._work(same)
        await late._work(mine)

    asyncio.run(both())
    assert traces(database) == len(tasks(database, state=TaskState.DONE)) == 1


def test_several_processes_share_the_work_and_each_response_is_read_once(database, alice, draft, scripted_engines):
    order(database, alice, draft)

    async def together():
        workers = [Scorings(database, scripted_engines, at_once=2) for _ in range(3)]
        for worker in workers:
            worker.start()
        await asyncio.to_thread(ended, database)
        await asyncio.gather(*(worker.aclose() for worker in workers))

    asyncio.run(asyncio.wait_for(together(), 30))
    assert traces(database) == ALL
    assert len(scripted_engines.engine.readings) == ALL


def test_a_worker_that_stops_gives_back_what_it_claimed(database, alice, draft, scripted_engines):
    scripted_engines.engine.scripts["sft"] = replace(scripted_engines.engine.scripts["sft"], score_pause_s=60)
    order(database, alice, draft)

    async def stops():
        worker = Scorings(database, scripted_engines)
        worker.start()
        await asyncio.to_thread(until, lambda: tasks(database, state=TaskState.CLAIMED), "a claim")
        await worker.aclose()

    asyncio.run(asyncio.wait_for(stops(), 30))
    assert len(tasks(database, state=TaskState.WAITING, worker="")) == ALL


def test_a_server_that_is_down_is_waited_for_and_then_given_up(database, alice, draft, scripted_engines):
    order(database, alice, draft)
    scripted_engines.engine.scripts["sft"].error = EngineUnavailableError("The server is down.")
    worker, clock = Scorings(database, scripted_engines), now()
    for attempt in range(1, MOST_ATTEMPTS + 1):
        claimed = claim(database, worker.worker, at=clock)
        assert len(claimed) == ALL, attempt
        for one in claimed:
            asyncio.run(worker._work(one))
        assert claim(database, worker.worker) == []
        clock = max((task.lease_until for task in tasks(database) if task.lease_until), default=clock)
    assert run_of(database).state is ScoringState.FAILED
    assert {task.sentence for task in tasks(database, state=TaskState.FAILED)} == {"The server is down."}


def test_what_failed_is_retried_by_hand_and_the_page_says_why(researcher, database, draft, scripted_engines, htmx):
    script = scripted_engines.engine.scripts["sft"]
    script.error = ValueError("a mistake")
    post(researcher, draft, reader="sft", base_prompt="plain")
    assert ended(database).state is ScoringState.FAILED
    shown = words(page(researcher, draft, htmx))
    assert f"{ALL} of {ALL} could not be scored." in shown
    assert f"unexpected error; the server's log has the details. ({ALL} times)" in shown
    script.error = None
    post(researcher, draft, "retry", headers=htmx)
    assert ended(database).state is ScoringState.DONE
    assert traces(database) == ALL


def test_orders_that_make_no_sense_are_refused(researcher, database, alice, draft):
    assert post(researcher, draft, reader="nobody").status_code == 404
    assert post(researcher, draft, reader="sft", base_prompt="loud").status_code == 422
    for what in ("pause", "resume", "cancel", "retry"):
        assert post(researcher, draft, what).status_code == 409
    order(database, alice, draft)
    with pytest.raises(ConflictError, match="are being scored"):
        order(database, alice, draft, reader="lft")


def test_text_without_tokens_is_left_out(database, alice, draft):
    with writing(database) as session:
        bare = make_response(session, checkpoint="", token_ids=[])
        task = session.exec(select(scoring.ItemResponse)).first()
        task.response_id = bare.id
        session.add(task)
    assert order(database, alice, draft).total == ALL - 1


def test_a_draft_is_deleted_with_its_orders(database, alice, draft):
    order(database, alice, draft)
    claim(database, "somebody")
    with writing(database) as session:
        delete_draft(session, get_study(session, draft.id), user_id=alice.id, confirmed=True)
    assert tasks(database) == []
    assert run_of(database) is None


def test_waits_grow_and_end():
    moment = now()
    waits = [tried_again_at(attempt, moment) for attempt in range(1, MOST_ATTEMPTS + 1)]
    assert [(wait - moment).total_seconds() for wait in waits[:-1]] == [5, 10, 20, 40, 80]
    assert waits[-1] is None
    found = progress(
        total=100, done=48, failed=2, claimed=4, again=1, lately=10, resumed_at=moment,
        now=moment + timedelta(minutes=1),
    )  # fmt: skip
    assert (found.ended, found.rate, found.left) == (50, "10.0 a minute", "about 5 min")


def test_the_work_goes_on_while_the_database_is_away(database, alice, draft, scripted_engines, monkeypatch):
    monkeypatch.setattr(scoring_work, "POLL_S", 0.02)
    order(database, alice, draft)
    real, failures = scoring.any_running, []

    def flaky(session):
        if len(failures) < 3:
            failures.append(1)
            raise OSError("away")
        return real(session)

    monkeypatch.setattr(scoring, "any_running", flaky)

    async def works():
        worker = Scorings(database, scripted_engines)
        worker.start()
        await asyncio.to_thread(ended, database)
        await worker.aclose()

    asyncio.run(asyncio.wait_for(works(), 30))
    assert traces(database) == ALL
