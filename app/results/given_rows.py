"""Judgments in the columns of preferences.csv, read to bring them into a study. Pure; refusals name their row."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from app.cells import UNKNOWN_MS, raw_cell
from app.studies.records import BadFileError, read_records

ANSWERS = ("left", "right", "tie_good", "tie_bad", "cannot_judge")
NEEDED = (
    "annotator_pid", "prompt", "model_left", "model_right", "preference_raw", "created_at", "submitted_at",
    "active_ms", "wall_ms",
)  # fmt: skip

T = TypeVar("T")

_ID = re.compile(r"[0-9a-f]{16}").fullmatch
_MOST_TEXT, _MOST_NUMBER, _MOST_STRENGTH = 100_000, 2**53, 3
_SHOWN = 40


@dataclass(frozen=True, slots=True)
class GivenJudgment:
    """One row. What is not asked for may be empty; `active_ms` and `wall_ms` are UNKNOWN_MS where no time is known.

    `columns` are the file's names of both models and of what says their responses.
    """

    row: int
    annotator: str
    prompt: str
    model_left: str
    model_right: str
    hashes: tuple[str, str]
    preference: str
    handed_at: datetime
    submitted_at: datetime
    active_ms: int
    wall_ms: int
    columns: Sequence[str] = ("model_left", "model_right", "response_left_sha256", "response_right_sha256")
    item_id: str = ""
    strength: int | None = None
    revision: int = 1
    changed: bool = False
    skip_reason: str = ""
    flagged: bool = False
    comment: str = ""
    recognised_model: bool = False
    recognised_guess: str = ""
    guideline_version: int = 1
    app_version: str = ""
    presentation_id: str = ""
    side_order_key: str = ""


class Fields:
    """The fields of a record, read one after the other; what is wrong with them is collected in `problems`."""

    def __init__(self, fields: Mapping[str, Any], *, from_csv: bool) -> None:
        self._fields, self._csv = fields, from_csv
        self.problems: list[str] = []

    def given(self, name: str) -> Any:
        """Return a field as the file has it, None where it is empty."""
        value = self._fields.get(name)
        if value is None or value == "":
            return None
        return raw_cell(value) if self._csv and isinstance(value, str) else value

    def text(self, name: str, *, needed: bool = False, most: int = _MOST_TEXT) -> str:
        """Read text; a problem where it is missing and needed, no text, or too long."""
        value = self._fields.get(name)
        if value is None or value == "":
            return self._missing(name, "", needed=needed)
        if not isinstance(value, str):
            return self._wrong(name, value, "text", "")
        value = raw_cell(value) if self._csv else value
        return value if len(value) <= most else self._wrong(name, value, f"text of up to {most} characters", "")

    def one_of(self, name: str, known: Mapping[str, str]) -> str:
        """Read one of the words known, and return what it means."""
        word = self.text(name, needed=True)
        if not word or word in known:
            return known.get(word, "")
        return self._wrong(name, word, f"one of {', '.join(known)}", "")

    def real(self, name: str, least: float, most: float) -> float:
        """Read a number within bounds that need not be whole."""
        value = self.given(name)
        try:
            number = float("nan") if isinstance(value, bool) else float(value)
        except (TypeError, ValueError, OverflowError):
            number = float("nan")
        if least <= number <= most:
            return number
        return self._wrong(name, value, f"a number from {least:.12g} to {most:.12g}", 0.0)

    def number(self, name: str, *, start: int | None, least: int = 0, most: int = _MOST_NUMBER) -> int:
        """Read a whole number within bounds; `start` stands for an empty field, which is a problem without."""
        value = self._fields.get(name)
        if value is None or value == "":
            return start if start is not None else self._missing(name, 0, needed=True)
        if isinstance(value, str) and self._csv and value.isascii() and value.isdecimal() and len(value) <= _SHOWN:
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value
        return self._wrong(name, value, f"a whole number from {least} to {most}", 0)

    def boolean(self, name: str) -> bool:
        """Read true or false; an empty field is false."""
        value = self._fields.get(name)
        if isinstance(value, bool) and not self._csv:
            return value
        known = {None: False, "": False, "false": False, "true": True} if self._csv else {None: False}
        return known[value] if value in known else self._wrong(name, value, "true or false", default=False)

    def moment(self, name: str) -> datetime:
        """Read a moment that says its zone, in UTC."""
        text = self.text(name, needed=True)
        nothing = datetime(1970, 1, 1, tzinfo=UTC)
        try:
            found = datetime.fromisoformat(text) if text else nothing
        except ValueError:
            return self._wrong(name, text, "a moment such as 2026-03-01T09:00:00Z", nothing)
        if found.tzinfo is None:
            return self._wrong(name, text, "a moment with its zone, such as 2026-03-01T09:00:00Z", nothing)
        return found.astimezone(UTC)

    def _missing(self, name: str, default: T, *, needed: bool) -> T:
        if needed:
            self.problems.append(f"{name} is missing")
        return default

    def _wrong(self, name: str, value: object, right: str, default: T) -> T:
        self.problems.append(f"{name} is {str(value)[:_SHOWN]!r}, and must be {right}")
        return default


def read_given(text: str) -> list[GivenJudgment]:
    """Read the judgments of a CSV, JSON Lines or JSON file. Raises BadFileError naming every wrong row."""
    from_csv = not text.lstrip("\ufeff \t\r\n").startswith(("{", "["))
    problems: list[str] = []
    found: list[GivenJudgment] = []
    records = read_records(text)
    lacking = [name for name in NEEDED if not any(name in record.fields for record in records)]
    if lacking:
        raise BadFileError([f"The file lacks the columns {', '.join(lacking)}."])
    for record in records:
        fields = Fields(record.fields, from_csv=from_csv)
        one = _judgment(record.row, fields)
        fields.problems += _wrong_together(one, fields.problems)
        if fields.problems:
            problems.append(f"Row {record.row}: {'; '.join(fields.problems)}.")
        else:
            found.append(one)
    problems += second_judgments(found)
    if problems:
        raise BadFileError(problems)
    return found


def second_judgments(found: Sequence[GivenJudgment]) -> Iterator[str]:
    """Name every row that judges what an annotator judged in a row before."""
    seen: dict[tuple[str, ...], int] = {}
    for one in found:
        key = (one.annotator, one.item_id or one.prompt, *sorted((one.model_left, one.model_right)))
        first = seen.setdefault(key, one.row)
        if first != one.row:
            yield f"Row {one.row}: it is a second judgment of what row {first} judges; keep one of them."


def _judgment(row: int, fields: Fields) -> GivenJudgment:
    strength = fields.number("strength", start=0, most=_MOST_STRENGTH)
    preference = fields.text("preference_raw", needed=True)
    presentation_id = fields.text("presentation_id")
    submitted_at = fields.moment("submitted_at")
    # As we export what was imported without its times.
    timed = any(fields.given(name) is not None for name in ("created_at", "active_ms", "wall_ms"))
    return GivenJudgment(
        row=row,
        annotator=fields.text("annotator_pid", needed=True, most=200),
        item_id=fields.text("item_id"),
        prompt=fields.text("prompt", needed=True),
        model_left=fields.text("model_left", needed=True),
        model_right=fields.text("model_right", needed=True),
        hashes=(fields.text("response_left_sha256"), fields.text("response_right_sha256")),
        preference=preference,
        strength=strength or None,
        handed_at=fields.moment("created_at") if timed else submitted_at,
        submitted_at=submitted_at,
        active_ms=fields.number("active_ms", start=None) if timed else UNKNOWN_MS,
        wall_ms=fields.number("wall_ms", start=None) if timed else UNKNOWN_MS,
        revision=fields.number("revision", start=1, least=1),
        changed=fields.text("first_preference") not in {"", preference},
        skip_reason=fields.text("skip_reason"),
        flagged=fields.boolean("flagged"),
        comment=fields.text("comment"),
        recognised_model=fields.boolean("recognised_model"),
        recognised_guess=fields.text("recognised_guess", most=200),
        guideline_version=fields.number("guideline_version", start=1, least=1),
        app_version=fields.text("app_version", most=32),
        presentation_id=presentation_id if _ID(presentation_id) else "",
        side_order_key=fields.text("side_order_key", most=64),
    )


def _wrong_together(one: GivenJudgment, known: list[str]) -> Iterator[str]:
    """Say what is wrong with fields that are right by themselves."""
    checks: tuple[tuple[Callable[[GivenJudgment], bool], str], ...] = (
        (lambda one: one.preference in ANSWERS, f"preference_raw must be one of {', '.join(ANSWERS)}"),
        (lambda one: one.model_left != one.model_right, "model_left and model_right are the same"),
        (lambda one: one.submitted_at >= one.handed_at, "submitted_at is before created_at"),
        (
            lambda one: one.strength is None or one.preference in {"left", "right"},
            "a strength goes with left or right alone",
        ),
    )
    if not known:
        yield from (words for check, words in checks if not check(one))
