"""Exports against what their own tools ask of a file: evalica itself, and the published shapes written out."""

import csv
import io
import itertools
import json
import random

import evalica
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.results.formats.base import Mark, Shown
from app.stats.bradley_terry import bradley_terry, elo
from tests.unit.test_export_formats import ALL, ANSWERS, one, rows, written

# LLM Comparator, client/lib/types.ts: what a custom field may be.
FIELD_TYPES = {
    "number", "string", "category", "text", "url", "image_path", "image_byte", "per_model_boolean", "per_model_number",
    "per_model_category", "per_model_text", "per_rating_string", "per_rating_per_model_category",
}  # fmt: skip
EXAMPLE = {"input_text", "tags", "output_text_a", "output_text_b", "score", "individual_rater_scores", "custom_fields"}
# Label Studio's converter: task data, id, one key per control, and these, always there.
ALWAYS = ["annotator", "annotation_id", "created_at", "updated_at", "lead_time"]


def number(value):
    return isinstance(value, int | float) and not isinstance(value, bool)


def wrong_in_llm_comparator(whole):
    """List what LLM Comparator's types and README do not allow."""
    if set(whole) != {"metadata", "models", "examples"}:
        yield "top level"
    if not isinstance(whole["metadata"]["source_path"], str):
        yield "source_path"
    fields = {field["name"]: field["type"] for field in whole["metadata"]["custom_fields_schema"]}
    if set(fields.values()) - FIELD_TYPES:
        yield "type of a custom field"
    if len(whole["models"]) != 2 or any(set(model) != {"name"} for model in whole["models"]):
        yield "models"
    for example in whole["examples"]:
        yield from wrong_in_example(example, fields)


def wrong_in_example(example, fields):
    if set(example) != EXAMPLE or set(example["custom_fields"]) != set(fields):
        yield "keys of an example"
    if not all(isinstance(example[name], str) for name in ("input_text", "output_text_a", "output_text_b")):
        yield "texts"
    if not all(isinstance(tag, str) for tag in example["tags"]):
        yield "tags"
    ratings = example["individual_rater_scores"]
    if not all(number(score) and -1.5 <= score <= 1.5 for score in (example["score"], *(r["score"] for r in ratings))):
        yield "scores"
    if not all(isinstance(r["is_flipped"], bool) and isinstance(r["rationale"], str | None) for r in ratings):
        yield "ratings"


def wrong_in_json_min(records, choices, labels):
    """List what Label Studio's JSON-MIN does not have: a choice is its text, labels a list of values without a type."""
    for at, record in enumerate(records, start=1):
        if list(record)[-5:] != ALWAYS or not isinstance(record["id"], int):
            yield f"{at}: keys"
            continue
        if len({r["annotation_id"] for r in records}) != len(records):
            yield "annotation_id"
        if not all(isinstance(record[name], str) for name in choices):
            yield f"{at}: choices"
        for span in itertools.chain(*(record[name] for name in labels)):
            if set(span) != {"start", "end", "text", "labels"} or not isinstance(span["labels"], list):
                yield f"{at}: labels"
        if record["lead_time"] is not None and not number(record["lead_time"]):
            yield f"{at}: lead_time"


judged = st.builds(
    one,
    st.sampled_from(ANSWERS),
    number=st.integers(1, 10**6),
    excluded=st.booleans(),
    strength=st.sampled_from([None, 1, 2, 3]),
    comment=st.text(max_size=5),
    marks=st.sampled_from([(), (Mark("right", 0, 5, "short", "invented", "major"),)]),
)


@settings(deadline=None)
@given(st.lists(judged, max_size=6))
def test_llm_comparator_and_label_studio_get_what_they_ask_for(ones):
    assert list(wrong_in_llm_comparator(rows("llm_comparator_1.json", ones))) == []
    records = rows("label_studio_min.json", ones)
    assert list(wrong_in_json_min(records, ["preference"], ["spans_left", "spans_right"])) == []


def test_the_checkers_see_what_is_wrong():
    whole = rows("llm_comparator_1.json", ALL)
    for broken in (
        whole | {"models": [{"name": "a"}]},
        whole | {"examples": [whole["examples"][0] | {"score": 2.0}]},
        whole | {"examples": [whole["examples"][0] | {"tags": [1]}]},
        whole | {"examples": [whole["examples"][0] | {"custom_fields": {}}]},
        whole | {"metadata": {"source_path": "x", "custom_fields_schema": [{"name": "item_id", "type": "id"}]}},
    ):
        assert list(wrong_in_llm_comparator(json.loads(json.dumps(broken))))
    (record, *_) = rows("label_studio_min.json", ALL)
    for broken in (
        {name: value for name, value in record.items() if name != "lead_time"},
        record | {"preference": ["left"]},
        record | {"spans_left": [{"start": 0, "end": 1, "text": "x", "labels": ["y"], "type": "Labels"}]},
    ):
        assert list(wrong_in_json_min([broken], ["preference"], ["spans_left", "spans_right"]))


@pytest.mark.parametrize("seed", range(20))
def test_evalica_loads_its_file_and_finds_the_same_strengths(seed):
    draw = random.Random(seed)
    names = ["base", "lft", "other", "sft"]
    texts = {name: Shown(name, f"Text of {name}.") for name in names}
    ones = [
        one(draw.choice(ANSWERS), left=texts[pair[0]], right=texts[pair[1]], number=at)
        for at, pair in enumerate(draw.choices(list(itertools.permutations(names, 2)), k=150))
    ]
    text, _ = written("evalica.csv", ones, pairs=tuple(itertools.combinations(names, 2)))
    frame = pd.read_csv(io.StringIO(text), dtype=str)
    winners = [
        {"left": evalica.Winner.X, "right": evalica.Winner.Y, "tie": evalica.Winner.Draw}[w] for w in frame["winner"]
    ]
    theirs = evalica.bradley_terry(frame["left"], frame["right"], winners, tolerance=1e-12, limit=100_000).scores
    ratings = evalica.elo(frame["left"], frame["right"], winners).scores

    read = list(csv.DictReader(io.StringIO(text, newline="")))
    left, right = ([names.index(row[side]) for row in read] for side in ("left", "right"))
    score = [{"left": 1.0, "right": 0.0, "tie": 0.5}[row["winner"]] for row in read]
    ours = bradley_terry(names, left, right, score, np.arange(len(read)), draws=10)
    assert ours.reason == ""
    assert [one.value for one in ours.strengths] == pytest.approx((theirs / theirs.sum())[names].tolist(), abs=1e-8)
    assert elo(4, left, right, score) == pytest.approx(ratings[names].tolist(), abs=1e-9)
