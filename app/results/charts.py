"""Figures drawn as SVG on the server: legible in light, dark and print, each with its table and its CSV. Pure.

Colours come from classes (`static/results.css`, and `STYLE` in a file of its own); shapes differ too, so that no figure
rests on colour alone.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape
from textwrap import wrap

from app.cells import csv_line

WIDTH = 460.0
_LABEL = 132.0
_LETTERS = 19
_LINES = 2
_AGAINST = " against "
# What a letter of a legend takes, on the generous side.
_SMALL = 6.0
_VALUE = 56.0
_ROW = 26.0
# Where a label has two lines.
_TALL = 33.0
_TOP = 8.0
_AXIS = 26.0
# Neighbours differ in lightness, so that they stay apart in grey.
_FILLS = ("a", "b", "c", "e", "d")
# The two ends of a scale and what lies between them.
ENDS = ("a", "c", "d", "b")
_WIDE_ENOUGH = 26

STYLE = (
    "svg{font:13px system-ui,sans-serif;color:#1c1e23;background:#fff}"
    ".chart-text{fill:currentColor}.chart-muted{fill:#5a5e67}.chart-small{font-size:11px}.chart-end{text-anchor:end}.chart-middle{text-anchor:middle}"
    ".chart-axis,.chart-grid,.chart-reference{stroke:#85847f;stroke-width:1}.chart-grid{stroke:#e3e0d9}"
    ".chart-reference{stroke-dasharray:4 3}.chart-interval{stroke:#2b4c9b;stroke-width:2.5}"
    ".chart-dot{fill:#2b4c9b;stroke:#fff;stroke-width:1.5}"
    ".chart-a{fill:#2b4c9b}.chart-b{fill:#c46a1b}.chart-c{fill:#8aa0d8}.chart-d{fill:#b9b6ae}.chart-e{fill:#6f6c66}"
    ".chart-line{stroke:#fff;stroke-width:1}"
)


@dataclass(frozen=True, slots=True)
class Chart:
    """A figure: its SVG, and the same as a table. `name` is its place in addresses and its id in the page."""

    name: str
    title: str
    about: str
    svg: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def csv(self) -> str:
        """Write the table as CSV."""
        return csv_line(self.header) + "".join(csv_line(row) for row in self.rows)

    def file(self) -> str:
        """Write the SVG as a file that needs nothing beside it."""
        head, _, rest = self.svg.partition(">")
        return f'{head} xmlns="http://www.w3.org/2000/svg"><style>{STYLE}</style>{rest}'


@dataclass(frozen=True, slots=True)
class Dot:
    """One row of a dot-and-interval figure; what is None is not drawn."""

    label: str
    value: float | None
    low: float | None
    high: float | None
    shown: str
    interval: str = ""


def tag(name: str, inner: str = "", **attributes: object) -> str:
    """Write one element; `class_` is class, and underscores are hyphens. `inner` is markup already."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_number(value))}"' for key, value in attributes.items()
    )
    return f"<{name}{written}>{inner}</{name}>" if inner else f"<{name}{written}/>"


def text(words: str, x: float, y: float, class_: str = "chart-text") -> str:
    """Write words at a place."""
    return tag("text", escape(words), x=x, y=y, class_=class_)


def svg(name: str, title: str, about: str, height: float, parts: Iterable[str]) -> str:
    """Put parts into one SVG with a title and a description that are read aloud."""
    inner = tag("title", escape(title), id=f"{name}-title") + tag("desc", escape(about), id=f"{name}-desc")
    return tag(
        "svg",
        inner + "".join(parts),
        class_="chart",
        viewBox=f"0 0 {_number(WIDTH)} {_number(height)}",
        role="img",
        aria_labelledby=f"{name}-title {name}-desc",
    )


def dots(
    name: str,
    title: str,
    rows: Sequence[Dot],
    *,
    scale: tuple[float, float],
    ticks: Sequence[tuple[float, str]],
    reference: float | None = None,
) -> Chart:
    """Draw an estimate and its interval per row, on one scale, with a dashed line at `reference`."""
    left, right = _LABEL + 8, WIDTH - _VALUE - 14
    high = _TALL if any(len(_lines(row.label)) > 1 for row in rows) else _ROW
    bottom = _TOP + high * len(rows)

    def x(value: float) -> float:
        share = (min(max(value, scale[0]), scale[1]) - scale[0]) / (scale[1] - scale[0])
        return left + share * (right - left)

    parts = [tag("line", x1=x(at), x2=x(at), y1=_TOP, y2=bottom, class_="chart-grid") for at, _ in ticks]
    parts += [text(words, x(at), bottom + 16, "chart-muted chart-middle") for at, words in ticks]
    parts.append(tag("line", x1=left, x2=right, y1=bottom, y2=bottom, class_="chart-axis"))
    if reference is not None:
        at = x(reference)
        parts.append(tag("line", x1=at, x2=at, y1=_TOP, y2=bottom, class_="chart-reference"))
    for place, row in enumerate(rows):
        parts += _dot_row(row, _TOP + high * (place + 0.5), x)
    about = "; ".join(f"{row.label}: {row.shown}{f' {row.interval}' if row.interval else ''}" for row in rows)
    table = tuple((row.label, row.shown, row.interval) for row in rows)
    drawn = svg(name, title, about, bottom + _AXIS, parts)
    return Chart(name, title, about, drawn, ("", "estimate", "95 % interval"), table)


def _dot_row(row: Dot, middle: float, x: Callable[[float], float]) -> list[str]:
    parts = _label(row.label, middle + 4)
    if row.low is not None and row.high is not None:
        parts.append(tag("line", x1=x(row.low), x2=x(row.high), y1=middle, y2=middle, class_="chart-interval"))
    if row.value is not None:
        parts.append(tag("circle", cx=x(row.value), cy=middle, r=5, class_="chart-dot"))
    parts.append(text(row.shown if row.value is not None else "none", WIDTH, middle + 4, "chart-text chart-end"))
    return parts


def stacked(
    name: str,
    title: str,
    parts_of: Sequence[str],
    rows: Sequence[tuple[str, Sequence[int]]],
    fills: Sequence[str] = _FILLS,
) -> Chart:
    """Draw the shares of a whole, one bar per row, the parts in the same order and named in a legend."""
    left, right = _LABEL + 8, WIDTH
    drawn: list[str] = []
    for place, (label, counts) in enumerate(rows):
        top, whole, at = _TOP + 34 * place, sum(counts), left
        drawn += _label(label, top + 17)
        for kind, number in zip(fills, counts, strict=False):
            width = (right - left) * number / whole if whole else 0.0
            if number:
                drawn.append(tag("rect", x=at, y=top, width=width, height=26, class_=f"chart-{kind} chart-line"))
            if width >= _WIDE_ENOUGH:
                drawn.append(text(str(number), at + width / 2, top + 17, f"chart-middle chart-on chart-on-{kind}"))
            at += width
    bottom = _TOP + 34 * len(rows)
    legend, height = _legend(parts_of, bottom + 12, fills)
    about = "; ".join(
        f"{label}: " + ", ".join(f"{part} {number}" for part, number in zip(parts_of, counts, strict=True))
        for label, counts in rows
    )
    table = tuple((label, *(str(number) for number in counts)) for label, counts in rows)
    return Chart(name, title, about, svg(name, title, about, height, drawn + legend), ("", *parts_of), table)


def multiples(
    name: str,
    title: str,
    arms: Sequence[str],
    panels: Sequence[tuple[str, Sequence[Sequence[int]]]],
    bins: Sequence[str],
) -> Chart:
    """Draw small histograms, one panel per row: the arms side by side over the same bins, as shares of each arm."""
    drawn: list[str] = []
    high = max((n / (sum(counts) or 1) for _, some in panels for counts in some for n in counts), default=0) or 1
    for place, (label, some) in enumerate(panels):
        drawn += _panel(label, some, _TOP + 78 * place, len(bins), high)
    bottom = _TOP + 78 * len(panels)
    step = (WIDTH - _LABEL - 8) / max(1, len(bins))
    drawn += [
        text(one, _LABEL + 8 + step * (at + 0.5), bottom + 8, "chart-muted chart-middle") for at, one in enumerate(bins)
    ]
    legend, height = _legend(arms, bottom + 24)
    about = "; ".join(
        f"{label}, {arm}: " + ", ".join(f"{one} {n}" for one, n in zip(bins, counts, strict=True))
        for label, some in panels
        for arm, counts in zip(arms, some, strict=True)
    )
    table = tuple(
        (label, arm, *(str(n) for n in counts))
        for label, some in panels
        for arm, counts in zip(arms, some, strict=True)
    )
    return Chart(name, title, about, svg(name, title, about, height, drawn + legend), ("", "arm", *bins), table)


def _panel(label: str, some: Sequence[Sequence[int]], top: float, bins: int, high: float) -> list[str]:
    base, left = top + 66, _LABEL + 8
    step = (WIDTH - left) / max(1, bins)
    width = (step - 8) / max(1, len(some))
    drawn = _label(label, top + 40)
    for place, counts in enumerate(some):
        whole = sum(counts) or 1
        for at, number in enumerate(counts):
            height = 58 * number / whole / high
            if number:
                x = left + step * at + 4 + width * place
                drawn.append(
                    tag(
                        "rect",
                        x=x,
                        y=base - height,
                        width=width,
                        height=height,
                        class_=f"chart-{_FILLS[place % 5]} chart-line",
                    )
                )
    return [*drawn, tag("line", x1=left, x2=WIDTH, y1=base, y2=base, class_="chart-axis")]


def _legend(names: Sequence[str], top: float, fills: Sequence[str] = _FILLS) -> tuple[list[str], float]:
    """Draw a legend in as many lines as it needs; returns where it ends."""
    drawn, x, y = [], 0.0, top
    for kind, name in zip(fills, names, strict=False):
        width = 18 + _SMALL * len(_short(name, 24))
        if x + width > WIDTH and x:
            x, y = 0.0, y + 20
        drawn.append(tag("rect", x=x, y=y, width=12, height=12, class_=f"chart-{kind}"))
        drawn.append(text(_short(name, 24), x + 16, y + 10, "chart-text chart-small"))
        x += width + 8
    return drawn, y + 20


def _label(words: str, y: float) -> list[str]:
    """Write a label at its row; one that is long on two lines, and cut only beyond these."""
    lines = _lines(words)
    up = 6.5 * (len(lines) - 1)
    return [text(line, _LABEL, y - up + 13 * at, "chart-text chart-end") for at, line in enumerate(lines)]


def _lines(words: str) -> list[str]:
    """Break a label into at most two lines. Both names of a pair keep one, and their ends, where long names differ."""
    lines = wrap(words, _LETTERS)
    if len(lines) <= _LINES:
        return lines
    first, joint, second = words.partition(_AGAINST)
    if joint and len(first + joint) <= _LETTERS + 1:
        return [first + joint.rstrip(), _short(second, _LETTERS)]
    if joint:
        return [_short(first, _LETTERS), joint.lstrip() + _short(second, _LETTERS - len(joint.lstrip()))]
    if " " not in words:
        return [words[:_LETTERS], "…" + words[1 - _LETTERS :]]
    return wrap(words, _LETTERS, max_lines=_LINES, placeholder="…")


def _short(words: str, most: int) -> str:
    """Leave out the middle of a name that is too long."""
    if len(words) <= most:
        return words
    end = (most - 1) // 2
    return f"{words[: most - 1 - end]}…{words[-end:]}"


def _number(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
