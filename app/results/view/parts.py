"""What a section is made of, and how a number is written: never without its interval, or the reason why it has none."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode

from app.results.charts import Chart, Dot
from app.results.report.findings import ALL, Findings
from app.results.report.strata import prefix_of
from app.results.report.values import Number, part

MINUS = "\N{MINUS SIGN}"
NOTHING = "\N{EN DASH}"


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: words or a number with its interval, a reason in words, and the rows it links to.

    `key` is the number's key in results.json.
    """

    text: str
    interval: str = ""
    reason: str = ""
    href: str = ""
    key: str = ""
    numeric: bool = True


@dataclass(frozen=True, slots=True)
class Row:
    """A row: what it is about, then its cells."""

    head: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """A table, a figure, a sentence, or several of these together."""

    caption: str = ""
    header: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()
    chart: Chart | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """One section of the page."""

    name: str
    title: str
    lead: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """Findings as somebody asked to read them: which pairs, with or without exclusions, and where rows are found.

    With a `stratum` numbers are those of its prompts alone.
    """

    findings: Findings
    study_id: str
    pairs: tuple[tuple[str, str], ...]
    everything: bool = False
    base: str = ""
    titles: dict[str, str] = field(default_factory=dict)
    stratum: str = ""

    def get(self, key: str) -> Number:
        """Return a number by key; of all judgments where exclusions are switched off."""
        return self.findings.numbers[self.key(key)]

    def key(self, key: str) -> str:
        """Spell the key of a number as results.json has it."""
        key = f"{prefix_of(self.stratum)}{key}" if self.stratum else key
        whole = f"{ALL}{key}"
        return whole if self.everything and whole in self.findings.numbers else key

    def has(self, key: str) -> bool:
        """Tell whether there is such a number."""
        return self.key(key) in self.findings.numbers

    def rows(self, **asked: str) -> str:
        """Address the judgments that a number rests on."""
        query = {name: value for name, value in ({"stratum": self.stratum} | asked).items() if value}
        if not self.everything:
            query["excluded"] = "no"
        return f"{self.base}/studies/{self.study_id}/results/judgments?{urlencode(query)}"

    def cell(self, key: str, write: Callable[[float], str], **asked: str) -> Cell:
        """Write a number with its interval, linked to its rows: those `asked` for, or all of its pair or arm.

        A count links only to as many rows as it counts.
        """
        number = self.get(key)
        if not asked and write is not whole:
            asked = self._about(key)
        href = self.rows(**asked) if asked else ""
        if number.value is None:
            return Cell("none", reason=number.reason, key=self.key(key))
        return Cell(
            write(number.value),
            interval(number, write),
            number.reason if number.low is None else "",
            href,
            self.key(key),
        )

    def _about(self, key: str) -> dict[str, str]:
        """Tell which judgments a number is about, by the pair or the arm in its key."""
        parts = key.split(".")
        for first, second in self.pairs:
            if pair_key(first, second) in parts:
                return {"first": first, "second": second, "outcome": "judged"}
        return next(({"first": arm, "outcome": "judged"} for arm in self.findings.arms if part(arm) in parts), {})

    def bounds(self, key: str, write: Callable[[float], str]) -> Cell:
        """Write only the interval of a number, or why it has none."""
        if not self.has(key):
            return Cell(NOTHING)
        number = self.get(key)
        shown = interval(number, write)
        return Cell(shown or "none", reason="" if shown else number.reason, key=self.key(key))

    def n(self, key: str) -> Cell:
        """Write what a number rests on."""
        n = self.get(key).n
        return Cell(NOTHING if n is None else whole(n))

    def dot(self, label: str, key: str, write: Callable[[float], str]) -> Dot:
        """Draw a number as a dot with its interval."""
        number = self.get(key)
        shown = write(number.value) if number.value is not None else number.reason
        return Dot(label, number.value, number.low, number.high, shown, interval(number, write))


def pair_key(first: str, second: str) -> str:
    """Spell a pair as keys do."""
    return f"{part(first)}~{part(second)}"


def interval(number: Number, write: Callable[[float], str]) -> str:
    """Write an interval; empty where there is none."""
    if number.low is None or number.high is None:
        return ""
    return f"{write(number.low)} to {write(number.high)}"


def percent(value: float) -> str:
    """Write a share as a percentage with one decimal."""
    return f"{100 * value:.1f} %".replace("-", MINUS)


def chance(value: float) -> str:
    """Write a share of draws, which never shows that something is certain or impossible."""
    if value < 0.001:  # noqa: PLR2004  as many decimals as are shown
        return "< 0.1 %"
    return "> 99.9 %" if value > 0.999 else percent(value)  # noqa: PLR2004


def points(value: float) -> str:
    """Write a difference of shares in percentage points."""
    return f"{100 * value:+.1f} pts".replace("-", MINUS)


def half_width(value: float) -> str:
    """Write half the width of an interval of shares in percentage points."""
    return f"{100 * value:.1f} pts"


def signed(value: float) -> str:
    """Write a difference with its sign."""
    return f"{value:+.2f}".replace("-", MINUS)


def plain(value: float) -> str:
    """Write a number with two decimals."""
    return f"{value:.2f}".replace("-", MINUS)


def fine(value: float) -> str:
    """Write a number with three decimals."""
    return f"{value:.3f}".replace("-", MINUS)


def whole(value: float) -> str:
    """Write a count."""
    return f"{int(value):,}"


def probability(value: float) -> str:
    """Write a p value; one that is tiny is only called so."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"  # noqa: PLR2004  three decimals are shown


def seconds(value: float) -> str:
    """Write milliseconds as seconds."""
    return f"{value / 1000:.1f} s"


def words(text: str) -> Cell:
    """Put words into a cell."""
    return Cell(text, numeric=False)


def nice(values: Iterable[float]) -> float:
    """Round the largest of some values up to a half, for the end of an axis."""
    return math.ceil(2 * max(values) - 1e-9) / 2


def listed(names: Sequence[str]) -> str:
    """Join names as a sentence does."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else "none"
