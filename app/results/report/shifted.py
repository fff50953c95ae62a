"""Whether hallucinated characters are more often shifted tokens than the rest of the same responses."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.results.report.coded import Bools, used
from app.results.report.pairs import Pair, put
from app.results.report.tables import Tables, Text
from app.results.report.values import Numbers, count, part
from app.stats.rates import OddsRatio, odds_ratio

# A token counts as moved when it is marginal or shifted, or when it is shifted.
PROPERTIES = (("moved", 1), ("shifted", 2))
PLACES = ("all", "first5", "last95")
_FIRST = 0.05

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    """One judged response with a trace: its tokens' classes, which are marked, and which were said to be borrowed."""

    item: int
    arm: int
    classes: NDArray[np.int8]
    marked: Bools
    borrowed: Bools
    denied: Bools


def shifted(tables: Tables, _pairs: tuple[Pair, ...]) -> Numbers:
    """Find `shift.<arm>.*`: the odds that a token is moved, inside spans against outside, borrowed against not."""
    numbers: Numbers = {}
    read = list(_read(tables))
    for at, arm in enumerate(tables.arms):
        ours = [one for one in read if one.arm == at]
        numbers[f"shift.{part(arm)}.responses"] = count(len(ours))
        for name, least in PROPERTIES:
            for place in PLACES:
                found = _compare([_cells(one, least, place) for one in ours], [one.item for one in ours])
                _put(numbers, f"shift.{part(arm)}.{name}.{place}", found)
            apart = _compare([_borrowed(one, least) for one in ours], [one.item for one in ours])
            _put(numbers, f"shift.{part(arm)}.{name}.borrowed", apart)
    return numbers


def _put(numbers: Numbers, prefix: str, one: OddsRatio) -> None:
    put(numbers, prefix, odds_ratio=one.pooled, stratified=one.stratified)
    (a, b), (c, d) = one.table
    cells = {"inside_with": a, "inside_without": b, "outside_with": c, "outside_without": d}
    for name, times in cells.items():
        numbers[f"{prefix}.{name}"] = count(int(times))


def _compare(cells: list[tuple[int, int, int, int]], items: list[int]) -> OddsRatio:
    columns = np.asarray(cells, np.float64).reshape(-1, 4)
    inside_with, inside_without, outside_with, outside_without = columns.T
    items_used = used(np.asarray(items, np.int64))
    return odds_ratio(inside_with, inside_without, outside_with, outside_without, items_used)


def _cells(one: Read, least: int, place: str) -> tuple[int, int, int, int]:
    where = _where(len(one.classes), place)
    moved, marked = one.classes[where] >= least, one.marked[where]
    return _table(moved, marked, ~marked)


def _borrowed(one: Read, least: int) -> tuple[int, int, int, int]:
    """Compare tokens of spans said to be borrowed with those of spans said not to be; a token in both is borrowed."""
    return _table(one.classes >= least, one.borrowed, one.denied & ~one.borrowed)


def _table(moved: Bools, inside: Bools, outside: Bools) -> tuple[int, int, int, int]:
    with_, without = int((moved & inside).sum()), int((~moved & inside).sum())
    return with_, without, int((moved & outside).sum()), int((~moved & outside).sum())


def _where(tokens: int, place: str) -> slice:
    """Return the first 5 % of the tokens, rounded up, the rest, or all."""
    edge = int(np.ceil(_FIRST * tokens))
    return {"all": slice(None), "first5": slice(0, edge), "last95": slice(edge, None)}[place]


def _read(tables: Tables) -> Iterator[Read]:
    """Yield every judged response that has a trace, by judgment and side."""
    judgments, spans = tables.judgments, tables.spans
    by_side: dict[tuple[int, int], list[int]] = {}
    for at, (judgment, side) in enumerate(zip(spans.judgment.tolist(), spans.side.tolist(), strict=True)):
        by_side.setdefault((judgment, side), []).append(at)
    scored = {key: text for key, text in tables.texts.items() if text.classes.size}
    if not scored:
        return
    for judgment in np.flatnonzero(judgments.decided).tolist():
        item = int(judgments.item.codes[judgment])
        for side, arms in enumerate((judgments.left, judgments.right)):
            arm = int(arms.codes[judgment])
            text = scored.get((judgments.item.names[item], arms.names[arm]))
            if text is not None:
                yield _one(tables, item, arm, text, by_side.get((judgment, side), []))


def _one(tables: Tables, item: int, arm: int, text: Text, rows: list[int]) -> Read:
    ends = np.cumsum(text.lengths)
    starts = ends - text.lengths
    marked, borrowed, denied = (np.zeros(len(ends), np.bool_) for _ in range(3))
    for at in rows:
        inside = (starts < ends) & (starts < tables.spans.end[at]) & (ends > tables.spans.start[at])
        marked |= inside
        if tables.spans.causal[at] == 1:
            borrowed |= inside
        elif tables.spans.causal[at] == 0:
            denied |= inside
    return Read(item, arm, text.classes, marked, borrowed, denied)
