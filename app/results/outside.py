"""Comparisons judged with other tools, read for the statistics: who won, of which item, by whom. Pure.

Chatbot Arena's clean battles, MT-bench's human judgments, alpaca_eval's annotations, evalica's table, and our own
preferences. What a file does not say stays unknown.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.cells import csv_line, raw_cell
from app.studies.records import BadFileError, read_records

_FIRST, _SECOND, _TIE = 1.0, 2.0, 1.5
_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Outside:
    """A comparison; what is None the file does not say."""

    left: str
    right: str
    winner: str
    item: str | None = None
    annotator: str | None = None
    lengths: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class OutsideFile:
    """What a file holds: the tool it is of, its comparisons, and what was left out by reason. `sides` are real ones."""

    tool: str
    comparisons: tuple[Outside, ...]
    left_out: Mapping[str, int]
    sides: bool


class _LeftOutError(Exception):
    """A row that is right, and no comparison."""


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} is missing or no text")
    return value


def _one_of(fields: Mapping[str, Any], name: str, known: Mapping[str, str]) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"{name} is {str(value)[:_SHOWN]!r}, and must be one of {', '.join(known)}")
    return known[value]


def _known(fields: Mapping[str, Any], name: str) -> str | None:
    value = fields.get(name)
    return None if value is None or value == "" else str(value)


def _hashed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _battle(fields: Mapping[str, Any]) -> Outside:
    winners = {"model_a": "left", "model_b": "right", "tie": "tie", "tie (bothbad)": "tie"}
    sides = [_said(fields.get(f"conversation_{side}")) for side in ("a", "b")]
    asked = sides[0][0] if sides[0] else None
    both = (sides[0][1], sides[1][1]) if sides[0] and sides[1] else None
    return Outside(
        left=_text(fields, "model_a"),
        right=_text(fields, "model_b"),
        winner=_one_of(fields, "winner", winners),
        # In clean battles every battle has a question_id of its own; the same prompt is the same item.
        item=_hashed(asked) if asked else _known(fields, "question_id"),
        annotator=_known(fields, "judge"),
        lengths=both,
    )


def _said(conversation: object) -> tuple[str, int] | None:
    """Return what the user asked and how many code points the model answered; None without a conversation."""
    if isinstance(conversation, str):
        try:
            conversation = json.loads(conversation)
        except ValueError as error:
            raise ValueError("a conversation is no JSON list of messages") from error
    if conversation is None:
        return None
    if not isinstance(conversation, Sequence) or not all(isinstance(one, Mapping) for one in conversation):
        raise ValueError("a conversation is no list of messages")
    asked = "\n".join(str(one.get("content", "")) for one in conversation if one.get("role") == "user")
    return asked, sum(len(str(one.get("content", ""))) for one in conversation if one.get("role") == "assistant")


def _annotation(fields: Mapping[str, Any]) -> Outside:
    value = fields.get("preference")
    if value in {None, ""}:
        raise _LeftOutError("no preference")
    try:
        preference = float(str(value))
    except ValueError:
        preference = 0.0
    if not _FIRST <= preference <= _SECOND:
        raise ValueError(f"preference is {str(value)[:_SHOWN]!r}, and must be a number from 1 to 2")
    outputs = [fields.get(name) for name in ("output_1", "output_2")]
    both = (len(outputs[0]), len(outputs[1])) if all(isinstance(one, str) for one in outputs) else None  # type: ignore[arg-type]
    return Outside(
        left=_text(fields, "generator_1"),
        right=_text(fields, "generator_2"),
        winner="tie" if preference == _TIE else "left" if preference < _TIE else "right",
        item=_hashed(_text(fields, "instruction")) if fields.get("instruction") else None,
        annotator=_known(fields, "annotator"),
        lengths=both,
    )


def _table(fields: Mapping[str, Any]) -> Outside:
    lengths = [fields.get(name) for name in ("length_left", "length_right")]
    given = [one for one in lengths if one not in {None, ""}]
    if given and not all(str(one).isascii() and str(one).isdecimal() for one in given):
        raise ValueError("length_left and length_right must be whole numbers")
    return Outside(
        left=_text(fields, "left"),
        right=_text(fields, "right"),
        winner=_one_of(fields, "winner", {"left": "left", "right": "right", "tie": "tie"}),
        item=_known(fields, "item"),
        annotator=_known(fields, "annotator"),
        lengths=(int(given[0]), int(given[1])) if len(given) == len(lengths) else None,
    )


def _own(fields: Mapping[str, Any]) -> Outside:
    answers = {"left": "left", "right": "right", "tie_good": "tie", "tie_bad": "tie", "cannot_judge": ""}
    winner = _one_of(fields, "preference_raw", answers)
    if fields.get("excluded") in {True, "true"}:
        raise _LeftOutError("excluded by a rule")
    if not winner:
        raise _LeftOutError("could not be judged")
    return Outside(
        left=_text(fields, "model_left"),
        right=_text(fields, "model_right"),
        winner=winner,
        item=_known(fields, "item_id"),
        annotator=_known(fields, "annotator_pid"),
    )


_TOOLS: tuple[tuple[str, frozenset[str], Callable[[Mapping[str, Any]], Outside], bool], ...] = (
    ("Tuneshift preferences", frozenset({"preference_raw", "model_left", "model_right"}), _own, True),
    ("alpaca_eval annotations", frozenset({"generator_1", "generator_2", "preference"}), _annotation, False),
    ("Chatbot Arena or MT-bench", frozenset({"model_a", "model_b", "winner"}), _battle, True),
    ("evalica", frozenset({"left", "right", "winner"}), _table, True),
)


_MODELS = (("model_a", "model_b"), ("generator_1", "generator_2"), ("model_left", "model_right"), ("left", "right"))


def read_outside(text: str) -> OutsideFile:
    """Read a CSV, JSON Lines or JSON file of comparisons. Raises BadFileError naming every wrong row."""
    records = read_records(text)
    names = records[0].fields.keys()
    found = next((tool for tool in _TOOLS if tool[1] <= names), None)
    if found is None:
        offered = "; ".join(f"{name}: {', '.join(sorted(columns))}" for name, columns, _, _ in _TOOLS)
        raise BadFileError([f"These columns are of no tool that is known. {offered}."])
    tool, _, read, sides = found
    from_csv = not text.lstrip("\ufeff \t\r\n").startswith(("{", "["))
    problems: list[str] = []
    comparisons: list[Outside] = []
    left_out: dict[str, int] = {}
    for record in records:
        fields = {name: raw_cell(value) for name, value in record.fields.items()} if from_csv else record.fields
        try:
            comparisons.append(read(fields))
        except _LeftOutError as reason:
            left_out[str(reason)] = left_out.get(str(reason), 0) + 1
        except ValueError as error:
            problems.append(f"Row {record.row}: {error}.")
    if problems:
        raise BadFileError(problems)
    return OutsideFile(tool, tuple(comparisons), left_out, sides)


def of_models(text: str, models: Sequence[str]) -> tuple[list[str], int, int]:
    """Pick the rows that compare two of some models, every column as it was; returns lines, rows kept, and others.

    The lines are of a CSV where the file was one, else of JSON Lines.

    Raises BadFileError for columns of no known tool, and for a model that no row names.
    """
    records = read_records(text)
    names = next((pair for pair in _MODELS if set(pair) <= records[0].fields.keys()), None)
    if names is None:
        offered = "; ".join(" and ".join(pair) for pair in _MODELS)
        raise BadFileError([f"No columns name the models compared. Known are {offered}."])
    from_csv = not text.lstrip("\ufeff \t\r\n").startswith(("{", "["))
    rows = [
        {name: raw_cell(value) for name, value in record.fields.items()} if from_csv else dict(record.fields)
        for record in records
    ]
    there = {str(row.get(name)) for row in rows for name in names}
    unknown = [one for one in models if one not in there]
    if unknown:
        shown = ", ".join(sorted(there)[:_SHOWN])
        raise BadFileError([f"No row names the model {unknown[0][:_SHOWN]!r}. There are {shown}."])
    kept = [row for row in rows if {str(row.get(name)) for name in names} <= {*models}]
    if from_csv:
        columns = list(dict.fromkeys(name for row in rows for name in row))
        lines = [csv_line(columns), *(csv_line([row.get(name) for name in columns]) for row in kept)]
    else:
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in kept]
    return lines, len(kept), len(rows) - len(kept)


def comparison_lines(comparisons: Sequence[Outside]) -> Iterator[str]:
    """Write comparisons as `tuneshift stats preference` reads them; what no row says has no column."""
    columns: list[tuple[str, Callable[[Outside], Any]]] = [
        ("left", lambda one: one.left),
        ("right", lambda one: one.right),
        ("winner", lambda one: one.winner),
    ]
    if any(one.item is not None for one in comparisons):
        columns.append(("item", lambda one: one.item))
    if any(one.annotator is not None for one in comparisons):
        columns.append(("annotator", lambda one: one.annotator))
    if comparisons and all(one.lengths is not None for one in comparisons):
        columns.append(("length_left", lambda one: one.lengths and one.lengths[0]))
        columns.append(("length_right", lambda one: one.lengths and one.lengths[1]))
    yield csv_line([name for name, _ in columns])
    for one in comparisons:
        yield csv_line([value(one) for _, value in columns])
