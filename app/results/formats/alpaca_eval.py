"""annotations.json of alpaca_eval. Pure."""

from collections.abc import Sequence

from app.results.formats.base import JSON_LIST, TIES, Comparison, Format, unjudged
from app.results.records import json_text


def _preference(one: Comparison) -> float:
    if one.preference in TIES:
        return 1.5
    first = one.in_order[0]
    return 1.0 if one.preferred and one.preferred[0] is first else 2.0


def alpaca_eval(dataset: str) -> Format:
    """Return the format, with the study's name as the dataset."""

    def records(ones: Sequence[Comparison], _before: int) -> list[str]:
        lines = []
        for one in ones:
            first, second = one.in_order
            row = {
                "instruction": one.prompt,
                "output_1": first.text,
                "generator_1": first.model,
                "dataset": dataset,
                "output_2": second.text,
                "generator_2": second.model,
                "annotator": one.annotator,
                "preference": _preference(one),
                "price_per_example": None,
                "time_per_example": one.active_seconds,
                "raw_completion": None,
            }
            lines.append(json_text(row))
        return lines

    return Format(
        "alpaca_eval.json",
        "alpaca_eval, annotations: generator_1 is the alphabetically first arm, whatever side it stood on, so the mean "
        "of preference less 1 is the win rate of generator_2; 1.5 is a tie of either kind. time_per_example is active "
        "seconds; nothing was paid for or completed by a model, so price_per_example and raw_completion are null.",
        unjudged,
        records,
        **JSON_LIST,
    )
