"""Whether hallucinated characters are more often shifted tokens than the rest of the same responses."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.results.report.coded import Bools, Ints, used
from app.results.report.pairs import Pair, put
from app.results.report.sides import rows_of
from app.results.report.tables import Spans, Tables, Text
from app.results.report.values import Numbers, count, part
from app.stats.rates import OddsRatio, odds_ratio

# A token counts as moved when it is marginal or shifted, or when it is shifted.
PROPERTIES = (("moved", 1), ("shifted", 2))
PLACES = ("all", "first5", "last95")
_COMPARED = tuple(f"{name}.{place}" for name, _ in PROPERTIES for place in (*PLACES, "borrowed"))
_FIRST = 0.05

Cells = NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    """The judged responses of an arm that have a trace, `[n]`, by judgment.

    Cells are counts of tokens, inside with the property and without, then outside: `[_COMPARED, 4]` of each. Most
    responses have no mark, so `plain` has those of every item's response unmarked, and `cells` those of `marked` rows.
    """

    items: Ints
    plain: Cells
    marked: Ints
    cells: Cells

    def odds(self, at: int) -> OddsRatio:
        """Compare inside with outside; `at` is the place in `_COMPARED`."""
        columns = self.plain[self.items, at]
        columns[self.marked] = self.cells[:, at]
        inside_with, inside_without, outside_with, outside_without = columns.T
        return odds_ratio(inside_with, inside_without, outside_with, outside_without, used(self.items))


def shifted(tables: Tables, _pairs: tuple[Pair, ...]) -> Numbers:
    """Find `shift.<arm>.*`: the odds that a token is moved, inside spans against outside, borrowed against not."""
    numbers: Numbers = {}
    for code, arm in enumerate(tables.arms):
        read = _read(tables, code)
        numbers[f"shift.{part(arm)}.responses"] = count(len(read.items))
        for at, name in enumerate(_COMPARED):
            _put(numbers, f"shift.{part(arm)}.{name}", read.odds(at))
    return numbers


def _put(numbers: Numbers, prefix: str, one: OddsRatio) -> None:
    put(numbers, prefix, odds_ratio=one.pooled, stratified=one.stratified)
    (a, b), (c, d) = one.table
    cells = {"inside_with": a, "inside_without": b, "outside_with": c, "outside_without": d}
    for name, times in cells.items():
        numbers[f"{prefix}.{name}"] = count(int(times))


def _read(tables: Tables, arm: int) -> Read:
    judgments, spans = tables.judgments, tables.spans
    texts = [tables.texts.get((item, tables.arms[arm]), Text(0)) for item in judgments.item.names]
    plain = np.asarray([_cells(text, spans, slice(0)) for text in texts], np.int32).reshape(-1, len(_COMPARED), 4)
    scored = np.asarray([text.classes.size > 0 for text in texts], np.bool_)
    counts = judgments.decided & scored[judgments.item.codes]
    sides = np.stack([judgments.left.codes == arm, judgments.right.codes == arm], axis=1)
    rows = np.flatnonzero(sides & counts[:, None])
    items = judgments.item.codes[rows // 2]
    # Spans are by judgment and side, so those of a response stand together.
    first, last = (np.searchsorted(rows_of(spans), rows, side) for side in ("left", "right"))
    marked = np.flatnonzero(last > first)
    cells = np.zeros((len(marked), *plain.shape[1:]), np.int32)
    for place, at in enumerate(marked.tolist()):
        cells[place] = _cells(texts[items[at]], spans, slice(first[at], last[at]))
    return Read(items, plain, marked, cells)


def _cells(text: Text, spans: Spans, rows: slice) -> list[tuple[int, int, int, int]]:
    """Count a response's tokens for everything in `_COMPARED`, with some of the spans marked in it."""
    marked, borrowed, denied = _covered(text, spans, rows)
    cells = []
    for _, least in PROPERTIES:
        moved = text.classes >= least
        for place in PLACES:
            where = _where(len(moved), place)
            cells.append(_table(moved[where], marked[where], ~marked[where]))
        # A token of a span said to be borrowed and of one said not to be is borrowed.
        cells.append(_table(moved, borrowed, denied & ~borrowed))
    return cells


def _table(moved: Bools, inside: Bools, outside: Bools) -> tuple[int, int, int, int]:
    with_, without = int((moved & inside).sum()), int((~moved & inside).sum())
    return with_, without, int((moved & outside).sum()), int((~moved & outside).sum())


def _where(tokens: int, place: str) -> slice:
    """Return the first 5 % of the tokens, rounded up, the rest, or all."""
    edge = int(np.ceil(_FIRST * tokens))
    return {"all": slice(None), "first5": slice(0, edge), "last95": slice(edge, None)}[place]


def _covered(text: Text, spans: Spans, rows: slice) -> tuple[Bools, Bools, Bools]:
    """Tell which tokens stand in a span, in one said to be borrowed, and in one said not to be."""
    ends = np.cumsum(text.lengths)
    starts = ends - text.lengths
    marked, borrowed, denied = (np.zeros(len(ends), np.bool_) for _ in range(3))
    for start, end, causal in zip(spans.start[rows], spans.end[rows], spans.causal[rows], strict=True):
        inside = (starts < ends) & (starts < end) & (ends > start)
        marked |= inside
        if causal == 1:
            borrowed |= inside
        elif causal == 0:
            denied |= inside
    return marked, borrowed, denied
