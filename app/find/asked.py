"""What somebody looks for, as the query string keeps it: every page of results is a link that can be shared."""

from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

from app.find.columns import BY_NAME, COLUMNS, Column, bound
from models import BasePrompt

Order = Literal["high", "low", "far"]

ORDERS: tuple[tuple[Order, str], ...] = (("high", "highest first"), ("low", "lowest first"), ("far", "furthest from 0"))
MAX_FILTERS = 8
MAX_TEXT = 200


@dataclass(frozen=True, slots=True)
class Filter:
    """Only responses whose value lies within; `low` and `high` as they were typed, per cent for shares."""

    column: Column
    low: str = ""
    high: str = ""

    @property
    def bounds(self) -> tuple[float | None, float | None]:
        """The numbers typed. Raises ValueError for what is no number."""
        return bound(self.column, self.low), bound(self.column, self.high)


@dataclass(frozen=True, slots=True)
class Asked:
    """One search. `after` is the value and trace of the last response of the page before; None on the first.

    `problems` says what could not be used, and was left out.
    """

    source: str = ""
    arm: str = ""
    base_prompt: BasePrompt = BasePrompt.SAME_IDS
    column: Column = COLUMNS[0]
    order: Order = "high"
    filters: tuple[Filter, ...] = ()
    text: str = ""
    after: tuple[float, str] | None = None
    problems: tuple[str, ...] = ()

    def url(self, path: str = "/traces") -> str:
        """Link the same search on some page, from its first results on."""
        return f"{path}?{self.query}" if self.query else path

    def next_url(self, value: float, trace_id: str) -> str:
        """Link the results after one."""
        return f"{self.url()}&{urlencode({'after': f'{value!r},{trace_id}'})}"

    def with_(self, **changes: str) -> "Asked":
        """Change the source, arm or text alone."""
        return replace(self, after=None, **changes)  # type: ignore[arg-type]

    @property
    def query(self) -> str:
        """The query string, without what is usual."""
        usual = Asked()
        said = [("source", self.source), ("arm", self.arm)]
        said += [("base_prompt", self.base_prompt.value if self.base_prompt != usual.base_prompt else "")]
        said += [("sort", self.column.name if self.column is not usual.column else "")]
        said += [("order", self.order if self.order != usual.order else ""), ("q", self.text)]
        filters = [
            pair for one in self.filters for pair in (("by", one.column.name), ("min", one.low), ("max", one.high))
        ]
        return urlencode([*((name, word) for name, word in said if word), *filters])


def asked_from(query: QueryParams) -> Asked:
    """Read a query string; what cannot be used is left out and named in `problems`."""
    problems: list[str] = []
    column = BY_NAME.get(query.get("sort", ""), COLUMNS[0])
    order: Order = next((name for name, _ in ORDERS if name == query.get("order")), "high")
    if order == "far" and not column.diverging:
        order = "high"
    return Asked(
        source=query.get("source", "")[:80],
        arm=query.get("arm", "")[:200],
        base_prompt=next((prompt for prompt in BasePrompt if prompt == query.get("base_prompt")), BasePrompt.SAME_IDS),
        column=column,
        order=order,
        filters=_filters(query, problems),
        text=query.get("q", "").strip()[:MAX_TEXT],
        after=_after(query.get("after", "")),
        problems=tuple(problems),
    )


def _filters(query: QueryParams, problems: list[str]) -> tuple[Filter, ...]:
    names, lows, highs = query.getlist("by"), query.getlist("min"), query.getlist("max")
    filters: list[Filter] = []
    for at, name in enumerate(names[:MAX_FILTERS]):
        low, high = ((words[at] if at < len(words) else "").strip()[:40] for words in (lows, highs))
        column = BY_NAME.get(name)
        if column is None or not (low or high):
            continue
        asked = Filter(column, low, high)
        problem = _problem(asked)
        if problem:
            problems.append(problem)
        else:
            filters.append(asked)
    return tuple(filters)


def _problem(asked: Filter) -> str:
    unit = "per cent" if asked.column.scale == "share" else asked.column.unit
    for text in (asked.low, asked.high):
        try:
            bound(asked.column, text)
        except ValueError:
            return f"{asked.column.title}: {text!r} is not a number; write one in {unit}."
    low, high = asked.bounds
    if low is not None and high is not None and low > high:
        return f"{asked.column.title}: nothing is at least {asked.low} and at most {asked.high}."
    return ""


def _after(text: str) -> tuple[float, str] | None:
    number, _, trace_id = text.partition(",")
    try:
        return (float(number), trace_id) if trace_id else None
    except ValueError:
        return None
