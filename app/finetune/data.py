"""Read instruction data: Alpaca, Dolly, messages and ShareGPT records, in JSON or JSONL."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.errors import InvalidInputError

_ROLES = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "bot": "assistant",
    "system": "system",
}
_SHAPES = (
    'Alpaca {"instruction", "input", "output"}, Dolly {"instruction", "context", "response"}, '
    'messages {"messages": [{"role", "content"}]} or ShareGPT {"conversations": [{"from", "value"}]}'
)


class DataError(InvalidInputError):
    """Instruction data that cannot be read: names the file, the line or record, the field, and the remedy."""


@dataclass(frozen=True)
class Message:
    """One turn: `role` is "system", "user" or "assistant"."""

    role: str
    content: str


@dataclass(frozen=True)
class Example:
    """One instance of a tuning set.

    `id` is the record's own id, or its 0-based position; `where` says where it stands, for error messages.
    """

    id: str
    where: str
    messages: tuple[Message, ...]


@dataclass(frozen=True)
class TuningData:
    """All instances of one file, with the SHA-256 of its bytes."""

    path: Path
    sha256: str
    examples: tuple[Example, ...]


def _fail(where: str, problem: str, remedy: str) -> DataError:
    return DataError(f"{where}: {problem}.", remedy=f"{remedy}.")


def _text(record: dict[str, Any], field: str, *, where: str, required: bool = True) -> str:
    value = record.get(field)
    if value is None and not required:
        return ""
    if not isinstance(value, str):
        kind = "missing" if value is None else type(value).__name__
        raise _fail(where, f'field "{field}" is {kind}', "It must be a string")
    if "\x00" in value:
        raise _fail(where, f'field "{field}" contains a NUL character', "Remove it")
    if required and not value.strip():
        raise _fail(where, f'field "{field}" is empty', "Write its text or remove the record")
    return value


def _pair(record: dict[str, Any], *, context: str, answer: str, where: str) -> tuple[Message, ...]:
    instruction = _text(record, "instruction", where=where)
    extra = _text(record, context, where=where, required=False)
    prompt = f"{instruction}\n\n{extra}" if extra.strip() else instruction
    return (Message("user", prompt), Message("assistant", _text(record, answer, where=where)))


def _turn(turn: Any, *, role_field: str, text_field: str, where: str) -> Message:
    if not isinstance(turn, dict):
        raise _fail(where, f"turn is {type(turn).__name__}", f'It must be an object with "{role_field}"')
    name = turn.get(role_field)
    role = _ROLES.get(name) if isinstance(name, str) else None
    if role is None:
        raise _fail(where, f'field "{role_field}" is {name!r}', f"It must be one of {', '.join(_ROLES)}")
    return Message(role, _text(turn, text_field, where=where, required=role == "assistant"))


def _turns(turns: Any, *, field: str, role_field: str, text_field: str, where: str) -> tuple[Message, ...]:
    if not isinstance(turns, list):
        raise _fail(where, f'field "{field}" is {type(turns).__name__}', "It must be a list of turns")
    messages = tuple(
        _turn(turn, role_field=role_field, text_field=text_field, where=f"{where}, {field}[{position}]")
        for position, turn in enumerate(turns)
    )
    if not any(message.role == "assistant" for message in messages):
        raise _fail(where, f'field "{field}" has no assistant turn', "There is no answer to learn; remove the record")
    return messages


def _messages(record: dict[str, Any], *, where: str) -> tuple[Message, ...]:
    if "messages" in record:
        return _turns(record["messages"], field="messages", role_field="role", text_field="content", where=where)
    if "conversations" in record:
        return _turns(
            record["conversations"], field="conversations", role_field="from", text_field="value", where=where
        )
    if "instruction" in record and "response" in record:
        return _pair(record, context="context", answer="response", where=where)
    if "instruction" in record:
        return _pair(record, context="input", answer="output", where=where)
    fields = ", ".join(sorted(record)) or "none"
    raise _fail(where, f"unknown shape with fields {fields}", f"Known shapes: {_SHAPES}")


def _decode(path: Path, raw: bytes) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise _fail(f"{path}, line {line}", "not UTF-8", "Save the file as UTF-8") from error


def _jsonl(path: Path, text: str) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            yield where, json.loads(line)
        except json.JSONDecodeError as error:
            raise _fail(
                f"{where}, column {error.colno}", f"not JSON ({error.msg})", "Write one object a line"
            ) from error


def _records(path: Path, text: str) -> Iterator[tuple[str, Any]]:
    if not text.lstrip().startswith("["):
        yield from _jsonl(path, text)
        return
    try:
        records = json.loads(text)
    except json.JSONDecodeError as error:
        raise _fail(
            f"{path}, line {error.lineno}, column {error.colno}", f"not JSON ({error.msg})", "Correct it"
        ) from error
    yield from ((f"{path}, record {position}", record) for position, record in enumerate(records))


def _example(record: Any, *, position: int, where: str) -> Example:
    if not isinstance(record, dict):
        raise _fail(where, f"record is {type(record).__name__}", f"It must be an object. Known shapes: {_SHAPES}")
    own = record.get("id")
    identifier = str(own) if isinstance(own, (str, int)) and str(own) else str(position)
    return Example(id=identifier, where=where, messages=_messages(record, where=where))


def read_data(path: Path) -> TuningData:
    """Read every instance of `path`; nothing is taken when any record is bad.

    JSON (one list) and JSONL (one object a line) are told apart by the first character. Raises DataError naming
    file, line (JSONL) or 0-based record (JSON), field and remedy, and for an unreadable or empty file.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise _fail(str(path), f"cannot be read ({error.strerror})", "Give the path of a JSON or JSONL file") from error
    examples: list[Example] = []
    seen: dict[str, str] = {}
    for position, (where, record) in enumerate(_records(path, _decode(path, raw))):
        example = _example(record, position=position, where=where)
        if example.id in seen:
            raise _fail(where, f'id "{example.id}" was used at {seen[example.id]}', "Ids must be unique")
        seen[example.id] = where
        examples.append(example)
    if not examples:
        raise _fail(str(path), "holds no instance", f"Known shapes: {_SHAPES}")
    return TuningData(path=path, sha256=hashlib.sha256(raw).hexdigest(), examples=tuple(examples))
