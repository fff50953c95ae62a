"""Judgments in the columns of preferences.csv, read to bring them into a study. Pure; refusals name their row."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from app.cells import raw_cell
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
    """One row. Everything a study has to know of a judgment is known; what is not asked for may be empty."""

    row: int
    annotator: str
    item_id: str
    prompt: str
    model_left: str
    model_right: str
    hashes: tuple[str, str]
    preference: str
    strength: int | None
    handed_at: datetime
    submitted_at: datetime
    active_ms: int
    wall_ms: int
    revision: int
    changed: bool
    skip_reason: str
    flagged: bool
    comment: str
    recognised_model: bool
    recognised_guess: str
    guideline_version: int
    app_version: str
    presentation_id: str
    side_order_key: str


class _Fields:
    """The fields of a record, read one after the other; what is wrong with them is collected."""

    def __init__(self, fields: Mapping[str, Any], *, from_csv: bool) -> None:
        self._fields, self._csv = fields, from_csv
        self.problems: list[str] = []

    def text(self, name: str, *, needed: bool = False, most: int = _MOST_TEXT) -> str:
        value = self._fields.get(name)
        if value is None or value == "":
            return self._missing(name, "", needed=needed)
        if not isinstance(value, str):
            return self._wrong(name, value, "text", "")
        value = raw_cell(value) if self._csv else value
        return value if len(value) <= most else self._wrong(name, value, f"text of up to {most} characters", "")

    def number(self, name: str, *, start: int | None, least: int = 0, most: int = _MOST_NUMBER) -> int:
        value = self._fields.get(name)
        if value is None or value == "":
            return start if start is not None else self._missing(name, 0, needed=True)
        if isinstance(value, str) and self._csv and value.isascii() and value.isdecimal() and len(value) <= _SHOWN:
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value
        return self._wrong(name, value, f"a whole number from {least} to {most}", 0)

    def boolean(self, name: str) -> bool:
        value = self._fields.get(name)
        if isinstance(value, bool) and not self._csv:
            return value
        known = {None: False, "": False, "false": False, "true": True} if self._csv else {None: False}
        return known[value] if value in known else self._wrong(name, value, "true or false", default=False)

    def moment(self, name: str) -> datetime:
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
    seen: dict[tuple[str, ...], int] = {}
    records = read_records(text)
    lacking = [name for name in NEEDED if not any(name in record.fields for record in records)]
    if lacking:
        raise BadFileError([f"The file lacks the columns {', '.join(lacking)}."])
    for record in records:
        fields = _Fields(record.fields, from_csv=from_csv)
        one = _judgment(record.row, fields)
        fields.problems += _wrong_together(one, fields.problems)
        key = (one.annotator, one.item_id or one.prompt, *sorted((one.model_left, one.model_right)))
        if not fields.problems and key in seen:
            fields.problems.append(f"it is a second judgment of what row {seen[key]} judges")
        seen.setdefault(key, record.row)
        if fields.problems:
            problems.append(f"Row {record.row}: {'; '.join(fields.problems)}.")
        found.append(one)
    if problems:
        raise BadFileError(problems)
    return found


def _judgment(row: int, fields: _Fields) -> GivenJudgment:
    strength = fields.number("strength", start=0, most=_MOST_STRENGTH)
    preference = fields.text("preference_raw", needed=True)
    presentation_id = fields.text("presentation_id")
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
        handed_at=fields.moment("created_at"),
        submitted_at=fields.moment("submitted_at"),
        active_ms=fields.number("active_ms", start=None),
        wall_ms=fields.number("wall_ms", start=None),
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
