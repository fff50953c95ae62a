"""What `/metrics` counts of comparisons, saves and generation, and what it never tells."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.db import writing
from models import GenerationRun, GenerationState
from tests.factories import fill_study
from tests.scripted_engine import Script
from tests.scripted_engine import scripted_engines as build_scripted_engines
from tests.web.judging_help import an_answer, take
from tests.web.test_explore_run import follow, start

# Metrics belong to the process, so that other tests have counted before: each test looks at what its own acts add.
CANARY = "canary-checkpoint"


@pytest.fixture
def scripted_engines(tmp_path):
    return build_scripted_engines(
        tmp_path / "tokenizer",
        base=Script(text="Hello.", base_ranks=(1,)),
        **{CANARY: Script(text="Hello.", fail_at=3, error=RuntimeError("gone"))},
    )


def counted(client):
    families = text_string_to_metric_families(client.get("/metrics").text)
    return {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}


def added(before, now, *key):
    return now[key] - before.get(key, 0)


def test_engines_are_counted_by_kind_and_never_by_name(researcher):
    before = counted(researcher)
    follow(researcher, start(researcher, "base", CANARY))
    now = counted(researcher)
    # Six letters and the end, and three before the failure.
    assert added(before, now, "tuneshift_tokens_total", "local") == 10
    assert added(before, now, "tuneshift_first_token_seconds_count", "local") == 2
    assert added(before, now, "tuneshift_answers_ended_total", "local", "done") == 1
    assert added(before, now, "tuneshift_answers_ended_total", "local", "failed") == 1
    assert now["tuneshift_answers_waiting", "local"] == 0
    assert now["tuneshift_streams_open",] == 0
    assert CANARY not in researcher.get("/metrics").text


def test_saves_are_timed_from_arrival_to_acknowledgement(annotator, database, study):
    with writing(database) as session:
        fill_study(session, study)
    before = counted(annotator)
    token = take(annotator, study)
    assert annotator.post(f"/judge/{token}/draft", json=an_answer()).status_code == 200
    assert annotator.post(f"/judge/{token}/draft", json=an_answer()).status_code == 409
    now = counted(annotator)
    assert added(before, now, "tuneshift_save_seconds_count", "draft") == 1
    assert added(before, now, "tuneshift_judgments_saved_total", "draft") == 1
    assert added(before, now, "tuneshift_save_seconds_bucket", "draft", "+Inf") == 1


def test_how_far_generation_is_and_how_large_the_database(anonymous, database, study, alice):
    with writing(database) as session:
        session.add(GenerationRun(study_id=study.id, total=40, done=15, created_by=alice.id))
        session.add(GenerationRun(study_id=study.id, total=9, done=9, state=GenerationState.DONE, created_by=alice.id))
    now = counted(anonymous)
    assert (now["tuneshift_generation_runs",], now["tuneshift_generation_wanted",]) == (1, 40)
    assert now["tuneshift_generation_stored",] == 15
    assert now["tuneshift_database_bytes",] > 100_000
    assert now["tuneshift_disk_free_bytes",] > 0
    assert now["tuneshift_processes_running",] == 1
