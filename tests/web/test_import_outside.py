"""Judgments of Arena, MT-bench and alpaca_eval come into a study whole, with the times they do not know left empty."""

import io
import json
import re

import pyarrow.parquet as pq
import pytest
from sqlmodel import func, select

from app.db import reading, writing
from app.results.queries import table_rows
from app.results.reading import read_tables
from app.results.report.columns import USED
from app.results.report.tables import tables_of_rows
from models import Arm, Exclusion, Item, Preference, Presentation, Response, Revision, Study, StudyState
from models.base import now
from tests.factories import fill_study, make_study
from tests.web.monitor_help import items_of, judge, person
from tests.web.test_judgment_import import preferences, rows, run, send, written
from tests.web.test_recompute import recompute, unpacked
from tests.web.test_results import cell, page_of
from tests.web.test_results_reading import same

__all__ = ["run"]

# Who judged, the prompt, which model stood first, what was answered: lft wins 3, loses 1, and there are 2 ties.
JUDGED = (
    ("ann", "Why?", "lft", "first"),
    ("ben", "Why?", "sft", "second"),
    ("cem", "Why?", "sft", "first"),
    ("ann", "=1+1", "lft", "tie"),
    ("ben", "=1+1", "lft", "first"),
    ("cem", "=1+1", "sft", "bad"),
)
LFT_RATE = "66.7 %"  # (3 + 2 / 2) / 6
SPOKEN = {"lft": "Answer 1 says: {}", "sft": "Answer 2 says: {}"}


def conversation(prompt, model):
    return [{"role": "user", "content": prompt}, {"role": "assistant", "content": SPOKEN[model].format(prompt)}]


def battle(who, prompt, first, answer, **more):
    second = "sft" if first == "lft" else "lft"
    return {
        "question_id": "q",
        "model_a": first,
        "model_b": second,
        "winner": {"first": "model_a", "second": "model_b", "tie": "tie", "bad": "tie (bothbad)"}[answer],
        "judge": who,
        "conversation_a": conversation(prompt, first),
        "conversation_b": conversation(prompt, second),
        "turn": 1,
    } | more


def arena():
    return [battle(*one, tstamp=1_682_352_000.5 + at, language="English") for at, one in enumerate(JUDGED)]


def mt_bench():
    return [battle(*one) | {"winner": "tie"} if one[3] == "bad" else battle(*one) for one in JUDGED]


def alpaca_eval():
    found = []
    for who, prompt, first, answer in JUDGED:
        second = "sft" if first == "lft" else "lft"
        found.append(
            {
                "instruction": prompt,
                "output_1": SPOKEN[first].format(prompt),
                "generator_1": first,
                "output_2": SPOKEN[second].format(prompt),
                "generator_2": second,
                "annotator": who,
                "preference": {"first": 1.0, "second": 2.0}.get(answer, 1.5),
            }
        )
    return [*found, found[0] | {"annotator": "dan", "preference": None}]


def sheet(some):
    return written(
        [{key: json.dumps(one) if isinstance(one, list) else one for key, one in row.items()} for row in some]
    )


FILES = {
    "arena": ("Chatbot Arena: clean battles", json.dumps(arena())),
    "arena lines": ("Chatbot Arena: clean battles", "\n".join(map(json.dumps, arena()))),
    "mt-bench": ("MT-bench: human judgments", json.dumps(mt_bench())),
    "mt-bench csv": ("MT-bench: human judgments", sheet(mt_bench())),
    "alpaca_eval": ("alpaca_eval: annotations", json.dumps(alpaca_eval())),
}


@pytest.fixture
def other(database, alice):
    """A study of the same prompts, arms and texts, judged by nobody."""
    with writing(database) as session:
        one = make_study(session, owner=alice, slug="other", name="Other")
        fill_study(session, one, prompts=("Why?", "Name two rivers.", "=1+1"))
        return one


@pytest.fixture
def draft(database, alice):
    with writing(database) as session:
        return make_study(session, owner=alice, slug="empty", name="Empty", state=StudyState.DRAFT, allow_holes=True)


def stored(database):
    tables = (Presentation, Revision, Item, Arm, Response)
    with reading(database) as session:
        return [session.exec(select(func.count()).select_from(one)).one() for one in tables]


@pytest.mark.parametrize("name", FILES)
def test_a_file_comes_in_whole_and_the_results_are_the_arithmetic_of_it(researcher, database, other, name, htmx):
    title, text = FILES[name]
    before = stored(database)
    checked = send(researcher, other, text, do="check", name="f.json", **htmx)
    assert "6 judgments would be added, of 3 annotators, 3 of them new here" in checked.text
    assert f"Format: {title}" in checked.text
    assert stored(database) == before
    assert "6 judgments added" in send(researcher, other, text, **htmx).text
    again = send(researcher, other, text, **htmx)
    assert "0 judgments added" in again.text
    assert "6 there already" in again.text
    page = page_of(researcher, other)
    prefix = "preference.lft~sft"
    assert cell(page, f"{prefix}.win_rate.half").startswith(LFT_RATE)
    assert [cell(page, f"{prefix}.{one}") for one in ("wins", "losses")] == ["3", "1"]
    assert [cell(page, f"{prefix}.{one}") for one in ("ties_good", "ties_bad")] == (
        ["1", "1"] if "arena" in name else ["2", "0"]
    )
    shown = {(row["prompt"], row["model_left"], row["preference_raw"]) for row in rows(preferences(database, other))}
    assert ("Why?", "sft", "right") in shown
    assert ("Why?", "sft", "left") in shown


@pytest.mark.parametrize("name", ["arena", "alpaca_eval"])
def test_times_no_file_tells_are_empty_in_exports_and_counted_nowhere(researcher, database, other, name, tmp_path):
    with writing(database) as session:
        session.add(Exclusion(study_id=other.id, rule="min_active", settings={"seconds": 60}, created_at=now()))
    send(researcher, other, FILES[name][1])
    told = rows(preferences(database, other))
    assert {(row["created_at"], row["active_ms"], row["wall_ms"], row["excluded"]) for row in told} == {
        ("", "", "", "false")
    }
    assert all(row["submitted_at"] for row in told)
    if name == "arena":
        assert min(row["submitted_at"] for row in told) == "2023-04-24T16:00:00.500Z"
    assert {row["created_at"] for row in rows(preferences(database, other, "presentations.csv"))} == {""}
    with reading(database) as session:
        study = session.get_one(Study, other.id)
        saved = list(table_rows(session, study, "revisions"))
        fast = read_tables(session, study)
        slow = tables_of_rows({table: list(table_rows(session, study, table)) for table in USED})
    same(fast.judgments, slow.judgments)
    assert {(row["active_ms"], row["wall_ms"]) for row in saved} == {(None, None)}
    folder = unpacked(database, other, tmp_path)
    formats = {path.name: json.loads(path.read_text()) for path in folder.glob("**/formats/*.json")}
    assert {one["time_per_example"] for one in formats["alpaca_eval.json"]} == {None}
    assert {(one["lead_time"], one["created_at"]) for one in formats["label_studio_min.json"]} == {(None, None)}
    results = json.loads((folder / "results.json").read_text())
    untold = {"value": None, "reason": "no judgment tells how long it took"}
    assert results["quality.lft~sft.speed.median_ms"] == results["quality.lft~sft.speed.faster"] == untold
    assert recompute(folder).returncode == 0
    assert cell(page_of(researcher, other), "quality.lft~sft.speed.median_ms") == f"none {untold['reason']}"
    assert [row["judgments"] for row in rows(preferences(database, other, "exclusions.csv"))] == ["0"]
    for place in ("monitor", "judgments?order=time", "people"):
        answer = researcher.get(f"/studies/{other.id}/{place}")
        assert answer.status_code == 200, place
        assert "-0.0 s" not in answer.text
        assert "Submits every" not in answer.text
    one = researcher.get(f"/studies/{other.id}/judgments/{told[0]['presentation_id']}")
    assert "unknown time active of unknown time" in one.text
    assert "does not say when it was handed out" in one.text


def test_what_was_imported_without_times_is_exported_and_imported_again(researcher, database, other, draft, alice):
    send(researcher, other, FILES["arena"][1])
    with writing(database) as session:
        third = make_study(session, owner=alice, slug="third", name="Third")
        fill_study(session, third, prompts=("Why?", "Name two rivers.", "=1+1"))
    told = preferences(database, other)
    assert "6 judgments added" in send(researcher, third, told).text
    refused = send(researcher, draft, told)
    assert refused.status_code == 409
    assert "preferences.csv does not hold the responses" in refused.text
    kept = ("annotator_pid", "preference_raw", "created_at", "submitted_at", "active_ms", "wall_ms")
    assert sorted([row[name] for name in kept] for row in rows(preferences(database, third))) == sorted(
        [row[name] for name in kept] for row in rows(told)
    )


def test_an_empty_draft_gets_its_prompts_arms_and_responses_first(researcher, database, draft):
    before = stored(database)
    checked = send(researcher, draft, FILES["mt-bench"][1], do="check")
    assert "2 prompts, 2 arms (lft, sft) and 4 responses would be added to the draft" in checked.text
    assert stored(database) == before
    done = send(researcher, draft, FILES["mt-bench"][1])
    assert "4 responses added to the draft" in done.text
    assert stored(database) == [0, 0, 2, 2, 4]
    waiting = send(researcher, draft, FILES["mt-bench"][1])
    assert waiting.status_code == 409
    assert "Open it first" in waiting.text
    opened = researcher.post(f"/studies/{draft.id}/state", data={"state": "open"})
    assert opened.status_code in {200, 303}, opened.text
    assert "6 judgments added" in send(researcher, draft, FILES["mt-bench"][1]).text
    assert cell(page_of(researcher, draft), "preference.lft~sft.win_rate.half").startswith(LFT_RATE)


def two_turns(**more):
    said = {
        side: [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": f"{side} one"},
            {"role": "user", "content": "And?"},
            {"role": "assistant", "content": f"{side} two"},
        ]
        for side in ("a", "b")
    }
    return battle("ann", "Why?", "lft", "first", conversation_a=said["a"], conversation_b=said["b"]) | more


def test_a_turn_is_a_prompt_of_what_was_asked_so_far_and_the_answer_given_then(researcher, database, draft):
    send(researcher, draft, json.dumps([two_turns(), two_turns(turn=2)]))
    with reading(database) as session:
        texts = session.exec(select(Response.prompt, Response.text)).all()
    assert sorted(texts) == [
        ("Hi", "a one"), ("Hi", "b one"), ("Hi\n\nAnd?", "a two"), ("Hi\n\nAnd?", "b two"),
    ]  # fmt: skip


WRONG = {
    "winner": ("both", "winner is &#39;both&#39;, and must be one of model_a, model_b, tie, tie (bothbad)"),
    "model_a": ("gpt", "&#39;gpt&#39; is no arm of this study"),
    "model_b": ("lft", "model_a and model_b are the same"),
    "judge": ("", "judge is missing"),
    "turn": (2, "turn is 2, and conversation_a has 1 of the user"),
    "tstamp": ("soon", "tstamp is &#39;soon&#39;, and must be a number from 946684800 to"),
    "conversation_a": ("[", "conversation_a must be a list of messages, each with the texts role and content"),
    "conversation_b": (conversation("Why not?", "sft"), "do not ask the same, and must"),
}


@pytest.mark.parametrize("column", WRONG)
def test_a_wrong_row_is_named_and_nothing_is_imported(researcher, database, other, column):
    value, words = WRONG[column]
    file = arena()
    file[3] = file[3] | {column: value}
    before = stored(database)
    answer = send(researcher, other, json.dumps(file))
    assert answer.status_code == 422
    assert words in answer.text
    assert "Row 4" in answer.text
    assert "Nothing of" in answer.text
    assert stored(database) == before


def test_what_a_study_cannot_hold_is_refused_in_words(researcher, database, other, draft):
    before = stored(database)
    texts = [conversation("Why?", "lft"), [*conversation("Why?", "lft")[:1], {"role": "assistant", "content": "New."}]]
    files = {
        "Row 2: conversation_a is another response of &#39;lft&#39;": [
            battle("ann", "Why?", "lft", "first", conversation_a=texts[0]),
            battle("ben", "Why?", "lft", "first", conversation_a=texts[1]),
        ],
        "Row 1: conversation_a is that of another response than": [
            battle("ann", "Why?", "lft", "first", conversation_a=texts[1])
        ],
        "Row 2: it is a second judgment of what row 1 judges": [battle(*JUDGED[0])] * 2,
        "its prompt is none of this study": [battle("ann", "Who?", "lft", "first")],
        "Row 1: its prompt is empty": [battle("ann", " ", "lft", "first")],
        "No row has a preference": alpaca_eval()[-1:],
        "preference is &#39;3&#39;, and must be a number from 1 to 2": [alpaca_eval()[0] | {"preference": 3}],
    }
    for words, file in files.items():
        answer = send(researcher, other, json.dumps(file))
        assert answer.status_code == 422
        assert words in answer.text
    many = [battle("ann", "Why?", "lft", "first", model_b=f"m{at}") for at in range(12)]
    assert "The file names 13 models" in send(researcher, draft, json.dumps(many)).text
    assert stored(database) == before


def test_a_chosen_format_is_held_to(researcher, other):
    form = {"study_id": other.id, "do": "check", "form": "alpaca_eval"}
    answer = researcher.post("/studies/judgments", data=form, files={"file": ("f.json", FILES["arena"][1])})
    assert "The file lacks the columns instruction, output_1" in answer.text
    form["form"] = "other"
    answer = researcher.post("/studies/judgments", data=form, files={"file": ("f.json", FILES["arena"][1])})
    assert "There is no format &#39;other&#39;. There are tuneshift, arena, mt-bench, alpaca_eval." in answer.text


def test_the_command_line_brings_every_format_in(run, database, other, draft, tmp_path):
    path = tmp_path / "f.json"
    path.write_text(FILES["arena"][1])
    done = run("judgments", "import", "empty", path, "--from", "arena")
    assert "2 prompts, 4 responses and the arms lft, sft were added." in done.stderr
    assert run("judgments", "import", "empty", path).returncode != 0
    for name in ("arena", "mt-bench", "alpaca_eval"):
        slug = f"s-{name.replace('_', '-')}"
        with writing(database) as session:
            owner = session.get_one(Study, other.id).created_by
            one = Study(slug=slug, name=name, seed="s", state=StudyState.OPEN, created_by=owner, guidelines="Judge.")
            session.add(one)
            session.flush()
            fill_study(session, one, prompts=("Why?", "=1+1"))
            session.expunge(one)
        path.write_text(FILES[name][1])
        assert "6 judgments would be added" in run("judgments", "import", slug, path, "--check").stderr
        done = run("judgments", "import", slug, path, "--from", name)
        assert "6 judgments were added, of 3 annotators." in done.stderr
        assert ("1 rows without a preference were left out" in done.stderr) is (name == "alpaca_eval")
        assert len(rows(preferences(database, one))) == 6


def test_parquet_has_no_value_for_a_time_that_is_unknown(researcher, database, other, tmp_path):
    send(researcher, other, FILES["mt-bench"][1])
    answer = researcher.get(f"/studies/{other.id}/export/preferences.parquet")
    assert answer.status_code == 200
    table = pq.read_table(io.BytesIO(answer.content))
    for name in ("created_at", "active_ms", "wall_ms"):
        assert table.column(name).null_count == len(table) == 6


def test_speed_is_that_of_the_judgments_whose_time_is_known(researcher, database, other):
    send(researcher, other, FILES["arena"][1])
    with writing(database) as session:
        study = session.get_one(Study, other.id)
        item = items_of(session, study)[0]
        for number, seconds in ((2, 10), (3, 20), (4, 30)):
            judge(session, study, person(session, study, number), item, Preference.LEFT, active_ms=seconds * 1000)
    page = page_of(researcher, other)
    assert cell(page, "quality.lft~sft.speed.median_ms").startswith("20.0 s")
    listed = researcher.get(f"/studies/{other.id}/judgments?order=time").text
    times = re.findall(r'<td class="num nowrap">\s*(?:<[^>]*>)?([^<]*)', listed)
    assert times[:3] == ["10.0 s", "20.0 s", "30.0 s"]
    assert set(times[3:]) == {"unknown"}
