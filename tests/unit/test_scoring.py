"""`tuneshift score` and `tuneshift classify`: every form of a line, and every way a line can be wrong."""

import asyncio
import json
from pathlib import Path

import pytest

from app.compare.lines import classify_lines
from app.compare.scoring import score_lines
from app.errors import AppError, EngineUnavailableError, InvalidInputError
from tests.scripted_engine import EOS, Script, scripted_engines


def score(tmp_path: Path, *records: object, **options: object) -> list[dict]:
    engines = scripted_engines(tmp_path, base=Script(base_ranks=(1,)), lft=Script(text="Yes."))
    lines = [record if isinstance(record, str) else json.dumps(record) for record in records]

    async def collect() -> list[dict]:
        records = score_lines(engines, base="base", tuned="lft", lines=lines, source="in.jsonl", **options)
        return [record async for record in records]

    return asyncio.run(collect())


def test_the_three_forms_of_a_line(tmp_path: Path) -> None:
    generated, given, by_ids = score(
        tmp_path,
        {"id": "a", "prompt": "Hm?"},
        {"id": "b", "prompt": "Hm?", "response": "No"},
        "",
        {"id": 3, "prompt_ids": [72, 109], "response_ids": [78, 111]},
    )
    assert [token["id"] for token in generated["tokens"]] == [*b"Yes.", EOS]
    assert [token["text"] for token in given["tokens"]] == ["N", "o"]
    assert (by_ids["id"], by_ids["prompt_ids"], [token["bytes_hex"] for token in by_ids["tokens"]]) == (
        3,
        [72, 109],
        ["4e", "6f"],
    )
    assert generated["prompt_ids"] == given["prompt_ids"] == list(b"Hm?")


def test_generation_obeys_max_tokens(tmp_path: Path) -> None:
    assert score(tmp_path, {"id": 1, "prompt": "Hm?"}, max_tokens=2)[0]["summary"]["n"] == 2


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{", "in.jsonl, line 1: not JSON"),
        ("[1]", "in.jsonl, line 1: it holds no JSON object."),
        ({"prompt": "x"}, "in.jsonl, line 1: id is missing"),
        ({"id": None, "prompt": "x"}, "in.jsonl, line 1: id is missing"),
        ({"id": 1}, "in.jsonl, line 1: prompt is missing."),
        ({"id": 1, "prompt": ""}, "in.jsonl, line 1: prompt is empty."),
        ({"id": 1, "prompt": 5}, "in.jsonl, line 1: prompt is not text."),
        ({"id": 1, "prompt": "x", "response": ""}, "in.jsonl, line 1: response is empty."),
        ({"id": 1, "prompt_ids": [1]}, "in.jsonl, line 1: response_ids is missing."),
        ({"id": 1, "prompt_ids": [1], "response_ids": []}, "in.jsonl, line 1: response_ids is not a list"),
        ({"id": 1, "prompt_ids": [1], "response_ids": [2, -1]}, "in.jsonl, line 1: response_ids[1] is -1"),
        ({"id": 1, "prompt_ids": [True], "response_ids": [2]}, "in.jsonl, line 1: prompt_ids[0] is true"),
        ({"id": 1, "prompt": "x", "response_ids": [2]}, "in.jsonl, line 1: it mixes prompt with response_ids."),
        ("[" * 100_000, "in.jsonl, line 1: nested too deeply."),
        ('{"id": ' + "9" * 5000 + "}", "in.jsonl, line 1: it holds a number with too many digits."),
        ('{"id": "\\ud800", "prompt": "x"}', "in.jsonl, line 1: id has half of a surrogate pair at character 1."),
    ],
)
def test_a_wrong_line_is_named_with_its_field(tmp_path: Path, line: object, complaint: str) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        score(tmp_path, line)
    assert refusal.value.message.startswith(complaint)
    assert refusal.value.remedy.startswith('Use {"id", "prompt"}')


def test_a_wrong_line_far_down_is_refused_before_anything_is_scored(tmp_path: Path) -> None:
    engines = scripted_engines(tmp_path)
    lines = ['{"id": 1, "prompt": "x"}', "oops"]

    async def first() -> None:
        async for _ in score_lines(engines, base="base", tuned="lft", lines=lines):
            pytest.fail("a record came before the refusal")

    with pytest.raises(InvalidInputError, match="line 2"):
        asyncio.run(first())
    assert engines.engine.requests == []


@pytest.mark.parametrize("kind", [InvalidInputError, EngineUnavailableError])
def test_what_a_model_refuses_or_fails_at_is_said_of_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[AppError]
) -> None:
    engines = scripted_engines(tmp_path)

    async def refuse(*_arguments: object, **_options: object) -> None:
        raise kind("lft has never seen token id 9.", remedy="Use others.", where="response_ids")

    monkeypatch.setattr(engines.engine, "score", refuse)

    async def run() -> None:
        lines = ["", '{"id": 1, "prompt_ids": [1], "response_ids": [9]}']
        async for _ in score_lines(engines, base="base", tuned="lft", lines=lines, source="in.jsonl"):
            pytest.fail("a record came out of a refusal")

    with pytest.raises(kind) as refusal:
        asyncio.run(run())
    assert refusal.value.message == "in.jsonl, line 2: response_ids: lft has never seen token id 9."
    assert refusal.value.remedy == "Use others."


def test_classify_counts_ranks() -> None:
    (record,) = classify_lines(['{"id": "r", "ranks": [1, 2, 3, 4]}'])
    # ceil(4 / 20) = 1 token is the first 5 %.
    assert record["id"] == "r"
    assert {key: record["summary"][key] for key in ("unshifted", "marginal", "shifted", "n")} == {
        "unshifted": 1,
        "marginal": 2,
        "shifted": 1,
        "n": 4,
    }
    assert record["summary"]["first5"]["n"] == 1


def test_classify_refuses_a_rank_below_one() -> None:
    with pytest.raises(InvalidInputError, match=r"ranks.jsonl, line 1: ranks\[1\] is 0, not a whole number from 1 up"):
        list(classify_lines(['{"id": 1, "ranks": [1, 0]}'], source="ranks.jsonl"))
