"""JSON-MIN of Label Studio. Pure."""

from collections.abc import Sequence
from typing import Any

from app.cells import utc_text
from app.results.formats.base import JSON_LIST, Comparison, Format, unjudged
from app.results.records import json_text


def _labels(one: Comparison, side: str) -> list[dict[str, Any]]:
    return [
        {"start": mark.start, "end": mark.end, "text": mark.text, "labels": [mark.type]}
        for mark in one.marks
        if mark.side == side
    ]


def _records(ones: Sequence[Comparison], before: int) -> list[str]:
    lines = []
    for number, one in enumerate(ones, start=before + 1):
        row: dict[str, Any] = {
            "id": number,
            "item_id": one.item_id,
            "prompt": one.prompt,
            "model_left": one.left.model,
            "model_right": one.right.model,
            "response_left": one.left.text,
            "response_right": one.right.text,
            "preference": one.preference,
            "spans_left": _labels(one, "left"),
            "spans_right": _labels(one, "right"),
            "annotator": one.annotator,
            "annotation_id": number,
            "created_at": utc_text(one.handed_at) if one.handed_at else None,
            "updated_at": utc_text(one.submitted_at),
            "lead_time": one.active_seconds,
        }
        lines.append(json_text(row))
    return lines


JSON_MIN = Format(
    "label_studio_min.json",
    "Label Studio, JSON-MIN: a task per judgment. preference is a choice, since its Pairwise knows no tie; spans_left "
    "and spans_right are labels with the type of the hallucination; lead_time is active seconds. As in Label Studio's "
    "own export, cancelled annotations are not in it: those that could not be judged.",
    unjudged,
    _records,
    **JSON_LIST,
)
