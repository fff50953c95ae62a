"""The lines that `tuneshift score` and `tuneshift classify` read; no model is needed to check them or to count ranks.

Lines to score: `{"id", "prompt"}` (answered greedily first), `{"id", "prompt", "response"}` or
`{"id", "prompt_ids", "response_ids"}`. Every refusal names the line and the field.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.errors import InvalidInputError
from app.shift.record import summary_dict
from app.shift.summary import summarise_ranks

SCORE_FORMS = 'Use {"id", "prompt"}, {"id", "prompt", "response"} or {"id", "prompt_ids", "response_ids"}.'
CLASSIFY_FORM = 'Use {"id", "ranks": [1, 3, ...]}, ranks counted from 1.'
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class ScoreLine:
    """One checked input line: either texts (`response` None: to be generated) or ids. `number` is 1-based."""

    number: int
    id: str | int
    prompt: str = ""
    response: str | None = None
    prompt_ids: tuple[int, ...] = ()
    response_ids: tuple[int, ...] = ()


def parse_score_lines(lines: Iterable[str], *, source: str | Path = "input") -> Iterator[ScoreLine]:
    """Check input lines; blank ones are passed over. Raises InvalidInputError."""
    for number, record in _objects(lines, source=source, remedy=SCORE_FORMS):
        where = f"{source}, line {number}"
        yield _score_line(number, record, where)


def classify_lines(lines: Iterable[str], *, source: str | Path = "input") -> Iterator[dict[str, Any]]:
    """Yield `{"id", "summary"}` for each line of base ranks. Raises InvalidInputError."""
    for number, record in _objects(lines, source=source, remedy=CLASSIFY_FORM):
        ranks = _integers(record, "ranks", f"{source}, line {number}", least=1, remedy=CLASSIFY_FORM)
        yield {"id": record["id"], "summary": summary_dict(summarise_ranks(ranks))}


def _score_line(number: int, record: dict[str, Any], where: str) -> ScoreLine:
    by_ids = {"prompt_ids", "response_ids"} & record.keys()
    by_text = {"prompt", "response"} & record.keys()
    if by_ids and by_text:
        raise InvalidInputError(f"{where}: it mixes {_listed(by_text)} with {_listed(by_ids)}.", remedy=SCORE_FORMS)
    if by_ids:
        prompt_ids = _integers(record, "prompt_ids", where, least=0, remedy=SCORE_FORMS)
        response_ids = _integers(record, "response_ids", where, least=0, remedy=SCORE_FORMS)
        return ScoreLine(number, record["id"], prompt_ids=prompt_ids, response_ids=response_ids)
    prompt = _text(record, "prompt", where)
    response = _text(record, "response", where) if "response" in record else None
    return ScoreLine(number, record["id"], prompt=prompt, response=response)


def _objects(lines: Iterable[str], *, source: str | Path, remedy: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{source}, line {number}"
        record = _parsed(line, where, remedy)
        if not isinstance(record, dict):
            raise InvalidInputError(f"{where}: it holds no JSON object.", remedy=remedy)
        if not isinstance(record.get("id"), str | int) or isinstance(record.get("id"), bool):
            raise InvalidInputError(f"{where}: id is missing, or neither text nor a whole number.", remedy=remedy)
        if half := _half(str(record["id"])):
            raise InvalidInputError(f"{where}: id {half}.", remedy=remedy)
        yield number, record


def _parsed(line: str, where: str, remedy: str) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        problem = f"not JSON ({error.msg} at column {error.colno})"
    except RecursionError:
        problem = "nested too deeply"
    except ValueError:
        problem = "it holds a number with too many digits"
    raise InvalidInputError(f"{where}: {problem}.", remedy=remedy)


def _half(text: str) -> str:
    """Say where half of a surrogate pair stands, which no file can hold and no model can read; nothing if nowhere."""
    found = _SURROGATE.search(text)
    return f"has half of a surrogate pair at character {found.start() + 1}" if found else ""


def _text(record: dict[str, Any], field: str, where: str) -> str:
    value = record.get(field)
    if not isinstance(value, str) or not value:
        said = "is missing" if field not in record else "is empty" if value == "" else "is not text"
        raise InvalidInputError(f"{where}: {field} {said}.", remedy=SCORE_FORMS)
    if half := _half(value):
        raise InvalidInputError(f"{where}: {field} {half}.", remedy="Remove that character.")
    return value


def _integers(record: dict[str, Any], field: str, where: str, *, least: int, remedy: str) -> tuple[int, ...]:
    values = record.get(field)
    if not isinstance(values, list) or not values:
        said = "is missing" if field not in record else "is not a list with at least one number"
        raise InvalidInputError(f"{where}: {field} {said}.", remedy=remedy)
    for position, value in enumerate(values):
        if type(value) is not int or value < least:
            raise InvalidInputError(
                f"{where}: {field}[{position}] is {json.dumps(value)[:40]}, not a whole number from {least} up.",
                remedy=remedy,
            )
    return tuple(values)


def _listed(fields: set[str]) -> str:
    return " and ".join(sorted(fields))
