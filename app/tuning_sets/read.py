"""Read instruction data: Alpaca, Dolly, messages and ShareGPT records, in JSON, JSONL or Parquet."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from app.tuning_sets.records import DataError, Record, fail, iter_records

__all__ = [
    "DataError",
    "Example",
    "Message",
    "TuningData",
    "answer_of",
    "answers_of",
    "instruction_of",
    "iter_examples",
    "read_data",
]

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
_MAX_ID = 400
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True)
class Message:
    """One turn: `role` is "system", "user" or "assistant"."""

    role: str
    content: str


@dataclass(frozen=True)
class Example:
    """One instance of a tuning set.

    `id` is the record's own id, or its 0-based position; `where` says where it stands, for error messages. `shape` is
    Alpaca, Dolly, messages or ShareGPT; `end` is how many bytes of the file had been read after it.
    """

    id: str
    where: str
    messages: tuple[Message, ...]
    shape: str = field(default="", compare=False)
    end: int = field(default=0, compare=False)


@dataclass(frozen=True)
class TuningData:
    """All instances of one file, with the SHA-256 of its bytes."""

    path: Path
    sha256: str
    examples: tuple[Example, ...]


def instruction_of(example: Example) -> str:
    """Join what the person said (all user turns) by a blank line; the system turns where there is no other."""
    said = [message.content for message in example.messages if message.role == "user"]
    said = said or [message.content for message in example.messages if message.role == "system"]
    return "\n\n".join(said)


def answers_of(example: Example) -> tuple[str, ...]:
    """Return the text of each assistant turn, in order."""
    return tuple(message.content for message in example.messages if message.role == "assistant")


def answer_of(example: Example) -> str:
    """Join the assistant's turns by a blank line (two line feeds), each turn as it stands in the file.

    Offsets into the result are Unicode code points: turn k starts after the lengths of the turns before it plus 2 k.
    """
    return "\n\n".join(answers_of(example))


def _text(record: dict[str, Any], name: str, *, where: str, required: bool = True, empty: bool = False) -> str:
    value = record.get(name)
    if value is None and not required:
        return ""
    if not isinstance(value, str):
        kind = "missing" if value is None else type(value).__name__
        raise fail(where, f'field "{name}" is {kind}', "It must be a string")
    if found := _UNSTORABLE.search(value):
        what = "a NUL character" if found[0] == "\x00" else "half of a surrogate pair"
        raise fail(where, f'field "{name}" contains {what}', "Remove it")
    if required and not empty and not value.strip():
        raise fail(where, f'field "{name}" is empty', "Write its text or remove the record")
    return value


def _pair(record: dict[str, Any], *, context: str, answer: str, where: str, empty: bool) -> tuple[Message, ...]:
    instruction = _text(record, "instruction", where=where)
    extra = _text(record, context, where=where, required=False)
    prompt = f"{instruction}\n\n{extra}" if extra.strip() else instruction
    return (Message("user", prompt), Message("assistant", _text(record, answer, where=where, empty=empty)))


def _turn(turn: Any, *, role_field: str, text_field: str, where: str, empty: bool) -> Message:
    if not isinstance(turn, dict):
        raise fail(where, f"turn is {type(turn).__name__}", f'It must be an object with "{role_field}"')
    name = turn.get(role_field)
    role = _ROLES.get(name) if isinstance(name, str) else None
    if role is None:
        raise fail(where, f'field "{role_field}" is {_shown(name)}', f"It must be one of {', '.join(_ROLES)}")
    return Message(role, _text(turn, text_field, where=where, required=role == "assistant", empty=empty))


def _turns(
    record: dict[str, Any], name: str, *, role_field: str, text_field: str, where: str, empty: bool
) -> tuple[Message, ...]:
    turns = record[name]
    if not isinstance(turns, list):
        raise fail(where, f'field "{name}" is {type(turns).__name__}', "It must be a list of turns")
    if name == "conversations" and turns and all(isinstance(turn, str) for turn in turns):
        # LIMA writes the bare texts, the person's first.
        speakers = ("human", "gpt")
        turns = [{role_field: speakers[at % 2], text_field: text} for at, text in enumerate(turns)]
    messages = tuple(
        _turn(turn, role_field=role_field, text_field=text_field, where=f"{where}, {name}[{position}]", empty=empty)
        for position, turn in enumerate(turns)
    )
    if not any(message.role == "assistant" for message in messages):
        raise fail(where, f'field "{name}" has no assistant turn', "There is no answer to learn; remove the record")
    return messages


def _messages(record: dict[str, Any], *, where: str, empty: bool) -> tuple[str, tuple[Message, ...]]:
    """Return the shape's name and the turns of a record. Fields that are null count as absent, as Parquet has them."""
    if record.get("messages") is not None:
        turns = _turns(record, "messages", role_field="role", text_field="content", where=where, empty=empty)
        return "messages", turns
    if record.get("conversations") is not None:
        turns = _turns(record, "conversations", role_field="from", text_field="value", where=where, empty=empty)
        return "ShareGPT", turns
    if record.get("instruction") is not None and record.get("response") is not None:
        return "Dolly", _pair(record, context="context", answer="response", where=where, empty=empty)
    if record.get("instruction") is not None:
        return "Alpaca", _pair(record, context="input", answer="output", where=where, empty=empty)
    fields = ", ".join(sorted(str(name)[:40] for name in record)[:20]) or "none"
    raise fail(where, f"unknown shape with fields {_printable(fields)}", f"Known shapes: {_SHAPES}")


def _identifier(record: dict[str, Any], *, position: int, where: str) -> str:
    own = record.get("id")
    if isinstance(own, bool) or not isinstance(own, (str, int)) or not str(own):
        return str(position)
    if len(str(own)) > _MAX_ID or _UNSTORABLE.search(str(own)):
        raise fail(where, f'field "id" is longer than {_MAX_ID} characters or cannot be stored', "Shorten it")
    return str(own)


def _example(record: Record, *, position: int, empty: bool) -> Example:
    value, where = record.value, record.where
    if not isinstance(value, dict):
        raise fail(where, f"record is {type(value).__name__}", f"It must be an object. Known shapes: {_SHAPES}")
    shape, messages = _messages(value, where=where, empty=empty)
    identifier = _identifier(value, position=position, where=where)
    return Example(id=identifier, where=where, messages=messages, shape=shape, end=record.end)


def iter_examples(path: Path, *, name: str = "", empty_answers: bool = False) -> Iterator[Example]:
    """Yield the instances of `path` one by one; memory grows with the ids alone, which must be unique.

    Shapes may be mixed: each record is recognised by itself. `name` stands for the path in messages. An empty answer
    is refused unless `empty_answers`; nothing can be learned from one, but published sets hold some. Raises DataError
    naming file, line (JSONL), 0-based record (JSON) or row (Parquet), field and remedy, and for a file without one.
    """
    name = name or str(path)
    seen: dict[str, int] = {}
    position = -1
    for position, record in enumerate(iter_records(path, name)):
        example = _example(record, position=position, empty=empty_answers)
        if (first := seen.setdefault(example.id, position)) != position:
            before = next(islice(iter_records(path, name), first, None)).where
            raise fail(record.where, f'id "{_printable(example.id[:80])}" was used at {before}', "Ids must be unique")
        yield example
    if position < 0:
        raise fail(name, "holds no instance", f"Known shapes: {_SHAPES}")


def read_data(path: Path) -> TuningData:
    """Read every instance of `path` into memory, for tuning; nothing is taken when any record is bad.

    Raises DataError as `iter_examples` does.
    """
    examples = tuple(iter_examples(path))
    return TuningData(path=path, sha256=_sha256(path), examples=examples)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _shown(value: object) -> str:
    return _printable(repr(value)[:80])


def _printable(text: str) -> str:
    return _UNSTORABLE.sub("\ufffd", text)
