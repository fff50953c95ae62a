"""Borrowed tokens: how many shifted tokens of a response stand in its neighbours, against random instances of the set.

A permutation test on the choice of instances. Neighbours are chosen for the words they share, so the test says that the
response is nearer to some instances than chance, not that it copied; the unshifted tokens of the same response, tested
alike, show how much of that any token has. Definitions: docs/provenance.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.provenance.index import Index
from app.provenance.presence import Unit, holders, units_of
from app.provenance.reading import Reading, read
from app.provenance.spans import is_common
from app.provenance.tokens import TokenRange
from app.shift.classes import ShiftClass

DRAWS = 200
_SHIFTED = frozenset({ShiftClass.SHIFTED})
_MOVED = frozenset({ShiftClass.SHIFTED, ShiftClass.MARGINAL})
_UNSHIFTED = frozenset({ShiftClass.UNSHIFTED})


@dataclass(frozen=True, slots=True)
class Rate:
    """Of `tokens` that hold a word, `found` stand in the neighbours' answers: `share` against `expected`.

    `expected` is exact, for as many instances drawn at random; `p` the share of draws that reach `share`, one added on
    both sides. Without a number, `reason` says why.
    """

    tokens: int
    found: int
    share: float | None
    expected: float | None
    p: float | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Borrowed:
    """The borrowed summary of one response. `content` rates leave out very common words of the tuning set."""

    shifted: Rate
    shifted_content: Rate
    moved: Rate
    moved_content: Rate
    unshifted: Rate
    unshifted_content: Rate
    neighbours: int
    instances: int
    draws: int
    seed: int


def borrowed(
    index: Index,
    text: str,
    tokens: Sequence[TokenRange],
    positions: Sequence[int],
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> Borrowed:
    """Summarise what a response shares with its neighbours, given by their positions in the tuning set.

    `moved` = shifted and marginal tokens together.
    """
    return borrowed_of(index, read(index, text), tokens, positions, draws=draws, seed=seed)


def borrowed_of(
    index: Index,
    reading: Reading,
    tokens: Sequence[TokenRange],
    positions: Sequence[int],
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> Borrowed:
    """Summarise a response that was read already."""
    chosen = np.unique(np.asarray(positions, dtype=np.int64))
    units = units_of(reading, tokens)
    table = _Table(index, units, chosen, draws=draws, seed=seed)
    reason = _no_number(len(index), len(chosen), reading, tokens)
    content = [not _common(index, unit) for unit in units]
    named = {}
    for name, classes in (("shifted", _SHIFTED), ("moved", _MOVED), ("unshifted", _UNSHIFTED)):
        rows = [row for row, unit in enumerate(units) if unit.shift in classes]
        named[name] = _rate(table, rows, name, reason)
        named[f"{name}_content"] = _rate(table, [row for row in rows if content[row]], f"{name} content", reason)
    return Borrowed(**named, neighbours=len(chosen), instances=len(index), draws=draws, seed=seed)


class _Table:
    """Which units stand in the neighbours and in each random draw; the work is done once per distinct unit."""

    def __init__(
        self, index: Index, units: Sequence[Unit], chosen: NDArray[np.int64], *, draws: int, seed: int
    ) -> None:
        total, size = len(index), len(chosen)
        self.observed = np.zeros(len(units), dtype=np.int64)
        self.drawn = np.zeros((len(units), draws), dtype=bool)
        self.expected = np.zeros(len(units))
        if not 0 < size < total:
            return
        sets = np.ascontiguousarray(draw(total, size, draws=draws, seed=seed).T)
        rows: dict[tuple[object, ...], list[int]] = {}
        for row, unit in enumerate(units):
            rows.setdefault(unit.key, []).append(row)
        present, holding = np.zeros(total, dtype=bool), np.zeros(len(units), dtype=np.int64)
        for same in rows.values():
            held = holders(index, units[same[0]])
            present[held] = True
            self.observed[same] = int(present[chosen].any())
            self.drawn[same] = np.logical_or.reduce(present[sets])
            holding[same] = np.count_nonzero(present)
            present.fill(False)
        self.expected = chance(total, holding, size)


def draw(total: int, size: int, *, draws: int, seed: int) -> NDArray[np.int64]:
    """Draw (draws, size) of `total` instances, each row without replacement, all rows equally likely."""
    random = np.random.default_rng(seed)
    if size * size > total:
        return np.stack([random.choice(total, size, replace=False, shuffle=False) for _ in range(draws)])
    sets = random.integers(total, size=(draws, size))
    # Few rows of a large set repeat an instance; drawing those again whole leaves every row equally likely.
    while len(again := np.flatnonzero((np.diff(np.sort(sets, axis=1), axis=1) == 0).any(axis=1))):
        sets[again] = random.integers(total, size=(len(again), size))
    return sets


def chance(total: int, holding: NDArray[np.int64], drawn: int) -> NDArray[np.float64]:
    """Return the probability that `drawn` of `total` instances, without replacement, include one of `holding`.

    1 - C(total - holding, drawn) / C(total, drawn), the hypergeometric chance of at least one; for each of `holding`.
    """
    missed = np.ones(len(holding))
    for step in range(drawn):
        missed *= np.maximum(total - holding - step, 0) / (total - step)
    return 1.0 - missed


def _rate(table: _Table, rows: Sequence[int], name: str, reason: str) -> Rate:
    if reason or not rows:
        return Rate(len(rows), 0, None, None, None, reason or f"The response has no {name} token that holds a word.")
    found = int(table.observed[rows].sum())
    reached = int((table.drawn[rows].sum(axis=0) >= found).sum())
    return Rate(
        tokens=len(rows),
        found=found,
        share=found / len(rows),
        expected=float(table.expected[rows].mean()),
        p=(1 + reached) / (table.drawn.shape[1] + 1),
    )


def _no_number(total: int, chosen: int, reading: Reading, tokens: Sequence[TokenRange]) -> str:
    if not reading.text.strip():
        return "The response is empty."
    if not tokens:
        return "The response has no token classes: score it first."
    if not chosen:
        return "No instance of the tuning set shares a word with the response."
    if total <= chosen:
        return f"The tuning set has {total} instances, too few to draw {chosen} others at random."
    return ""


def _common(index: Index, unit: Unit) -> bool:
    return unit.symbol is not None and is_common(index, unit.symbol)
