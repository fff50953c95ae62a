"""Instruction data: four shapes read alike, and every refusal names file, place, field and remedy."""

import json
from pathlib import Path

import pytest

from app.finetune.recipe import RecipeError, default_recipe
from app.tuning_sets.read import DataError, Message, read_data

PAIR = (Message("user", "Why?"), Message("assistant", "Because."))


def write(tmp_path: Path, *records: object, name: str = "data.jsonl") -> Path:
    path = tmp_path / name
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "record",
    [
        {"instruction": "Why?", "input": "", "output": "Because."},
        {"instruction": "Why?", "output": "Because."},
        {"instruction": "Why?", "context": "", "response": "Because.", "category": "open_qa"},
        {"messages": [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Because."}]},
        {"conversations": [{"from": "human", "value": "Why?"}, {"from": "gpt", "value": "Because."}]},
    ],
)
def test_all_shapes_give_the_same_example(tmp_path: Path, record: object) -> None:
    (example,) = read_data(write(tmp_path, record)).examples
    assert example.messages == PAIR
    assert example.id == "0"


def test_input_follows_the_instruction(tmp_path: Path) -> None:
    data = read_data(
        write(tmp_path, {"id": "a-1", "instruction": "Sum up.", "input": "Long text.", "output": "Short."})
    )
    assert data.examples[0].messages[0] == Message("user", "Sum up.\n\nLong text.")
    assert data.examples[0].id == "a-1"


def test_a_json_list_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    path.write_text("\ufeff" + json.dumps([{"instruction": "Why?", "output": "Because."}] * 2), encoding="utf-8")
    assert [example.id for example in read_data(path).examples] == ["0", "1"]


def test_blank_lines_are_skipped_but_counted(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text('\n{"instruction": "Why?", "output": "Because."}\n\n{"instruction": 3}\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"data\.jsonl, line 4: .*"):
        read_data(path)


@pytest.mark.parametrize(
    ("record", "place", "said"),
    [
        ({"instruction": 3, "output": "x"}, "line 2", 'field "instruction" is int'),
        ({"instruction": "Why?", "output": ""}, "line 2", 'field "output" is empty'),
        ({"instruction": "Why?"}, "line 2", 'field "output" is missing'),
        ({"instruction": "Wh\x00y?", "output": "x"}, "line 2", "NUL"),
        ({"prompt": "Why?"}, "line 2", "unknown shape with fields prompt"),
        ([1], "line 2", "record is list"),
        ({"messages": []}, "line 2", "no assistant turn"),
        ({"messages": "hi"}, "line 2", "list of turns"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "line 2, messages[0]", "'robot'"),
        (
            {"conversations": [{"from": "human", "value": "x"}, {"from": "gpt"}]},
            "conversations[1]",
            '"value" is missing',
        ),
        ({"conversations": [7]}, "conversations[0]", "turn is int"),
    ],
)
def test_refusals_name_line_field_and_remedy(tmp_path: Path, record: object, place: str, said: str) -> None:
    path = write(tmp_path, {"instruction": "Why?", "output": "Because."}, record)
    with pytest.raises(DataError) as refused:
        read_data(path)
    assert str(path) in str(refused.value)
    assert place in str(refused.value)
    assert said in str(refused.value)
    assert refused.value.remedy


def test_broken_json_names_line_and_column(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text('{"instruction": "a", "output": "b"}\n{"instruction": oops}\n', encoding="utf-8")
    with pytest.raises(DataError, match="line 2, column 17: not JSON"):
        read_data(path)
    path.write_text('[{"instruction": "a",\n "output": }]', encoding="utf-8")
    with pytest.raises(DataError, match="line 2, column 12: not JSON"):
        read_data(path)


def test_bytes_that_are_not_utf8_name_the_line(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_bytes(b'{"instruction": "a", "output": "b"}\n{"instruction": "\xff"}\n')
    with pytest.raises(DataError, match="line 2: not UTF-8"):
        read_data(path)


def test_missing_and_empty_files_and_repeated_ids_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_data(tmp_path / "nothing.jsonl")
    with pytest.raises(DataError, match="holds no instance"):
        read_data(write(tmp_path))
    twice = {"id": "a", "instruction": "Why?", "output": "Because."}
    with pytest.raises(DataError, match=r'line 2: id "a" was used at .*line 1'):
        read_data(write(tmp_path, twice, twice))


def test_the_recipes_differ_only_where_they_say() -> None:
    lft, sft = default_recipe("lft").as_dict(), default_recipe("sft").as_dict()
    assert {field for field in lft if lft[field] != sft.get(field)} == {"method", "lr", "rank", "alpha", "targets"}
    assert lft["rank"] == 8
    assert set(sft) < set(lft)


@pytest.mark.parametrize(
    ("field", "value"),
    [("lr", 0.0), ("epochs", 0), ("batch", 0), ("rank", 0), ("dtype", "float8"), ("targets", ()), ("seed", -1)],
)
def test_impossible_recipes_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(RecipeError, match=f"recipe: {field} is"):
        default_recipe("lft", **{field: value})


def test_recipe_changes_that_are_none_keep_the_default() -> None:
    assert default_recipe("sft", epochs=None, lr=3e-4).as_dict() == {**default_recipe("sft").as_dict(), "lr": 3e-4}
