"""Downloads: exactly the final judgments, streamed, repeatable, and safe to open."""

import csv
import hashlib
import hmac
import io
import json
import tracemalloc
import zipfile

import pytest
from sqlmodel import select

from app.cells import raw_cell
from app.db import reading, writing
from app.results.bundle import write_bundle
from app.results.export import FILES, TABLES
from app.results.queries import iter_table
from app.shift.packing import pack
from models import Arm, ItemResponse, Pair, Presentation, Response, Revision, RevisionKind, Study, Trace
from tests.factories import fill_study, make_member, make_study, make_user
from tests.scripted_engine import Script, ScriptedEngine
from tests.web.judging_help import an_answer, page_data, post, take


@pytest.fixture
def judged(database, annotator, study):
    """Two items judged by Bob (one changed afterwards, with a mark), a third only drafted."""
    with writing(database) as session:
        fill_study(session, session.get(Study, study.id), prompts=("=1+1 why?", 'Two\r\nlines, "quoted"', "Three?"))
    first = take(annotator, study)
    text = page_data(annotator, first)["texts"]["right"]
    mark = {
        "side": "right",
        "start": 0,
        "end": 6,
        "quote": text[:6],
        "type": "invented",
        "severity": "major",
        "note": "=n",
    }
    post(annotator, first, "draft", an_answer(preference=None))
    post(annotator, first, "submit", an_answer(base_revision=1, preference="left", spans=[mark]))
    changed = an_answer(base_revision=2, preference="tie_bad", spans=[mark], comment="@cmd", active_ms=9, flagged=True)
    post(annotator, first, "submit", changed)
    second = take(annotator, study)
    post(annotator, second, "submit", an_answer(preference="cannot_judge", ratings={}, skip_reason="too hard"))
    third = take(annotator, study)
    post(annotator, third, "draft", an_answer(comment="unfinished"))
    return first, second, third


def rows_of(client, study, table):
    answer = client.get(f"/studies/{study.id}/export/{table}")
    assert answer.status_code == 200
    if table.endswith(".jsonl"):
        return [json.loads(line) for line in answer.text.splitlines()]
    return [
        {name: raw_cell(cell) for name, cell in row.items()}
        for row in csv.DictReader(io.StringIO(answer.text, newline=""), strict=True)
    ]


def test_preferences_hold_the_final_judgments_and_the_first_answer(researcher, study, judged, database):
    rows = {row["presentation_id"]: row for row in rows_of(researcher, study, "preferences.csv")}
    assert set(rows) == set(judged[:2])
    row = rows[judged[0]]
    with reading(database) as session:
        shown = session.get_one(Presentation, judged[0])
        left, right = (session.get_one(Response, one) for one in (shown.left_response_id, shown.right_response_id))
    assert (row["model_left"], row["model_right"]) == (left.checkpoint, right.checkpoint)
    assert row["response_left_sha256"] == hashlib.sha256(left.text.encode()).hexdigest()
    assert row["response_right_sha256"] == hashlib.sha256(right.text.encode()).hexdigest()
    assert (row["preference_raw"], row["preference_model"], row["first_preference"]) == ("tie_bad", "tie", "left")
    assert (row["revision"], row["comment"], row["flagged"], row["active_ms"]) == ("3", "@cmd", "true", "9")
    assert (row["excluded"], row["exclusion_reason"], row["strength"]) == ("false", "", "")
    assert row["annotator_pid"] == "a00000000001"
    skipped = rows[judged[1]]
    assert (skipped["skipped"], skipped["skip_reason"], skipped["preference_model"]) == ("true", "too hard", "")


def test_a_preferred_side_is_named_by_its_model(researcher, annotator, study, database):
    with writing(database) as session:
        fill_study(session, session.get(Study, study.id))
    for preference in ("left", "right"):
        post(annotator, take(annotator, study), "submit", an_answer(preference=preference))
    rows = rows_of(researcher, study, "preferences.csv")
    assert all(row["preference_model"] == row[f"model_{row['preference_raw']}"] for row in rows)
    assert {row["preference_raw"] for row in rows} == {"left", "right"}


def test_the_sides_can_be_checked_from_the_export_and_the_seed(researcher, study, judged):
    # One annotator and one pair: how often the first arm stood left, less how often right, in the order of the items.
    lean = 0
    for row in sorted(rows_of(researcher, study, "preferences.csv"), key=lambda row: row["created_at"]):
        first, second = sorted((row["model_left"], row["model_right"]))
        message = json.dumps(["side", row["item_id"], first, second, row["annotator_pid"]], separators=(",", ":"))
        key = hmac.new(b"seed-1", message.encode(), hashlib.sha256).hexdigest()
        assert row["side_order_key"] == key
        first_left = lean < 0 if lean else int(key, 16) % 2 == 0
        assert row["model_left"] == (first if first_left else second)
        lean += 1 if first_left else -1


def test_ratings_are_one_row_each(researcher, study, judged):
    rows = rows_of(researcher, study, "ratings.csv")
    assert len(rows) == 10
    assert {row["presentation_id"] for row in rows} == {judged[0]}
    assert {(row["side"], row["value"]) for row in rows} == {("left", "4"), ("right", "2")}


def test_marks_are_those_of_the_final_revision(researcher, study, judged):
    (row,) = rows_of(researcher, study, "hallucinations.jsonl")
    assert (row["side"], row["start"], row["end"], row["quote"], row["note"]) == ("right", 0, 6, "Answer", "=n")
    assert (row["prefix"], row["type"], row["severity"]) == ("", "invented", "major")
    assert (row["causal"], row["evidence_instance_id"], row["evidence_is_decoy"], row["shift"]) == (None,) * 4


def test_a_mark_on_a_traced_response_tells_the_shift_of_its_tokens(researcher, annotator, database, alice, bob):
    with writing(database) as session:
        traced = make_study(session, owner=alice, slug="traced")
        make_member(session, study=traced, user=bob, pid="a9")
        fill_study(session, traced, prompts=("One?",), text="ab cd ef")
        engine = ScriptedEngine(None, {"x": Script(base_ranks=(1, 2, 9))})
        for response in session.exec(select(Response)):
            tokens = [engine._shift("x", index, ord(letter), top_k=3) for index, letter in enumerate(response.text)]
            response.run = {"text_lengths": [1] * len(tokens)}
            session.add(
                Trace(
                    response_id=response.id, checkpoint=response.checkpoint, reference="base", kl_kind="exact",
                    dtype="float32", border_width=0.0, n=8, unshifted=3, marginal=3, shifted=2, tokens=pack(tokens, {}),
                )
            )  # fmt: skip
    token = take(annotator, traced)
    mark = {"side": "left", "start": 3, "end": 5, "quote": "cd", "type": "other", "severity": "minor"}
    post(annotator, token, "submit", an_answer(spans=[mark]))
    (row,) = rows_of(researcher, traced, "hallucinations.jsonl")
    # Ranks go 1, 2, 9, 1, 2, ...: tokens 3 and 4 have ranks 1 and 2.
    assert row["shift"] == {"reference": "base", "unshifted": 1, "marginal": 1, "shifted": 0, "n": 2}


def test_cells_that_a_spreadsheet_would_run_are_protected(researcher, study, judged):
    text = researcher.get(f"/studies/{study.id}/export/preferences.csv").text
    cells = [cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row]
    assert "'@cmd" in cells
    assert not any(cell[:1] in "=+-@\t\r" for cell in cells if cell)


@pytest.mark.parametrize("table", FILES)
def test_two_exports_of_one_state_are_the_same_bytes(researcher, study, judged, table):
    one, other = (researcher.get(f"/studies/{study.id}/export/{table}") for _ in range(2))
    assert one.content == other.content
    assert one.headers["content-disposition"] == f'attachment; filename="kettles-{table}"'


def test_an_empty_study_exports_its_header(researcher, study):
    text = researcher.get(f"/studies/{study.id}/export/preferences.csv").text
    assert text == ",".join(column.name for column in TABLES["preferences.csv"]) + "\r\n"
    assert researcher.get(f"/studies/{study.id}/export/hallucinations.jsonl").text == ""


@pytest.mark.parametrize("table", ["preferences", "users.csv", "preferences.csv.gz", "..%2f..%2fsecret_key"])
def test_other_tables_do_not_exist(researcher, study, table):
    assert researcher.get(f"/studies/{study.id}/export/{table}").status_code == 404


def test_the_zip_holds_the_same_tables_and_repeats(researcher, database, study, judged, tmp_path):
    paths = [tmp_path / name for name in ("one.zip", "two.zip")]
    for path in paths:
        with reading(database) as session:
            write_bundle(session, session.get_one(Study, study.id), path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    with zipfile.ZipFile(paths[0]) as archive:
        assert set(FILES) <= set(archive.namelist())
        for table in FILES:
            assert archive.read(table) == researcher.get(f"/studies/{study.id}/export/{table}").content
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["one.zip", "two.zip"]


def test_an_export_holds_one_item_in_memory_at_a_time(database, alice):
    with writing(database) as session:
        big = make_study(session, owner=alice, slug="big", overlap=100)
        items = fill_study(session, big, prompts=tuple(f"{n} " + "x" * 2_000 for n in range(100)))
        answers = session.exec(select(ItemResponse)).all()
        people = [make_user(session, email=f"u{n}@example.org") for n in range(10)]
        for number, person in enumerate(people):
            make_member(session, study=big, user=person, pid=f"p{number}")
        pair = session.exec(select(Pair).where(Pair.study_id == big.id)).one()
        left, right = session.exec(select(Arm).where(Arm.study_id == big.id)).all()
        fixed = {
            "study_id": big.id, "pair_id": pair.id, "left_arm_id": left.id, "right_arm_id": right.id,
            "left_response_id": answers[0].response_id, "right_response_id": answers[1].response_id,
            "side_order_key": "0" * 64,
            "leased_until": big.created_at, "state": "submitted",
        }  # fmt: skip
        shown = [Presentation(item_id=item.id, annotator_id=person.id, **fixed) for item in items for person in people]
        session.add_all(shown)
        session.flush()
        session.add_all(
            Revision(
                presentation_id=one.id, number=1, idempotency_key="k", kind=RevisionKind.SUBMITTED, preference="left",
                comment="y" * 8_000, app_version="0",
            )
            for one in shown
        )  # fmt: skip
    with reading(database) as session:
        study = session.get_one(Study, big.id)
        lines = iter_table(session, study, "preferences.csv")
        # The first row also compiles the queries, which stay.
        size = len(next(lines)) + len(next(lines))
        tracemalloc.start()
        size += sum(map(len, lines))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    # A thousand judgments of 10 kB each; an item's ten are 100 kB.
    assert size > 10_000_000
    assert peak < 3_000_000, peak
