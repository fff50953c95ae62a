"""Comparisons of other tools: read as they say, unknown where they do not, and back from our own formats."""

import json
from datetime import UTC, datetime

import pytest

from app.results.formats import formats_for
from app.results.formats.base import Comparison, Shown
from app.results.outside import comparison_lines, of_models, read_outside
from app.studies.records import BadFileError


def comparison(number, preference):
    return Comparison(
        item_id=f"i{number}", presentation_id=f"p{number}", annotator=f"a{number}", prompt=f"Why {number}?",
        left=Shown("lft", "=long"), right=Shown("sft", "no"), preference=preference, strength=None,
        handed_at=datetime(2026, 3, 1, tzinfo=UTC), submitted_at=datetime(2026, 3, 1, tzinfo=UTC), active_ms=1,
        excluded=False,
    )  # fmt: skip


ONES = [comparison(at, answer) for at, answer in enumerate(("left", "right", "tie_good", "tie_bad"))]


@pytest.mark.parametrize("file", ["arena_battles.json", "alpaca_eval.json", "evalica.csv", "comparisons.csv"])
def test_what_we_write_for_a_tool_reads_back_as_the_same_comparisons(file):
    (form,) = [one for one in formats_for("kettles", (("lft", "sft"),)) if one.file == file]
    found = read_outside(form.head + form.between.join(form.records(ONES, 0)) + form.tail)
    assert [(one.left, one.right, one.winner) for one in found.comparisons] == [
        ("lft", "sft", winner) for winner in ("left", "right", "tie", "tie")
    ]
    if file != "evalica.csv":
        assert [one.lengths for one in found.comparisons] == [(5, 2)] * 4
        assert len({one.item for one in found.comparisons}) == 4
        assert all(one.annotator.endswith(f"a{at}") for at, one in enumerate(found.comparisons))
    assert found.sides is (file != "alpaca_eval.json")
    again = read_outside("".join(comparison_lines(found.comparisons)))
    assert again.comparisons == found.comparisons


def test_mt_bench_human_judgments():
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    row = {
        "question_id": 81, "model_a": "alpaca-13b", "model_b": "gpt-3.5-turbo", "winner": "model_b",
        "judge": "author_2",
        "conversation_a": turns, "conversation_b": [*turns, *turns], "turn": 1,
    }  # fmt: skip
    found = read_outside(json.dumps(row) + "\n" + json.dumps(row | {"winner": "tie", "judge": "expert_1"}) + "\n")
    one, other = found.comparisons
    assert (one.left, one.right, one.winner, one.annotator, one.lengths) == (
        "alpaca-13b", "gpt-3.5-turbo", "right", "author_2", (5, 10),
    )  # fmt: skip
    assert (other.winner, other.item == one.item) == ("tie", True)


def test_alpaca_eval_without_a_preference_is_left_out_and_counted():
    rows = [{"generator_1": "a", "generator_2": "b", "preference": one} for one in (None, 1.2, 1.5, 2)]
    found = read_outside(json.dumps(rows))
    assert [one.winner for one in found.comparisons] == ["left", "tie", "right"]
    assert found.left_out == {"no preference": 1}


def test_our_own_preferences_leave_out_what_is_excluded_or_was_not_judged():
    text = (
        "item_id,annotator_pid,model_left,model_right,preference_raw,excluded\r\n"
        "i,a,'=l,r,left,false\r\ni,a,'=l,r,right,true\r\ni,a,'=l,r,cannot_judge,false\r\ni,a,'=l,r,tie_bad,false\r\n"
    )
    found = read_outside(text)
    assert [(one.left, one.winner) for one in found.comparisons] == [("=l", "left"), ("=l", "tie")]
    assert found.left_out == {"excluded by a rule": 1, "could not be judged": 1}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("left,right,winner\na,b,left\na,b,a\n", "Row 3: winner is 'a', and must be one of left, right, tie"),
        ("left,right,winner\n,b,left\n", "Row 2: left is missing or no text"),
        ('[{"model_a": "a", "model_b": "b", "winner": "tie (inconsistent)"}]', "Row 1: winner is 'tie (inconsistent)'"),
        ('[{"generator_1": "a", "generator_2": "b", "preference": 3}]', "must be a number from 1 to 2"),
        ('[{"generator_1": "a", "generator_2": "b", "preference": "nan"}]', "must be a number from 1 to 2"),
        ("a,b\n1,2\n", "These columns are of no tool that is known."),
        ("left,right,winner,length_left,length_right\na,b,tie,-1,2\n", "must be whole numbers"),
    ],
)
def test_a_wrong_row_is_named(text, words):
    with pytest.raises(BadFileError, match=words.replace("(", r"\(").replace(")", r"\)")):
        read_outside(text)


def test_the_rows_of_some_models_are_picked_whole():
    battles = [
        {"model_a": one, "model_b": other, "winner": "tie", "conversation_a": [{"role": "user", "content": "é"}]}
        for one, other in (("a", "b"), ("b", "c"), ("c", "a"), ("a", "b"))
    ]
    kept, number, others = of_models(json.dumps(battles), ["a", "b"])
    assert [json.loads(line) for line in kept] == [battles[0], battles[3]]
    assert (number, others) == (2, 2)
    sheet = "left,right,winner,item\r\na,b,left,'=1\r\nb,c,tie,x\r\n"
    assert of_models(sheet, ["b", "a"])[0] == ["left,right,winner,item\r\n", "a,b,left,'=1\r\n"]
    with pytest.raises(BadFileError, match=r"No row names the model 'd'\. There are a, b, c"):
        of_models(json.dumps(battles), ["a", "d"])
    with pytest.raises(BadFileError, match="No columns name the models compared"):
        of_models("x,y\r\n1,2\r\n", ["a"])
