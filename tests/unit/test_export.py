"""CSV that no spreadsheet runs and every parser reads back, and a data dictionary that cannot drift."""

import csv
import io
import json
import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.cells import FORMULA_STARTS, as_text, csv_line, raw_cell, safe_cell, utc_text
from app.results.export import TABLES, write_table
from app.results.records import json_record
from app.results.spans import span_shift
from app.settings import ROOT
from app.shift.classes import ShiftClass


def test_numbers_stay_numbers_and_text_that_looks_like_one_does_not():
    assert csv_line([-0.5, -3, 1e-07, True, "-3", None]) == "-0.5,-3,1e-07,true,'-3,\r\n"


cells = st.text(st.characters(exclude_categories=("Cs",)))


def parse(text):
    return list(csv.reader(io.StringIO(text, newline=""), strict=True))


@given(st.lists(st.lists(cells, min_size=2, max_size=4), max_size=5))
def test_csv_survives_a_round_trip(rows):
    text = "".join(csv_line(row) for row in rows)
    assert [[raw_cell(cell) for cell in row] for row in parse(text)] == rows


@given(cells)
def test_a_cell_is_safe_and_restorable(text):
    cell = safe_cell(text)
    assert raw_cell(cell) == text
    assert cell.lstrip(" \u00a0\u3000\u200b\ufeff\n")[:1] not in FORMULA_STARTS


@pytest.mark.parametrize(
    "text",
    [
        "=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "\0x", "＝1", "＋1", "－1", "＠x",
        " =1", "  \u00a0=1", "\u200b=cmd|' /C calc'!A0", "\ufeff=1", "\n=1", "'=1", "''=1",
    ],
)  # fmt: skip
def test_formulas_get_an_apostrophe(text):
    assert safe_cell(text) == f"'{text}"
    assert raw_cell(f"'{text}") == text


@pytest.mark.parametrize("text", ["", "plain", "'tis", "a=b", "1-2", "5", "x\t=1", "'"])
def test_harmless_text_is_left_alone(text):
    assert safe_cell(text) == text
    assert raw_cell(text) == text


def test_records_are_rfc_4180():
    assert (
        csv_line(["a", 'say "hi"', "one,two", "x\r\ny", None, True, 7])
        == 'a,"say ""hi""","one,two","x\r\ny",,true,7\r\n'
    )


def test_timestamps_are_utc_with_milliseconds():
    moment = datetime(2026, 3, 1, 12, 0, 0, 123_456, tzinfo=timezone(timedelta(hours=2)))
    assert utc_text(moment) == "2026-03-01T10:00:00.123Z"
    assert as_text(datetime(2026, 3, 1, 12, 0)) == "2026-03-01T12:00:00.000Z"  # noqa: DTZ001  as SQLite returns it
    assert as_text(datetime(2026, 3, 1, tzinfo=UTC)) == "2026-03-01T00:00:00.000Z"


def test_json_lines_are_exact():
    line = json_record({"quote": "=1\r\n🍞\u2028", "shift": None})
    assert json.loads(line) == {"quote": "=1\r\n🍞\u2028", "shift": None}
    assert line.count("\n") == 1


def test_a_row_must_have_exactly_the_columns():
    row = {column.name: "x" for column in TABLES["ratings.csv"]}
    assert len(list(write_table("ratings.csv", [row]))) == 2
    with pytest.raises(ValueError, match="secret"):
        list(write_table("ratings.csv", [row | {"secret": 1}]))


CONTRACT = {
    "leak_flags.csv": "flag_id item_id model response_sha256 kind start end quote detail decision decided_by "
    "decided_at",
    "preferences.csv": "study_id study_version item_id presentation_id annotator_pid prompt model_left model_right "
    "response_left_sha256 response_right_sha256 side_order_key preference_raw preference_model strength revision "
    "first_preference created_at submitted_at active_ms wall_ms skipped skip_reason flagged comment recognised_model "
    "guideline_version app_version excluded exclusion_reason recognised_guess stratum",
    "ratings.csv": "presentation_id annotator_pid item_id side model dimension value",
    "hallucinations.jsonl": "presentation_id annotator_pid item_id side model start end quote prefix suffix type "
    "severity causal evidence_instance_id evidence_is_decoy note shift",
    "evidence.jsonl": "presentation_id annotator_pid item_id side model start end place tuning_set_sha256 instance_id "
    "is_decoy origin score opened marked verdict none_of_these",
    "acceptability.csv": "presentation_id annotator_pid item_id side model acceptable",
    "gold.csv": "presentation_id annotator_pid item_id prompt expected preference_raw right revision submitted_at "
    "active_ms",
    "annotators.csv": "annotator_pid state joined_at judgments excluded recognised_model recognised_guess exit_comment "
    "comprehension_attempts comprehension_passed external_id",
    "exclusions.csv": "exclusion_id rule settings meaning reason created_by created_at revoked_by revoked_at judgments "
    "annotators",
    "revisions.jsonl": "presentation_id annotator_pid item_id item_kind model_left model_right state revision kind "
    "saved_at preference strength ratings acceptability spans comment flagged skip_reason recognised_model "
    "recognised_guess reading edit_reason active_ms wall_ms guideline_version app_version",
    "presentations.csv": "presentation_id annotator_pid item_id item_kind model_left model_right response_left_sha256 "
    "response_right_sha256 side_order_key state created_at submitted_at imported_from",
    "responses.jsonl": "item_id item_kind model response_sha256 prompt text checkpoint origin finish tokens "
    "token_ids_sha256 run withheld leaks created_at",
    "traces.jsonl": "item_id item_kind model response_sha256 checkpoint reference base_prompt engine engine_version "
    "dtype kl_kind border_width n unshifted marginal shifted mean_kl_tuned_base mean_kl_base_tuned text_lengths "
    "token_ids base_ranks tuned_ranks classes base_logprobs tuned_logprobs kl_tuned_base kl_base_tuned near_border",
}


def test_the_columns_are_those_promised():
    assert {table: [column.name for column in columns] for table, columns in TABLES.items()} == {
        table: names.split() for table, names in CONTRACT.items()
    }


def test_the_data_dictionary_is_complete_and_true():
    page = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")
    for table, columns in TABLES.items():
        section = page.split(f"## {table}\n")[1].split("\n## ")[0]
        documented = re.findall(r"^\| `([a-z_0-9]+)` \| (.+) \|$", section, re.MULTILINE)
        assert documented == [(column.name, column.meaning) for column in columns]


def test_a_span_counts_the_tokens_it_overlaps():
    # "A kettle" + special: tokens "A", " ket", "tle", "" (special), scored except the last.
    classes = [ShiftClass.UNSHIFTED, ShiftClass.SHIFTED, ShiftClass.MARGINAL, ShiftClass.SHIFTED]
    lengths = [1, 4, 3, 0]
    assert span_shift(lengths, classes, start=2, end=8) == {"unshifted": 0, "marginal": 1, "shifted": 1, "n": 2}
    assert span_shift(lengths, classes, start=0, end=1) == {"unshifted": 1, "marginal": 0, "shifted": 0, "n": 1}
    assert span_shift(lengths, classes[:2], start=0, end=8) == {"unshifted": 1, "marginal": 0, "shifted": 1, "n": 2}
