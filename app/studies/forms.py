"""The set-up form as typed: single fields, and rows of fields, kept to be shown again beside what was wrong. Pure.

A row's fields are parallel lists (`arm_name`, `arm_checkpoint`, …), so that rows can be added and removed without
scripts and without numbering.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from app.errors import InvalidInputError
from app.studies.questions import FIVE_DIMENSIONS, Dimension
from app.studies.rules import DEFAULT_GUIDELINES

DEFAULT_MAX_TOKENS = 256
FIELDS: dict[str, str] = {
    "study_id": "", "name": "", "slug": "", "seed": "", "preset": "", "prompts": "", "prompts_kept": "",
    "pairing": "all", "against": "", "strength": "", "acceptability": "", "spans": "yes", "evidence": "",
    "evidence_set": "", "evidence_k": "3", "evidence_decoys": "3", "recognised": "item", "overlap": "2",
    "sample_n": "", "sample_overlap": "", "per_annotator": "", "repeat_items": "", "target": "", "ends_on": "",
    "guidelines": DEFAULT_GUIDELINES, "withdrawal": "keep", "completion_code": "", "allow_holes": "",
}  # fmt: skip
SWITCHES = ("strength", "acceptability", "spans", "evidence", "repeat_items", "allow_holes")
ROWS: dict[str, tuple[str, ...]] = {
    "arm": ("name", "checkpoint", "max_tokens", "temperature", "seed"),
    "dimension": ("name", "title", "a1", "a2", "a3", "a4", "a5"),
    "question": ("question", "choices", "right", "why"),
    "known": ("kind", "prompt", "better", "worse", "expected", "why"),
}
LIMITS = {"arm": 12, "dimension": 10, "question": 20, "known": 100}
_NEW_ROWS: dict[str, dict[str, str]] = {
    "arm": {"max_tokens": str(DEFAULT_MAX_TOKENS), "temperature": "0", "seed": "0"},
    "dimension": {},
    "question": {"right": "1"},
    "known": {"kind": "practice", "expected": "better"},
}

_FIRST = {"arm": "checkpoint", "dimension": "title", "question": "question", "known": "kind"}

Row = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class SetupForm:
    """What was typed. `typed` has every name of FIELDS; `rows` every kind of ROWS; `chosen` are pairs, as JSON."""

    typed: Mapping[str, str]
    rows: Mapping[str, tuple[Row, ...]]
    chosen: tuple[str, ...] = ()
    problems: Mapping[str, str] = field(default_factory=dict)

    def on(self, name: str) -> bool:
        """Tell whether a switch is on."""
        return bool(self.typed[name])

    def error(self, name: str, at: int | None = None) -> str:
        """Say what is wrong with a field, of row `at` where it is in one; nothing when it is right."""
        return self.problems.get(name if at is None else f"{name}-{at}", "")

    def with_typed(self, **values: str) -> "SetupForm":
        """Return the form with some single fields said otherwise."""
        return replace(self, typed={**self.typed, **values})

    def with_rows(self, kind: str, rows: Iterable[Row]) -> "SetupForm":
        """Return the form with other rows of a kind."""
        return replace(self, rows={**self.rows, kind: tuple(rows)})


def read_form(sent: Iterable[tuple[str, object]]) -> SetupForm:
    """Read a form's fields as sent; fields nobody asked for are ignored, because browser extensions add some.

    Raises InvalidInputError where the fields of rows do not fit together.
    """
    lists: dict[str, list[str]] = {}
    for name, value in sent:
        if isinstance(value, str):
            # Browsers send every line break of a textarea as CRLF.
            lists.setdefault(name, []).append(value.replace("\r\n", "\n"))
    # An unticked box is not sent; a field that was never sent has its default.
    whole = "name" in lists
    absent = dict.fromkeys(SWITCHES, "") if whole else {}
    typed = {name: lists[name][-1] if name in lists else absent.get(name, start) for name, start in FIELDS.items()}
    return SetupForm(typed, {kind: _rows(kind, lists) for kind in ROWS}, tuple(lists.get("chosen", ())))


def _rows(kind: str, lists: Mapping[str, Sequence[str]]) -> tuple[Row, ...]:
    columns = [lists.get(f"{kind}_{name}", ()) for name in ROWS[kind]]
    if len({len(column) for column in columns}) > 1:
        raise InvalidInputError(
            f"The rows of {kind!r} are incomplete: every row needs {', '.join(ROWS[kind])}.",
            remedy="Load the page again.",
        )
    return tuple(dict(zip(ROWS[kind], values, strict=True)) for values in zip(*columns, strict=True))


def act(form: SetupForm, action: str) -> SetupForm:
    """Add a row (`add-arm`) or take one away (`remove-arm-2`, 0-based); any other action changes nothing."""
    verb, _, rest = action.partition("-")
    kind, _, place = rest.partition("-")
    if kind not in ROWS:
        return form
    rows = form.rows[kind]
    if verb == "add" and len(rows) < LIMITS[kind]:
        return form.with_rows(kind, (*rows, {**dict.fromkeys(ROWS[kind], ""), **_NEW_ROWS[kind]}))
    if verb == "remove" and place.isascii() and place.isdecimal() and len(place) <= 3:  # noqa: PLR2004  no row beyond
        return form.with_rows(kind, (row for at, row in enumerate(rows) if at != int(place)))
    return form


def focus_after(form: SetupForm, action: str) -> str:
    """Name where to go on after an action: the first field of a row that was added, or the button that adds another."""
    verb, _, rest = action.partition("-")
    kind = rest.partition("-")[0]
    if kind not in ROWS or verb not in ("add", "remove"):
        return ""
    return f"{kind}_{_FIRST[kind]}-{len(form.rows[kind]) - 1}" if verb == "add" else f"add-{kind}"


def empty_form() -> SetupForm:
    """Return the form for a new study: five dimensions, and nothing else filled in."""
    return SetupForm(dict(FIELDS), {**dict.fromkeys(ROWS, ()), "dimension": dimension_rows(FIVE_DIMENSIONS)})


def dimension_rows(dimensions: Iterable[Dimension]) -> tuple[Row, ...]:
    """Write dimensions as rows of the form."""
    return tuple(
        {"name": one.name, "title": one.title} | {f"a{at}": text for at, text in enumerate(one.anchors, start=1)}
        for one in dimensions
    )


def pair_value(first: str, second: str) -> str:
    """Write a pair of arm names as the value of a check box, in one order."""
    return json.dumps(sorted((first, second)), ensure_ascii=True)
