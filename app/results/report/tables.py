"""The export's tables as columns of numbers, in one order whatever order their rows came in."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.results.report.coded import Bools, Coded, Ints, coded
from app.results.report.columns import USED, Columns, of_rows

OUTCOMES = ("left", "right", "tie_good", "tie_bad", "cannot_judge")
LEFT, RIGHT, TIE_GOOD, TIE_BAD, CANNOT_JUDGE = range(5)
SIDES = ("left", "right")
SHIFT_CLASSES = ("unshifted", "marginal", "shifted")

Tokens = NDArray[np.int8]


@dataclass(frozen=True, slots=True, eq=False)
class Judgments:
    """One row per final judgment, `[n]` each, by item and presentation. Arms share one vocabulary over both sides.

    `outcome` indexes `OUTCOMES`, as `first_outcome` does; `strength` is 0 where none was given.
    """

    presentation: tuple[str, ...]
    item: Coded
    annotator: Coded
    prompt: Coded
    left: Coded
    right: Coded
    outcome: Ints
    first_outcome: Ints
    strength: Ints
    active_ms: Ints
    recognised: Bools
    guideline: Ints
    excluded: Bools
    reason: Coded

    def __len__(self) -> int:
        """Count the judgments."""
        return len(self.presentation)

    @property
    def decided(self) -> Bools:
        """Which of them say something of the pair: all but those that could not be judged."""
        return np.asarray(self.outcome != CANNOT_JUDGE)

    def take(self, where: Ints | Bools) -> "Judgments":
        """Return some of the judgments, under the same codes."""
        rows = np.flatnonzero(where) if where.dtype == np.bool_ else where
        texts = {name: getattr(self, name).take(rows) for name in _CODED}
        plain = {name: getattr(self, name)[rows] for name in _PLAIN}
        return Judgments(presentation=tuple(self.presentation[at] for at in rows), **texts, **plain)


_CODED = ("item", "annotator", "prompt", "left", "right", "reason")
_PLAIN = ("outcome", "first_outcome", "strength", "active_ms", "recognised", "guideline", "excluded")


@dataclass(frozen=True, slots=True, eq=False)
class Ratings:
    """One row per value from 1 to 5; `judgment` is its row in `Judgments`, `side` 0 for left."""

    judgment: Ints
    side: Ints
    dimension: Coded
    value: Ints


@dataclass(frozen=True, slots=True, eq=False)
class Spans:
    """One row per marked span. `causal` is 1, 0, or -1 where nothing was said of the instances beside it.

    `shift` is `[n, 3]` tokens by shift class, -1 where the response has no trace.
    """

    judgment: Ints
    side: Ints
    start: Ints
    end: Ints
    type: Coded
    severity: Coded
    causal: Ints
    shift: Ints


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """One row per instance shown beside a span that the judgment marks. `verdict` is empty where nothing was said."""

    judgment: Ints
    side: Ints
    start: Ints
    end: Ints
    decoy: Bools
    verdict: Coded


@dataclass(frozen=True, slots=True, eq=False)
class Accepted:
    """One row per response that was called acceptable or not."""

    judgment: Ints
    side: Ints
    acceptable: Bools


@dataclass(frozen=True, slots=True)
class Text:
    """A response of the study: its code points and tokens, and, where scored, each token's length and shift class."""

    characters: int
    tokens: int | None = None
    lengths: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    classes: Tokens = field(default_factory=lambda: np.zeros(0, np.int8))


@dataclass(frozen=True, slots=True)
class Rule:
    """An exclusion rule as exported: its name, reason, whether it holds, and what it meets by itself."""

    name: str
    reason: str
    holds: bool
    judgments: int
    annotators: int


@dataclass(frozen=True, slots=True)
class Asked:
    """What the study asks for, so that nothing answered is not taken for nothing found."""

    spans: bool = True
    recognised: bool = True


def asked_of(questions: Mapping[str, Any]) -> Asked:
    """Read the study's questions, as manifest.json has them; an empty one asks what all studies asked at first."""
    return Asked(bool(questions.get("spans", True)), bool(questions.get("recognised", "item") == "item"))


@dataclass(frozen=True, slots=True, eq=False)
class Tables:
    """All that findings rest on. `texts` is by item and arm; `gold` by pseudonym, asked and right."""

    judgments: Judgments
    ratings: Ratings
    spans: Spans
    shown: Shown
    accepted: Accepted
    texts: Mapping[tuple[str, str], Text]
    gold: Mapping[str, tuple[int, int]]
    recognised: Mapping[str, bool | None]
    rules: tuple[Rule, ...]
    asked: Asked = Asked()

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms that were shown, sorted."""
        return self.judgments.left.names

    def keep(self, where: Bools) -> "Tables":
        """Return these judgments only, with what belongs to them."""
        rows = np.flatnonzero(where)
        place = np.full(len(self.judgments), -1, np.int64)
        place[rows] = np.arange(len(rows))
        parts = {name: _belonging(getattr(self, name), place) for name in ("ratings", "spans", "shown", "accepted")}
        return replace(self, judgments=self.judgments.take(rows), **parts)


def tables_of(
    columns: Mapping[str, Columns], texts: Mapping[tuple[str, str], Text], asked: Asked | None = None
) -> Tables:
    """Build the tables from the columns of each export table (`columns.USED`); a table that is missing is empty."""
    found = {table: columns.get(table) or of_rows(table, ()) for table in USED}
    judgments = _judgments(found["preferences"])
    places = {name: at for at, name in enumerate(judgments.presentation)}
    return Tables(
        judgments=judgments,
        ratings=_ratings(found["ratings"], places),
        spans=_spans(found["hallucinations"], places),
        shown=_shown(found["evidence"], places),
        accepted=_accepted(found["acceptability"], places),
        texts=texts,
        gold=_gold(found["gold"]),
        recognised=dict(
            zip(found["annotators"]["annotator_pid"], found["annotators"]["recognised_model"], strict=True)
        ),
        rules=_rules(found["exclusions"]),
        asked=asked or Asked(),
    )


def tables_of_rows(
    rows: Mapping[str, Iterable[Mapping[str, Any]]], texts: Mapping[tuple[str, str], Text] | None = None
) -> Tables:
    """Build the tables from the rows of export tables, by table name without its ending."""
    return tables_of({table: of_rows(table, some) for table, some in rows.items()}, texts or {})


def _belonging(some: Any, place: Ints) -> Any:
    """Keep the rows whose judgment is kept, and tell where it is now."""
    judgment = place[some.judgment]
    rows = np.flatnonzero(judgment >= 0)
    changed: dict[str, Any] = {"judgment": judgment[rows]}
    for name in some.__slots__:
        if name != "judgment":
            column = getattr(some, name)
            changed[name] = column.take(rows) if isinstance(column, Coded) else column[rows]
    return type(some)(**changed)


def _ordered(columns: Columns, order: Ints) -> dict[str, Sequence[Any]]:
    return {name: [column[at] for at in order] for name, column in columns.items()}


def _whole(values: Sequence[int | None], absent: int = 0) -> Ints:
    return np.fromiter((absent if value is None else value for value in values), np.int64, count=len(values))


def _choice(values: Sequence[str], choices: Sequence[str]) -> Ints:
    places = {name: at for at, name in enumerate(choices)}
    return np.fromiter((places[value] for value in values), np.int64, count=len(values))


def _flags(values: Sequence[bool | None]) -> Bools:
    return np.fromiter((value is True for value in values), np.bool_, count=len(values))


def _judgments(columns: Columns) -> Judgments:
    items, presentations = columns["item_id"], columns["presentation_id"]
    order = sorted(range(len(items)), key=lambda at: (items[at], presentations[at]))
    found = _ordered(columns, np.asarray(order, np.int64))
    arms = {*found["model_left"], *found["model_right"]}
    return Judgments(
        presentation=tuple(found["presentation_id"]),
        item=coded(found["item_id"]),
        annotator=coded(found["annotator_pid"]),
        prompt=coded(found["prompt"]),
        left=coded(found["model_left"], names=arms),
        right=coded(found["model_right"], names=arms),
        outcome=_choice(found["preference_raw"], OUTCOMES),
        first_outcome=_choice(found["first_preference"], OUTCOMES),
        strength=_whole(found["strength"]),
        active_ms=_whole(found["active_ms"]),
        recognised=_flags(found["recognised_model"]),
        guideline=_whole(found["guideline_version"]),
        excluded=_flags(found["excluded"]),
        reason=coded(found["exclusion_reason"]),
    )


def _placed(columns: Columns, places: Mapping[str, int], *keys: str) -> dict[str, Any]:
    """Order rows by their judgment, their side and what else tells them apart; adds `judgment` and `side_code`."""
    shown = columns["presentation_id"]
    strange = next((one for one in shown if one not in places), None)
    if strange is not None:
        raise ValueError(f"a row is of presentation {strange!r}, which preferences lacks")
    judgment = np.fromiter((places[one] for one in shown), np.int64, count=len(shown))
    side = _choice(columns["side"], SIDES)
    more = [columns[name] for name in keys]
    order = sorted(range(len(judgment)), key=lambda at: (judgment[at], side[at], *(column[at] for column in more)))
    rows = np.asarray(order, np.int64)
    return _ordered(columns, rows) | {"judgment": judgment[rows], "side_code": side[rows]}


def _ratings(columns: Columns, places: Mapping[str, int]) -> Ratings:
    found = _placed(columns, places, "dimension")
    return Ratings(found["judgment"], found["side_code"], coded(found["dimension"]), _whole(found["value"]))


def _spans(columns: Columns, places: Mapping[str, int]) -> Spans:
    found = _placed(columns, places, "start", "end", "type", "severity")
    shift = [[one[name] for name in SHIFT_CLASSES] if one else [-1] * 3 for one in found["shift"]]
    return Spans(
        judgment=found["judgment"],
        side=found["side_code"],
        start=_whole(found["start"]),
        end=_whole(found["end"]),
        type=coded(found["type"]),
        severity=coded(found["severity"], names=("minor", "major")),
        causal=_whole([None if one is None else int(one) for one in found["causal"]], -1),
        shift=np.asarray(shift, np.int64).reshape(-1, 3),
    )


def _shown(columns: Columns, places: Mapping[str, int]) -> Shown:
    found = _placed(columns, places, "start", "end", "is_decoy", "verdict")
    kept = np.flatnonzero(_flags(found["marked"]))
    return Shown(
        judgment=found["judgment"][kept],
        side=found["side_code"][kept],
        start=_whole(found["start"])[kept],
        end=_whole(found["end"])[kept],
        decoy=_flags(found["is_decoy"])[kept],
        verdict=coded(found["verdict"], names=("borrowed", "similar", "unrelated")).take(kept),
    )


def _accepted(columns: Columns, places: Mapping[str, int]) -> Accepted:
    found = _placed(columns, places)
    return Accepted(found["judgment"], found["side_code"], _flags(found["acceptable"]))


def _gold(columns: Columns) -> dict[str, tuple[int, int]]:
    asked: dict[str, tuple[int, int]] = {}
    for pid, right in zip(columns["annotator_pid"], columns["right"], strict=True):
        before = asked.get(pid, (0, 0))
        asked[pid] = before[0] + 1, before[1] + bool(right)
    return asked


def _rules(columns: Columns) -> tuple[Rule, ...]:
    rows = zip(*(columns[name] for name in USED["exclusions"]), strict=True)
    return tuple(
        Rule(name, reason, not revoked, judgments or 0, annotators or 0)
        for name, reason, revoked, judgments, annotators in rows
    )
