"""How somebody wants to see tokens: measure, class thresholds, mode and pins, as the query string keeps them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlencode

from app.shift.classes import DEFAULT_THRESHOLDS, Thresholds
from app.shift.measures import BY_NAME, MEASURES, Measure

Mode = Literal["reading", "tokenizer"]
Chart = Literal["measure", "cumulative"]

MODES: tuple[tuple[Mode, str], ...] = (("reading", "Reading"), ("tokenizer", "Tokenizer"))
MAX_PINS = 12
MAX_THRESHOLD = 1_000_000
_PIN = re.compile(r"(\d{1,4})-(\d{1,7})")


@dataclass(frozen=True, slots=True)
class Shown:
    """What a page of tokens shows. `pins` are (column, token).

    `problem` says why the thresholds that were asked for are not used; empty when they are.
    """

    measure: Measure = MEASURES[0]
    thresholds: Thresholds = DEFAULT_THRESHOLDS
    mode: Mode = "reading"
    chart: Chart = "measure"
    pins: tuple[tuple[int, int], ...] = ()
    problem: str = ""

    @property
    def by_class(self) -> bool:
        """Whether tokens are coloured by their class."""
        return self.measure is MEASURES[0]

    @property
    def usual(self) -> bool:
        """Whether the thresholds are the default ones, for which alone nearness to a border is known."""
        return self.thresholds == DEFAULT_THRESHOLDS

    @property
    def query(self) -> str:
        """The query string that shows the same, without what is usual."""
        usual = Shown()
        said = {
            "measure": "" if self.by_class else self.measure.name,
            "unshifted": "" if self.usual else str(self.thresholds.unshifted),
            "marginal": "" if self.usual else str(self.thresholds.marginal),
            "mode": "" if self.mode == usual.mode else self.mode,
            "chart": "" if self.chart == usual.chart else self.chart,
            "pin": ",".join(f"{column}-{token}" for column, token in self.pins),
        }
        return urlencode({name: word for name, word in said.items() if word}, safe=",")


def shown_from(query: Mapping[str, str]) -> Shown:
    """Read a query string. Unknown words mean the usual; thresholds that cannot be are refused in `problem`."""
    thresholds, problem = _thresholds(query.get("unshifted", ""), query.get("marginal", ""))
    pins = dict.fromkeys((int(column), int(token)) for column, token in _PIN.findall(query.get("pin", "")))
    return Shown(
        measure=BY_NAME.get(query.get("measure", ""), MEASURES[0]),
        thresholds=thresholds,
        mode="tokenizer" if query.get("mode") == "tokenizer" else "reading",
        chart="cumulative" if query.get("chart") == "cumulative" else "measure",
        pins=tuple(pins)[:MAX_PINS],
        problem=problem,
    )


def _thresholds(unshifted: str, marginal: str) -> tuple[Thresholds, str]:
    usual = DEFAULT_THRESHOLDS
    numbers = []
    for title, text, default in (("unshifted", unshifted, usual.unshifted), ("marginal", marginal, usual.marginal)):
        said = text.strip() or str(default)
        if not re.fullmatch(r"\d{1,7}", said, re.ASCII) or not 1 <= int(said) <= MAX_THRESHOLD:
            return usual, f"The largest {title} rank must be a whole number from 1 to {MAX_THRESHOLD:,}."
        numbers.append(int(said))
    first, last = numbers
    if first >= last:
        return usual, f"The largest marginal rank must be above the largest unshifted one; {last} is not above {first}."
    return Thresholds(first, last), ""
