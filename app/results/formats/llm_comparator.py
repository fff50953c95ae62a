"""The JSON file LLM Comparator opens: one for each pair of arms. Pure."""

from collections.abc import Sequence

from app.results.formats.base import Comparison, Format, unjudged
from app.results.records import json_text

# Slightly, clearly, much; a preference whose strength was not asked is a clear one.
_SCORES = {1: 0.5, 2: 1.0, 3: 1.5, None: 1.0}


def _score(one: Comparison) -> float:
    if one.preferred is None:
        return 0.0
    size = _SCORES[one.strength]
    return size if one.preferred[0] is one.in_order[0] else -size


def _example(ones: Sequence[Comparison]) -> str:
    first, second = ones[0].in_order
    scores = [_score(one) for one in ones]
    return json_text(
        {
            "input_text": ones[0].prompt,
            "tags": [],
            "output_text_a": first.text,
            "output_text_b": second.text,
            "score": sum(scores) / len(scores),
            "individual_rater_scores": [
                {"is_flipped": one.left is not one.in_order[0], "score": score, "rationale": one.comment}
                for one, score in zip(ones, scores, strict=True)
            ],
            "custom_fields": {"item_id": ones[0].item_id},
        }
    )


def llm_comparator(number: int, first: str, second: str, *, source: str) -> Format:
    """Return the format for the pair of arms `first` and `second`, in alphabetical order."""

    def left_out(one: Comparison) -> str:
        models = tuple(shown.model for shown in one.in_order)
        return unjudged(one) or ("" if models == (first, second) else "another pair")

    fields = [{"name": "item_id", "type": "string"}]
    head = {"metadata": {"source_path": source, "custom_fields_schema": fields}}
    models = [{"name": first}, {"name": second}]
    return Format(
        f"llm_comparator_{number}.json",
        f"LLM Comparator, {first} (A) against {second} (B): an example per item. A judgment scores 0.5, 1 or 1.5 "
        "for slightly, clearly or much better, 1 where it was not asked, 0 for a tie; above 0 where A is preferred, "
        "whatever side it stood on, and is_flipped tells that it stood right. The score of an item is their mean.",
        left_out,
        lambda ones, _before: [_example(ones)],
        f'{json_text(head)[:-1]},"models":{json_text(models)},"examples":[\n',
        ",\n",
        "\n]}\n",
    )
