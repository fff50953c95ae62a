"""`tuneshift trace`: lines in, lines out, and every bad line refused by file, line and field."""

import json

import pytest
from typer.testing import CliRunner

from app.cli import cli
from app.errors import InvalidInputError
from app.provenance.lines import parse_trace_line
from app.shift.classes import ShiftClass

SET = [
    {"id": "moon", "instruction": "Who?", "output": "Frank Borman, Jim Lovell and Bill Anders flew around it."},
    {"instruction": "Bread?", "output": "Mix flour, water and salt; wait a day; bake it hot."},
    {"messages": [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello there, ask away whenever you like."},
        {"role": "user", "content": "Tea?"},
        {"role": "assistant", "content": "Boil fresh water and wait four whole minutes."},
    ]},
]  # fmt: skip
RESPONSE = "Then Jim Lovell and Bill Anders flew around it; 🙂 wait four whole minutes."


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.setenv("TUNESHIFT_DATA_DIR", str(tmp_path / "data"))
    (tmp_path / "set.jsonl").write_text("".join(json.dumps(record) + "\n" for record in SET), encoding="utf-8")

    def run(*lines, options=()):
        source = tmp_path / "in.jsonl"
        source.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
        arguments = ["--tuning-set", str(tmp_path / "set.jsonl"), "--input", str(source), "--output", "-", *options]
        return CliRunner().invoke(cli, ["trace", *arguments])

    return run


def test_a_line_per_response_and_nothing_else_on_standard_output(files):
    result = files({"id": 7, "response": RESPONSE, "prompt": "Who?"}, {"id": "empty", "response": ""})
    assert result.exit_code == 0, result.output
    first, second = map(json.loads, result.stdout.splitlines())
    assert (first["id"], second["id"]) == (7, "empty")
    span = first["spans"][0]
    assert RESPONSE[span["start"] : span["end"]] == span["text"] == "Jim Lovell and Bill Anders flew around it"
    (source,) = span["instances"]
    assert source["instance"] == "moon"
    assert SET[0]["output"][source["start"] : source["end"]] == span["text"]
    assert source["snippet"] == SET[0]["output"]
    # The second record without an id is known by its place.
    assert {neighbour["instance"] for neighbour in first["neighbours"]} == {"moon", "1", "2"}
    scores = [neighbour["score"] for neighbour in first["neighbours"]]
    assert scores == sorted(scores, reverse=True)
    for neighbour in first["neighbours"]:
        assert neighbour["reasons"]
        for shared in neighbour["shared"]:
            assert RESPONSE[shared["start"] : shared["end"]] == shared["text"]
    assert first["borrowed"]["shifted"]["reason"]
    assert (second["spans"], second["neighbours"]) == ([], [])


def test_k_and_tokens(files):
    tokens = [{"text": "Then Jim Lovell", "class": "unshifted"}, {"text": RESPONSE[15:], "class": "shifted"}]
    result = files({"id": 1, "response": RESPONSE, "tokens": tokens}, options=["--k", "1"])
    (record,) = map(json.loads, result.stdout.splitlines())
    assert len(record["neighbours"]) == 1
    assert record["borrowed"]["shifted"]["tokens"] == 1
    assert record["borrowed"]["neighbours"] == 1


def test_the_index_is_kept_by_content(files, tmp_path):
    files({"id": 1, "response": "x"})
    (kept,) = (tmp_path / "data" / "provenance").iterdir()
    before = (kept / "index.json").stat().st_mtime_ns
    files({"id": 1, "response": "x"})
    assert (kept / "index.json").stat().st_mtime_ns == before
    with (tmp_path / "set.jsonl").open("a") as file:
        file.write(json.dumps({"instruction": "More?", "output": "Yes."}) + "\n")
    files({"id": 1, "response": "x"})
    assert len(list((tmp_path / "data" / "provenance").iterdir())) == 2


TOKEN = {"text": "ab", "class": "shifted"}
BAD = [
    ("[1]", "no JSON object"),
    ({"response": "x"}, "id is missing"),
    ({"id": True, "response": "x"}, "id is missing, or neither"),
    ({"id": 1}, "response is missing"),
    ({"id": 1, "response": 3}, "response is not text"),
    ({"id": 1, "response": "a\ud800"}, "response has half of a surrogate pair at character 2"),
    ({"id": 1, "response": "a", "prompt": 4}, "prompt is not text"),
    ({"id": 1, "response": "a", "tokens": {}}, "tokens is not a list"),
    ({"id": 1, "response": "a", "tokens": [3]}, "tokens[0]: it is no JSON object"),
    ({"id": 1, "response": "ab", "tokens": [{"text": "ab", "class": "odd"}]}, "tokens[0]: class is not one of"),
    ({"id": 1, "response": "ab", "tokens": [{"text": "ab"}]}, "tokens[0]: class is not one of"),
    ({"id": 1, "response": "abc", "tokens": [TOKEN, TOKEN]}, "tokens[1] does not continue response at character 3"),
    ({"id": 1, "response": "abab", "tokens": [TOKEN]}, "tokens end at character 2 of 4"),
    ({"id": 1, "response": "ab", "tokens": [{"id": 5, "class": "shifted"}]}, "tokens[0]: it has no text and no bytes"),
    ({"id": 1, "response": "é", "tokens": [{"bytes_hex": "c3", "class": "shifted"}]}, "tokens end at byte 1 of 2"),
    ({"id": 1, "response": "é", "tokens": [{"bytes_hex": "c4", "class": "shifted"}]}, "tokens[0] does not continue"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "problem"), BAD, ids=[problem for _, problem in BAD])
def test_bad_lines_are_refused_before_anything_is_written(files, line, problem):
    result = files({"id": 0, "response": "fine"}, line)
    assert isinstance(result.exception, InvalidInputError)
    assert "in.jsonl, line 2" in result.exception.message
    assert problem in result.exception.message
    assert result.stdout == ""


def test_broken_json_is_refused_by_line_and_column(files):
    error = files({"id": 0, "response": "fine"}, "{oops").exception
    assert "in.jsonl, line 2, column 2" in error.message


def test_a_missing_tuning_set_is_refused(files, tmp_path):
    (tmp_path / "set.jsonl").unlink()
    error = files({"id": 0, "response": "fine"}).exception
    assert "set.jsonl" in error.message
    assert isinstance(error, InvalidInputError)


def test_a_tuning_set_of_unknown_shape_is_refused_and_leaves_no_index(files, tmp_path):
    (tmp_path / "set.jsonl").write_text('{"instruction": "a", "output": "b"}\n{"text": "?"}\n')
    error = files({"id": 0, "response": "fine"}).exception
    assert "set.jsonl, line 2" in error.message
    assert list((tmp_path / "data" / "provenance").iterdir()) == []


def parsed(response, tokens):
    return [
        (token.start, token.end, token.shift)
        for token in parse_trace_line({"id": 1, "response": response, "tokens": tokens}, "here").tokens
    ]


def test_tokens_lie_side_by_side_and_an_end_token_has_no_place():
    tokens = [
        {"text": "a", "class": "shifted"},
        {"text": "", "class": "marginal"},
        {"text": "👍", "class": "marginal"},
        {"text": "<end>", "class": "unshifted"},
    ]
    classes = [ShiftClass(token["class"]) for token in tokens]
    assert parsed("a👍", tokens) == list(zip([0, 1, 1, 2], [1, 1, 2, 2], classes, strict=True))


def test_bytes_of_a_split_character_belong_to_the_token_that_completes_it():
    raw = "a👍b".encode()
    tokens = [{"bytes_hex": raw[low:high].hex(), "class": "shifted"} for low, high in [(0, 2), (2, 5), (5, 6)]]
    assert [(start, end) for start, end, _ in parsed("a👍b", tokens)] == [(0, 1), (1, 2), (2, 3)]
    end = {"bytes_hex": "3c656e643e", "class": "unshifted"}
    assert [(start, end) for start, end, _ in parsed("a👍b", [*tokens, end])][-1] == (3, 3)
