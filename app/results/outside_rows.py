"""Judgments of other tools, read to bring them into a study: Arena, MT-bench, alpaca_eval. Pure; refusals name rows.

These files tell no active time, no wall time and not when an item was handed out; `submitted_at` is the battle's
`tstamp`, or else the moment of the import.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from app.cells import UNKNOWN_MS
from app.results.given_rows import Fields, GivenJudgment, read_given, second_judgments
from app.studies.checking_rows import MAX_TEXT
from app.studies.records import BadFileError, Record, read_records
from app.studies.rules import text_problem

OWN, ARENA, MT_BENCH, ALPACA_EVAL = "tuneshift", "arena", "mt-bench", "alpaca_eval"
FORMS = {
    OWN: "Tuneshift: preferences.csv",
    ARENA: "Chatbot Arena: clean battles",
    MT_BENCH: "MT-bench: human judgments",
    ALPACA_EVAL: "alpaca_eval: annotations",
}
_BATTLE = ("model_a", "model_b", "winner", "judge", "conversation_a", "conversation_b")
_COLUMNS = {
    ARENA: _BATTLE,
    MT_BENCH: _BATTLE,
    ALPACA_EVAL: ("instruction", "output_1", "generator_1", "output_2", "generator_2", "annotator", "preference"),
}
# What Arena's clean battles tell that MT-bench's judgments do not.
_ONLY_ARENA = frozenset({"tstamp", "anony", "language"})
_WINNERS = {"model_a": "left", "model_b": "right", "tie": "tie_good", "tie (bothbad)": "tie_bad"}
_FIRST, _TIE, _SECOND = 1.0, 1.5, 2.0
_EARLIEST, _LATEST = 946_684_800, 4_102_444_800
_MOST_MODEL, _MOST_TURNS, _SHOWN = 200, 1_000, 40


@dataclass(frozen=True, slots=True)
class GivenFile:
    """What a file says: its form, its judgments, and the answers by prompt and model; `left_out` rows say nothing."""

    form: str
    judgments: Sequence[GivenJudgment]
    answers: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class _Said:
    """What one row says, whatever tool it is of."""

    annotator: str
    prompt: str
    models: tuple[str, str]
    texts: tuple[str, str]
    preference: str
    at: datetime | None = None


def plain(prompt: str) -> str:
    """Spell a prompt as it is matched: without outer blanks, lines ended by a line feed."""
    return prompt.replace("\r\n", "\n").strip()


def read_judgments(text: str, *, form: str, now: datetime, max_chars: int) -> GivenFile:
    """Read judgments of one of `FORMS`, recognised by its columns where `form` is empty.

    Raises BadFileError naming every wrong row.
    """
    records = read_records(text)
    names = {name for record in records for name in record.fields}
    form = form or _recognised(names)
    if form == OWN:
        return GivenFile(OWN, read_given(text))
    if form not in _COLUMNS:
        raise BadFileError([f"There is no format {form[:_SHOWN]!r}. There are {', '.join(FORMS)}."])
    lacking = [name for name in _COLUMNS[form] if name not in names]
    if lacking:
        raise BadFileError([f"The file lacks the columns {', '.join(lacking)} of {FORMS[form]}."])
    from_csv = not text.lstrip("\ufeff \t\r\n").startswith(("{", "["))
    return _read(records, form, from_csv=from_csv, now=now, max_chars=max_chars)


def _recognised(names: set[str]) -> str:
    if names >= {"generator_1", "generator_2", "preference"}:
        return ALPACA_EVAL
    if names >= {"model_a", "model_b", "winner"}:
        return ARENA if names & _ONLY_ARENA else MT_BENCH
    # The columns that are missing are best named by what a study itself exports.
    return OWN


def _read(records: Sequence[Record], form: str, *, from_csv: bool, now: datetime, max_chars: int) -> GivenFile:
    problems: list[str] = []
    found: list[GivenJudgment] = []
    answers: dict[str, dict[str, str]] = {}
    rows: dict[tuple[str, str], int] = {}
    left_out = 0
    for record in records:
        fields = Fields(record.fields, from_csv=from_csv)
        if form == ALPACA_EVAL and fields.given("preference") is None:
            left_out += 1
            continue
        said = (_annotation if form == ALPACA_EVAL else _battle)(fields)
        if said is not None:
            fields.problems += _wrong(said, form, max_chars)
        if said is not None and not fields.problems:
            fields.problems += _kept(said, record.row, answers, rows, _COLUMNS_OF[form])
        if said is None or fields.problems:
            problems.append(f"Row {record.row}: {'; '.join(fields.problems)}.")
            continue
        found.append(_judgment(record.row, said, form, now))
    problems += second_judgments(found)
    if not problems and not found:
        problems.append("No row has a preference.")
    if problems:
        raise BadFileError(problems)
    return GivenFile(form, found, answers, left_out)


_COLUMNS_OF = {
    ARENA: ("model_a", "model_b", "conversation_a", "conversation_b"),
    MT_BENCH: ("model_a", "model_b", "conversation_a", "conversation_b"),
    ALPACA_EVAL: ("generator_1", "generator_2", "output_1", "output_2"),
}


def _wrong(said: _Said, form: str, max_chars: int) -> list[str]:
    """Say what a study could not keep of a row."""
    first, second, *columns = _COLUMNS_OF[form]
    found = [f"{first} and {second} are the same"] if said.models[0] == said.models[1] and said.models[0] else []
    texts = [("its prompt", said.prompt, max_chars)]
    texts += [(f"the response of {column}", text, MAX_TEXT) for column, text in zip(columns, said.texts, strict=True)]
    return found + [f"{name} {wrong}" for name, text, most in texts if (wrong := text_problem(text, most))]


def _kept(
    said: _Said,
    row: int,
    answers: dict[str, dict[str, str]],
    rows: dict[tuple[str, str], int],
    columns: Sequence[str],
) -> list[str]:
    """Keep the answers of a row; say where one differs from what an earlier row has of the same prompt and model."""
    found = []
    for model, text, column in zip(said.models, said.texts, columns[2:], strict=True):
        before = answers.setdefault(said.prompt, {}).setdefault(model, text)
        first = rows.setdefault((said.prompt, model), row)
        if before != text:
            found.append(
                f"{column} is another response of {model[:_SHOWN]!r} to this prompt than that of row {first}, and a "
                "study has one: keep the rows of one of them"
            )
    return found


def _judgment(row: int, said: _Said, form: str, now: datetime) -> GivenJudgment:
    at = said.at or now
    left, right = (hashlib.sha256(text.encode()).hexdigest() for text in said.texts)
    return GivenJudgment(
        row=row,
        annotator=said.annotator,
        prompt=said.prompt,
        model_left=said.models[0],
        model_right=said.models[1],
        hashes=(left, right),
        preference=said.preference,
        handed_at=at,
        submitted_at=at,
        active_ms=UNKNOWN_MS,
        wall_ms=UNKNOWN_MS,
        columns=_COLUMNS_OF[form],
    )


def _annotation(fields: Fields) -> _Said | None:
    """Read an annotation of alpaca_eval, which does not say what stood where: output_1 is recorded left."""
    preference = fields.real("preference", _FIRST, _SECOND)
    said = _Said(
        annotator=_person(fields, "annotator"),
        prompt=plain(fields.text("instruction", needed=True)),
        models=(_model(fields, "generator_1"), _model(fields, "generator_2")),
        texts=(fields.text("output_1", needed=True), fields.text("output_2", needed=True)),
        preference="tie_good" if preference == _TIE else "left" if preference < _TIE else "right",
    )
    return None if fields.problems else said


def _battle(fields: Fields) -> _Said | None:
    """Read a battle: what the user asked up to `turn` is the prompt, what the model said then the response."""
    turn = fields.number("turn", start=_MOST_TURNS, least=1, most=_MOST_TURNS)
    winner = fields.one_of("winner", _WINNERS)
    asked_a, answer_a = _conversation(fields, "conversation_a", turn)
    asked_b, answer_b = _conversation(fields, "conversation_b", turn)
    if not fields.problems and asked_a != asked_b:
        fields.problems.append("conversation_a and conversation_b do not ask the same, and must")
    seconds = fields.real("tstamp", _EARLIEST, _LATEST) if fields.given("tstamp") else None
    said = _Said(
        annotator=_person(fields, "judge"),
        prompt=plain(asked_a),
        models=(_model(fields, "model_a"), _model(fields, "model_b")),
        texts=(answer_a, answer_b),
        preference=winner,
        at=None if seconds is None else datetime.fromtimestamp(seconds, UTC),
    )
    return None if fields.problems else said


def _person(fields: Fields, name: str) -> str:
    number = fields.given(name)
    if isinstance(number, int) and not isinstance(number, bool):
        return str(number)[:_MOST_MODEL]
    return fields.text(name, needed=True, most=_MOST_MODEL)


def _model(fields: Fields, name: str) -> str:
    return fields.text(name, needed=True, most=_MOST_MODEL).strip()


def _conversation(fields: Fields, name: str, turn: int) -> tuple[str, str]:
    """Return what was asked up to a turn, turns parted by an empty line, and what was answered in it."""
    messages = _messages(fields.given(name))
    if messages is None:
        fields.problems.append(f"{name} must be a list of messages, each with the texts role and content")
        return "", ""
    asked: list[str] = []
    answer = ""
    for role, content in messages:
        if role == "user" and len(asked) == turn:
            break
        if role == "user":
            asked.append(content)
            answer = ""
        elif role == "assistant":
            answer = content
    if turn != _MOST_TURNS and len(asked) < turn:
        fields.problems.append(f"turn is {turn}, and {name} has {len(asked)} of the user")
    return "\n\n".join(asked), answer


def _messages(value: Any) -> list[tuple[str, str]] | None:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    if not isinstance(value, list) or not all(isinstance(one, Mapping) for one in value):
        return None
    found = [(one.get("role"), one.get("content")) for one in value]
    return found if all(isinstance(text, str) for one in found for text in one) else None
