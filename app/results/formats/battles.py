"""Who won: Chatbot Arena's clean battles, evalica's table, and the same with what clusters the intervals. Pure."""

from collections.abc import Sequence
from typing import Any

from app.cells import csv_line
from app.results.formats.base import JSON_LIST, TIES, Comparison, Format, Shown, seconds, unjudged
from app.results.records import json_text

_WINNERS = {"left": "model_a", "right": "model_b", "tie_good": "tie", "tie_bad": "tie (bothbad)"}


def _conversation(prompt: str, shown: Shown) -> list[dict[str, Any]]:
    return [
        {"role": "user", "content": prompt, "num_tokens": None},
        {"role": "assistant", "content": shown.text, "num_tokens": shown.tokens},
    ]


def _battles(ones: Sequence[Comparison], _before: int) -> list[str]:
    return [
        json_text(
            {
                "question_id": one.presentation_id,
                "model_a": one.left.model,
                "model_b": one.right.model,
                "winner": _WINNERS[one.preference],
                "judge": f"arena_user_{one.annotator}",
                "conversation_a": _conversation(one.prompt, one.left),
                "conversation_b": _conversation(one.prompt, one.right),
                "turn": 1,
                "anony": True,
                "language": "unknown",
                "tstamp": seconds(one.submitted_at),
            }
        )
        for one in ones
    ]


def _winner(one: Comparison) -> str:
    return "tie" if one.preference in TIES else one.preference


def _evalica(ones: Sequence[Comparison], _before: int) -> list[str]:
    return [csv_line([one.left.model, one.right.model, _winner(one)]) for one in ones]


def _comparisons(ones: Sequence[Comparison], _before: int) -> list[str]:
    return [
        csv_line(
            [
                one.left.model, one.right.model, _winner(one), one.item_id, one.annotator,
                len(one.left.text), len(one.right.text),
            ]
        )
        for one in ones
    ]  # fmt: skip


ARENA = Format(
    "arena_battles.json",
    "Chatbot Arena, clean battles: model_a stood left. question_id is the presentation, so it is there once; "
    "num_tokens of a prompt is null, and so is that of a response given as text; no language was detected.",
    unjudged,
    _battles,
    **JSON_LIST,
)
EVALICA = Format(
    "evalica.csv",
    "evalica: left, right, winner (left, right or tie, of both kinds).",
    unjudged,
    _evalica,
    csv_line(["left", "right", "winner"]),
    "",
    "",
)
COMPARISONS = Format(
    "comparisons.csv",
    "For `tuneshift stats preference` and `stats effects`: as evalica.csv, with item, annotator, and the lengths of "
    "both responses in code points.",
    unjudged,
    _comparisons,
    csv_line(["left", "right", "winner", "item", "annotator", "length_left", "length_right"]),
    "",
    "",
)
