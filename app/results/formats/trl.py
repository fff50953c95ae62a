"""Preferences for training with TRL: standard, conversational, and unpaired as KTO takes them. Pure."""

from collections.abc import Sequence

from app.results.formats.base import Comparison, Format, undecided
from app.results.records import json_text


def _preferred(one: Comparison) -> tuple[str, str]:
    pair = one.preferred
    if pair is None:
        raise ValueError(f"{one.presentation_id} prefers neither side")
    return pair[0].text, pair[1].text


def _standard(ones: Sequence[Comparison], _before: int) -> list[str]:
    lines = []
    for one in ones:
        chosen, rejected = _preferred(one)
        lines.append(json_text({"prompt": one.prompt, "chosen": chosen, "rejected": rejected}))
    return lines


def _conversational(ones: Sequence[Comparison], _before: int) -> list[str]:
    lines = []
    for one in ones:
        chosen, rejected = _preferred(one)
        row = {
            "prompt": [{"role": "user", "content": one.prompt}],
            "chosen": [{"role": "assistant", "content": chosen}],
            "rejected": [{"role": "assistant", "content": rejected}],
        }
        lines.append(json_text(row))
    return lines


def _unpaired(ones: Sequence[Comparison], _before: int) -> list[str]:
    lines = []
    for one in ones:
        for text, label in zip(_preferred(one), (True, False), strict=True):
            lines.append(json_text({"prompt": one.prompt, "completion": text, "label": label}))
    return lines


_JUDGED = "One row per judgment, so a pair that several annotators judged is there several times, contradictions too."

PREFERENCE = Format(
    "trl_preference.jsonl",
    f"TRL, preference, standard: prompt, chosen, rejected. {_JUDGED} Ties have no row: nothing decides them.",
    undecided,
    _standard,
)
CONVERSATIONAL = Format(
    "trl_preference_conversational.jsonl",
    f"TRL, preference, conversational: the three as lists of messages. {_JUDGED} Ties have no row.",
    undecided,
    _conversational,
)
UNPAIRED = Format(
    "trl_kto.jsonl",
    "TRL, unpaired preference for KTO: prompt, completion, label; two rows per judgment, the preferred response true "
    "and the other false. Ties have no row.",
    undecided,
    _unpaired,
)
