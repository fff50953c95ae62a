"""Judgments in the formats of other tools: exactly their columns, nothing decided that nobody decided."""

import csv
import io
import json
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.cells import csv_line
from app.results.column import KINDS
from app.results.export import COLUMNS
from app.results.formats import formats_for
from app.results.formats.base import Comparison, Mark, Shown
from app.results.records import csv_record
from app.settings import ROOT

AT = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
LFT, SFT = Shown("lft", "Long: a\nb", 4), Shown("sft", "short", None)
ANSWERS = ("left", "right", "tie_good", "tie_bad", "cannot_judge")


def one(preference="left", *, left=LFT, right=SFT, excluded=False, number=1, **over):
    values = {
        "item_id": "item1", "presentation_id": f"p{number}", "annotator": f"a{number}", "prompt": "Why?",
        "left": left, "right": right, "preference": preference, "strength": None, "handed_at": AT,
        "submitted_at": AT + timedelta(seconds=90), "active_ms": 2_500, "excluded": excluded,
    }  # fmt: skip
    return Comparison(**values | over)


def written(name, ones, pairs=(("lft", "sft"),)):
    (form,) = [form for form in formats_for("kettles", pairs) if form.file == name]
    used = [comparison for comparison in ones if not form.left_out(comparison)]
    left_out = Counter(form.left_out(comparison) for comparison in ones if form.left_out(comparison))
    records = form.records(used, 0) if used else []
    return form.head + form.between.join(records) + form.tail, left_out


def rows(name, ones, **over):
    text, _ = written(name, ones, **over)
    return json.loads(text) if name.endswith(".json") else [json.loads(line) for line in text.split("\n") if line]


ALL = [one(answer, number=at) for at, answer in enumerate(ANSWERS)] + [one("right", excluded=True, number=9)]


def test_trl_preference_has_its_three_columns_and_drops_and_counts_ties():
    assert rows("trl_preference.jsonl", ALL) == [
        {"prompt": "Why?", "chosen": LFT.text, "rejected": SFT.text},
        {"prompt": "Why?", "chosen": SFT.text, "rejected": LFT.text},
    ]
    _, left_out = written("trl_preference.jsonl", ALL)
    assert left_out == {"tie": 2, "could not be judged": 1, "excluded by a rule": 1}


def test_trl_conversational_has_lists_of_messages():
    assert rows("trl_preference_conversational.jsonl", ALL)[0] == {
        "prompt": [{"role": "user", "content": "Why?"}],
        "chosen": [{"role": "assistant", "content": LFT.text}],
        "rejected": [{"role": "assistant", "content": SFT.text}],
    }


def test_kto_labels_the_preferred_true_and_the_other_false():
    assert rows("trl_kto.jsonl", [one("right")]) == [
        {"prompt": "Why?", "completion": SFT.text, "label": True},
        {"prompt": "Why?", "completion": LFT.text, "label": False},
    ]


def test_arena_battles_are_clean_battles_with_both_kinds_of_tie():
    battles = rows("arena_battles.json", ALL)
    assert [battle["winner"] for battle in battles] == ["model_a", "model_b", "tie", "tie (bothbad)"]
    assert list(battles[0]) == [
        "question_id", "model_a", "model_b", "winner", "judge", "conversation_a", "conversation_b", "turn", "anony",
        "language", "tstamp",
    ]  # fmt: skip
    assert battles[0] | {"conversation_b": 0} == {
        "question_id": "p0", "model_a": "lft", "model_b": "sft", "winner": "model_a", "judge": "arena_user_a0",
        "conversation_a": [
            {"role": "user", "content": "Why?", "num_tokens": None},
            {"role": "assistant", "content": LFT.text, "num_tokens": 4},
        ],
        "conversation_b": 0, "turn": 1, "anony": True, "language": "unknown", "tstamp": AT.timestamp() + 90,
    }  # fmt: skip


@pytest.mark.parametrize(("answer", "expected"), [("left", 2.0), ("right", 1.0), ("tie_good", 1.5), ("tie_bad", 1.5)])
def test_alpaca_eval_names_the_same_generator_first_whatever_side_it_stood_on(answer, expected):
    (row,) = rows("alpaca_eval.json", [one(answer, left=SFT, right=LFT)])
    assert list(row) == [
        "instruction", "output_1", "generator_1", "dataset", "output_2", "generator_2", "annotator", "preference",
        "price_per_example", "time_per_example", "raw_completion",
    ]  # fmt: skip
    assert (row["generator_1"], row["output_1"], row["generator_2"]) == ("lft", LFT.text, "sft")
    assert (row["preference"], row["dataset"], row["time_per_example"]) == (expected, "kettles", 2.5)


def test_label_studio_min_holds_the_choice_and_the_spans():
    mark = Mark("right", 0, 5, "short", "invented", "major")
    first, second = rows("label_studio_min.json", [one("tie_bad", marks=(mark,)), one("cannot_judge"), one("left")])
    assert (first["id"], second["id"], first["annotation_id"]) == (1, 2, 1)
    assert (first["preference"], first["lead_time"], first["annotator"]) == ("tie_bad", 2.5, "a1")
    assert (first["created_at"], first["updated_at"]) == ("2026-03-01T09:00:00.000Z", "2026-03-01T09:01:30.000Z")
    assert first["spans_left"] == []
    assert first["spans_right"] == [{"start": 0, "end": 5, "text": "short", "labels": ["invented"]}]


def test_llm_comparator_scores_for_the_first_arm_on_either_side():
    ones = [
        one("left", strength=3), one("left", left=SFT, right=LFT, strength=1), one("tie_good"), one("right"),
        one("left", excluded=True),
    ]  # fmt: skip
    whole = rows("llm_comparator_1.json", ones)
    assert list(whole) == ["metadata", "models", "examples"]
    assert whole["models"] == [{"name": "lft"}, {"name": "sft"}]
    (example,) = whole["examples"]
    assert list(example) == [
        "input_text", "tags", "output_text_a", "output_text_b", "score", "individual_rater_scores", "custom_fields",
    ]  # fmt: skip
    scores = [(rated["is_flipped"], rated["score"]) for rated in example["individual_rater_scores"]]
    assert scores == [(False, 1.5), (True, -0.5), (False, 0.0), (False, -1.0)]
    assert example["score"] == 0.0
    assert (example["output_text_a"], example["output_text_b"]) == (LFT.text, SFT.text)


def test_llm_comparator_takes_one_pair_a_file():
    ones = [one("left"), one("right", right=Shown("base", "B"))]
    pairs = (("base", "lft"), ("lft", "sft"))
    for name, judged in (("llm_comparator_1.json", "base"), ("llm_comparator_2.json", "lft")):
        text, left_out = written(name, ones, pairs=pairs)
        assert json.loads(text)["models"][0]["name"] == judged
        assert left_out == {"another pair": 1}


def test_evalica_and_our_own_table():
    text, _ = written("evalica.csv", ALL)
    assert text == "left,right,winner\r\nlft,sft,left\r\nlft,sft,right\r\nlft,sft,tie\r\nlft,sft,tie\r\n"
    text, _ = written("comparisons.csv", ALL[:1])
    assert text == (
        "left,right,winner,item,annotator,length_left,length_right\r\n"
        "lft,sft,left,item1,a0,9,5\r\n"
    )  # fmt: skip


answers = st.builds(
    one,
    st.sampled_from(ANSWERS),
    excluded=st.booleans(),
    strength=st.sampled_from([None, 1, 2, 3]),
    prompt=st.text(st.characters(exclude_categories=("Cs",))),
    left=st.builds(Shown, st.sampled_from(["lft", "sft"]), st.text(st.characters(exclude_categories=("Cs",)))),
    right=st.just(Shown("x", "y")),
)


@given(st.lists(answers, max_size=8))
def test_every_judgment_is_in_a_format_or_left_out_for_a_reason_and_every_file_parses(ones):
    pairs = (("lft", "x"), ("sft", "x"))
    for form in formats_for("kettles", pairs):
        text, left_out = written(form.file, ones, pairs=pairs)
        used = len(ones) - left_out.total()
        if form.file.endswith(".csv"):
            assert len(list(csv.reader(io.StringIO(text, newline=""), strict=True))) == 1 + used
        elif form.file.startswith("llm"):
            assert sum(len(one["individual_rater_scores"]) for one in json.loads(text)["examples"]) == used
        else:
            each = 2 if form.file == "trl_kto.jsonl" else 1
            assert len(rows(form.file, ones, pairs=pairs)) == each * used


def test_the_page_on_exports_names_every_format_and_kind():
    page = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")
    for form in formats_for("kettles", (("lft", "sft"),)):
        assert f"`{form.file.replace('_1', '_N')}`" in page, form.file
    assert all(f"| {kind} |" in page for kind in KINDS)


cells = st.one_of(
    st.none(), st.text(st.characters(exclude_categories=("Cs",))), st.booleans(), st.integers(-(2**62), 2**62),
    st.floats(allow_nan=False, allow_infinity=False), st.datetimes(timezones=st.just(UTC)),
)  # fmt: skip
OF = {bool: "bool", int: "int", float: "float", str: "text", datetime: "time", type(None): "text"}


@given(st.lists(cells, max_size=6))
def test_the_fast_writer_of_records_writes_what_the_plain_one_writes(values):
    assert csv_record([OF[type(value)] for value in values])(values) == csv_line(values)


def test_lists_and_objects_are_json_in_a_cell():
    assert csv_record(["json", "ints", "texts"])([{"a": "é,"}, [1, 2], None]) == '"{""a"":""é,""}","[1,2]",\r\n'
    assert {column.kind for columns in COLUMNS.values() for column in columns} <= set(KINDS)
