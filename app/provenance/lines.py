"""Check the input of `tuneshift trace`: `{"id", "response", "prompt"?, "tokens"?}`, one object a line."""

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from app.errors import InvalidInputError
from app.provenance.tokens import TokenRange
from app.shift.classes import ShiftClass

FORM = 'Use {"id", "response"}, with "tokens" as `tuneshift score` writes them where there are some.'
_CLASSES = ", ".join(ShiftClass)
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class TraceLine:
    """One checked input line; `tokens` is empty when the line has none."""

    id: str | int
    response: str
    tokens: tuple[TokenRange, ...]


def parse_trace_line(value: Any, where: str) -> TraceLine:
    """Check one JSON value that stands at `where`. Raises InvalidInputError naming place and field."""
    if not isinstance(value, dict):
        raise _refused(where, "it holds no JSON object")
    record_id = value.get("id")
    if not isinstance(record_id, str | int) or isinstance(record_id, bool):
        raise _refused(where, "id is missing, or neither text nor a whole number")
    _whole_text(str(record_id), "id", where)
    response = _text(value, "response", where)
    if value.get("prompt") is not None:
        _text(value, "prompt", where)
    tokens = value.get("tokens")
    if tokens is None:
        return TraceLine(record_id, response, ())
    if not isinstance(tokens, list):
        raise _refused(where, "tokens is not a list")
    return TraceLine(record_id, response, _tokens(tokens, response, where))


def _text(record: dict[str, Any], field: str, where: str) -> str:
    value = record.get(field)
    if not isinstance(value, str):
        raise _refused(where, f"{field} {'is missing' if field not in record else 'is not text'}")
    return _whole_text(value, field, where)


def _whole_text(value: str, field: str, where: str) -> str:
    if found := _SURROGATE.search(value):
        raise _refused(where, f"{field} has half of a surrogate pair at character {found.start() + 1}")
    return value


def _tokens(tokens: list[Any], response: str, where: str) -> tuple[TokenRange, ...]:
    classes = [_class(token, f"{where}, tokens[{position}]") for position, token in enumerate(tokens)]
    if all(isinstance(token.get("text"), str) for token in tokens):
        bounds = _by_text([token["text"] for token in tokens], response, where)
    else:
        raw = [_bytes(token, f"{where}, tokens[{position}]") for position, token in enumerate(tokens)]
        bounds = _by_bytes(raw, response, where)
    return tuple(TokenRange(start, end, shift) for (start, end), shift in zip(bounds, classes, strict=True))


def _class(token: Any, where: str) -> ShiftClass:
    if not isinstance(token, dict):
        raise _refused(where, "it is no JSON object")
    try:
        return ShiftClass(str(token.get("class")))
    except ValueError as error:
        raise _refused(where, f"class is not one of {_CLASSES}") from error


def _bytes(token: dict[str, Any], where: str) -> bytes:
    try:
        return bytes.fromhex(token["bytes_hex"])
    except (KeyError, TypeError, ValueError) as error:
        raise _refused(where, "it has no text and no bytes_hex, so it has no place in the response") from error


def _by_text(texts: Sequence[str], response: str, where: str) -> list[tuple[int, int]]:
    """Lay texts side by side over the response. What comes after its end, as an end token may, has no place."""
    bounds, position = [], 0
    for number, text in enumerate(texts):
        if position < len(response) and not response.startswith(text, position):
            raise _refused(where, f"tokens[{number}] does not continue response at character {position + 1}")
        end = position + len(text) if position < len(response) else position
        bounds.append((position, end))
        position = end
    if position < len(response):
        raise _refused(where, f"tokens end at character {position} of {len(response)} of response")
    return bounds


def _by_bytes(pieces: Sequence[bytes], response: str, where: str) -> list[tuple[int, int]]:
    """Do the same with bytes; a character split over tokens belongs to the one that completes it."""
    raw = response.encode()
    ends = list(accumulate(len(char.encode()) for char in response))
    bounds, position = [], 0
    for number, piece in enumerate(pieces):
        if position < len(raw) and not raw.startswith(piece, position):
            character = bisect_right(ends, position)
            raise _refused(where, f"tokens[{number}] does not continue response at character {character + 1}")
        end = position + len(piece) if position < len(raw) else position
        bounds.append((bisect_right(ends, position), bisect_right(ends, end)))
        position = end
    if position < len(raw):
        raise _refused(where, f"tokens end at byte {position} of {len(raw)} of response")
    return bounds


def _refused(where: str, problem: str) -> InvalidInputError:
    return InvalidInputError(f"{where}: {problem}.", remedy=FORM)
