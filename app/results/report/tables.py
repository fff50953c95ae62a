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

    `outcome` indexes `OUTCOMES`, as `first_outcome` does; `strength` is 0 where none was given, `active_ms` -1
    where it is unknown.
    """

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
    guess: Coded
    stratum: Coded

    def __len__(self) -> int:
        """Count the judgments."""
        return len(self.outcome)

    @property
    def decided(self) -> Bools:
        """Which of them say something of the pair: all but those that could not be judged."""
        return np.asarray(self.outcome != CANNOT_JUDGE)

    def take(self, where: Ints | Bools) -> "Judgments":
        """Return some of the judgments, under the same codes."""
        rows = np.flatnonzero(where) if where.dtype == np.bool_ else where
        texts = {name: getattr(self, name).take(rows) for name in _CODED}
        plain = {name: getattr(self, name)[rows] for name in _PLAIN}
        return Judgments(**texts, **plain)


_CODED = ("item", "annotator", "prompt", "left", "right", "reason", "guess", "stratum")
_PLACED = ("ratings", "hallucinations", "evidence", "acceptability")
_PLAIN = ("outcome", "first_outcome", "strength", "active_ms", "recognised", "guideline", "excluded")


@dataclass(frozen=True, slots=True, eq=False)
class Ratings:
    """Values from 1 to 5, `[n, 2, dimensions]` by judgment, side (left first) and dimension; 0 where none was given.

    A million judgments have ten million ratings, so each is one byte. Dimensions are sorted.
    """

    dimensions: tuple[str, ...]
    values: NDArray[np.int8]

    def of(self, dimension: int) -> Ints:
        """Return the values of one dimension, `[n, 2]`, wide enough to count with."""
        return self.values[:, :, dimension].astype(np.int64)


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
    """A response of the study: its code points and tokens, and, where scored, each token's length and shift class.

    `checkpoint` is what answered, empty where it was given.
    """

    characters: int
    tokens: int | None = None
    lengths: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    classes: Tokens = field(default_factory=lambda: np.zeros(0, np.int8))
    checkpoint: str = ""


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
        parts = {name: _belonging(getattr(self, name), place) for name in ("spans", "shown", "accepted")}
        ratings = Ratings(self.ratings.dimensions, self.ratings.values[rows])
        return replace(self, judgments=self.judgments.take(rows), ratings=ratings, **parts)


def tables_of(
    columns: Mapping[str, Columns],
    texts: Mapping[tuple[str, str], Text],
    asked: Asked | None = None,
    rated: Ratings | None = None,
) -> Tables:
    """Build the tables from the columns of each export table (`columns.USED`); a table that is missing is empty.

    `rated` are ratings already by judgment, in the order of preferences; the columns of ratings are then not read.
    """
    found = {table: columns.get(table) or of_rows(table, ()) for table in USED}
    order = _order(found["preferences"])
    judgments = _judgments(found["preferences"], order)
    places = _places(found, order)
    return Tables(
        judgments=judgments,
        ratings=Ratings(rated.dimensions, rated.values[order])
        if rated
        else _ratings(found["ratings"], places, len(judgments)),
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


def _whole(values: Sequence[int | None] | Ints, absent: int = 0) -> Ints:
    if isinstance(values, np.ndarray):
        return values
    return np.fromiter((absent if value is None else value for value in values), np.int64, count=len(values))


def _choice(values: Sequence[str] | Coded, choices: Sequence[str]) -> Ints:
    places = {name: at for at, name in enumerate(choices)}
    if isinstance(values, Coded):
        return np.fromiter((places[name] for name in values.names), np.int64, count=len(values.names))[values.codes]
    return np.fromiter((places[value] for value in values), np.int64, count=len(values))


def _flags(values: Sequence[bool | None] | Bools) -> Bools:
    if isinstance(values, np.ndarray):
        return values
    return np.fromiter((value is True for value in values), np.bool_, count=len(values))


def _sorted(*keys: Ints) -> Ints:
    """Return the order by the first key, then the second, and so on."""
    return np.lexsort(keys[::-1])


def _order(columns: Columns) -> Ints:
    items, shown = coded(columns["item_id"]), columns["presentation_id"]
    # Ranks of the ids rather than the ids themselves: an array of texts is as wide as the longest.
    rank = np.empty(len(shown), np.int64)
    rank[sorted(range(len(shown)), key=shown.__getitem__)] = np.arange(len(shown))
    return _sorted(items.codes, rank)


def _places(found: Mapping[str, Columns], order: Ints) -> dict[str, int]:
    """Say where the judgments that have rows in other tables stand; of a million others nothing is kept."""
    named = set[str]().union(*(found[table]["presentation_id"] for table in _PLACED))
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    shown = enumerate(found["preferences"]["presentation_id"])
    return {name: int(place[at]) for at, name in shown if name in named}


def _judgments(columns: Columns, order: Ints) -> Judgments:
    left, right = coded(columns["model_left"]), coded(columns["model_right"])
    arms = {*left.names, *right.names}
    return Judgments(
        item=coded(columns["item_id"]).take(order),
        annotator=coded(columns["annotator_pid"]).take(order),
        prompt=coded(columns["prompt"]).take(order),
        left=coded(left, names=arms).take(order),
        right=coded(right, names=arms).take(order),
        outcome=_choice(columns["preference_raw"], OUTCOMES)[order],
        first_outcome=_choice(columns["first_preference"], OUTCOMES)[order],
        strength=_whole(columns["strength"])[order],
        active_ms=_whole(columns["active_ms"], -1)[order],
        recognised=_flags(columns["recognised_model"])[order],
        guideline=_whole(columns["guideline_version"])[order],
        excluded=_flags(columns["excluded"])[order],
        reason=coded(columns["exclusion_reason"]).take(order),
        guess=coded(columns["recognised_guess"]).take(order),
        stratum=coded(columns["stratum"]).take(order),
    )


def _placed(columns: Columns, places: Mapping[str, int]) -> tuple[Ints, Ints]:
    """Return each row's judgment and side. Raises ValueError for a row of a presentation that was not judged."""
    shown = columns["presentation_id"]
    judgment = np.fromiter((places.get(one, -1) for one in shown), np.int64, count=len(shown))
    strange = np.flatnonzero(judgment < 0)
    if strange.size:
        raise ValueError(f"a row is of presentation {shown[strange[0]]!r}, which preferences lacks")
    return judgment, _choice(columns["side"], SIDES)


def _ratings(columns: Columns, places: Mapping[str, int], judgments: int) -> Ratings:
    """Lay ratings out by judgment. Raises ValueError where a dimension was rated twice, or with no small number."""
    judgment, side = _placed(columns, places)
    dimension, given = coded(columns["dimension"]), _whole(columns["value"])
    if given.size and not 0 <= int(given.min()) <= int(given.max()) <= np.iinfo(np.int8).max:
        raise ValueError(f"a rating is from 1 to 5, and none from {given.min()} to {given.max()}")
    values = np.zeros((judgments, len(SIDES), len(dimension.names)), np.int8)
    values[judgment, side, dimension.codes] = given
    if np.count_nonzero(values) != np.count_nonzero(given):
        raise ValueError("a response was rated twice on one dimension by one judgment")
    return Ratings(dimension.names, values)


def _spans(columns: Columns, places: Mapping[str, int]) -> Spans:
    judgment, side = _placed(columns, places)
    start, end = _whole(columns["start"]), _whole(columns["end"])
    kind, severity = coded(columns["type"]), coded(columns["severity"], names=("minor", "major"))
    order = _sorted(judgment, side, start, end, kind.codes, severity.codes)
    shift = [[one[name] for name in SHIFT_CLASSES] if one else [-1] * 3 for one in columns["shift"]]
    return Spans(
        judgment=judgment[order],
        side=side[order],
        start=start[order],
        end=end[order],
        type=kind.take(order),
        severity=severity.take(order),
        causal=_whole([None if one is None else int(one) for one in columns["causal"]], -1)[order],
        shift=np.asarray(shift, np.int64).reshape(-1, 3)[order],
    )


def _shown(columns: Columns, places: Mapping[str, int]) -> Shown:
    judgment, side = _placed(columns, places)
    start, end = _whole(columns["start"]), _whole(columns["end"])
    decoy = _flags(columns["is_decoy"])
    verdict = coded(columns["verdict"], names=("borrowed", "similar", "unrelated"))
    order = _sorted(judgment, side, start, end, decoy.astype(np.int64), verdict.codes)
    order = order[_flags(columns["marked"])[order]]
    return Shown(judgment[order], side[order], start[order], end[order], decoy[order], verdict.take(order))


def _accepted(columns: Columns, places: Mapping[str, int]) -> Accepted:
    judgment, side = _placed(columns, places)
    order = _sorted(judgment, side)
    return Accepted(judgment[order], side[order], _flags(columns["acceptable"])[order])


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
