"""Whether hallucinated spans were borrowed: attribution to instances found for them, less attribution to decoys."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.results.report.coded import Bools, Ints, used
from app.results.report.pairs import Pair, put
from app.results.report.preference import clustered
from app.results.report.tables import Tables
from app.results.report.values import Numbers, count, part
from app.stats.rates import causal_difference, causal_rate, rate_per

NOTHING_SAID = "nobody said of a span of this arm whether it was borrowed"
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """Spans of which something was said, `[n]` each: instances found for it and decoys, shown and judged borrowed."""

    arm: Ints
    judgment: Ints
    item: Ints
    annotator: Ints
    true_hits: Floats
    true_shown: Floats
    decoy_hits: Floats
    decoy_shown: Floats

    def columns(self, rows: Bools) -> tuple[Floats, Floats, Floats, Floats]:
        """Return the four counts of some of the spans."""
        return self.true_hits[rows], self.true_shown[rows], self.decoy_hits[rows], self.decoy_shown[rows]


def causal(tables: Tables, pairs: tuple[Pair, ...]) -> Numbers:
    """Find `causal.<arm>.*` and `causal.<pair>.difference`."""
    numbers: Numbers = {}
    asked = _asked(tables)
    for at, arm in enumerate(tables.arms):
        rows = asked.arm == at
        prefix = f"causal.{part(arm)}"
        items, annotators = used(asked.item[rows]), used(asked.annotator[rows])
        clustered(numbers, f"{prefix}.rate", causal_rate(*asked.columns(rows), items, annotators))
        true_hits, true_shown, decoy_hits, decoy_shown = asked.columns(rows)
        put(
            numbers,
            prefix,
            true_rate=rate_per(true_hits, true_shown, items, annotators, per=1).shown,
            decoy_rate=rate_per(decoy_hits, decoy_shown, items, annotators, per=1).shown,
            spans=count(np.count_nonzero(rows)),
            spans_borrowed=count(np.count_nonzero(true_hits > 0)),
            instances=count(int(true_shown.sum())),
            decoys=count(int(decoy_shown.sum())),
        )
    for pair in pairs:
        _pair(numbers, f"causal.{pair.key}.difference", tables, asked, pair)
    return numbers


def _pair(numbers: Numbers, prefix: str, tables: Tables, asked: Asked, pair: Pair) -> None:
    ours = np.zeros(len(tables.judgments), np.bool_)
    ours[pair.rows] = True
    rows = ours[asked.judgment]
    first = asked.arm[rows] == tables.arms.index(pair.first)
    items, annotators = used(asked.item[rows]), used(asked.annotator[rows])
    clustered(numbers, prefix, causal_difference(asked.columns(rows), first, items, annotators))


def _asked(tables: Tables) -> Asked:
    """Gather what was said of each span; marks on the same characters are one."""
    spans, shown, judgments = tables.spans, tables.shown, tables.judgments
    said = spans.causal >= 0
    where = _keys(spans.judgment, spans.side, spans.start, spans.end)
    beside = _keys(shown.judgment, shown.side, shown.start, shown.end)
    keys = np.unique(where[said], axis=0) if said.any() else np.zeros((0, 4), np.int64)
    place = {tuple(row): at for at, row in enumerate(keys.tolist())}
    at = np.fromiter((place.get(tuple(row), -1) for row in beside.tolist()), np.int64, count=len(beside))
    borrowed = shown.verdict.codes == shown.verdict.code("borrowed")

    def times(which: Bools) -> Floats:
        return np.bincount(at[which & (at >= 0)], minlength=len(keys)).astype(np.float64)

    judgment, side = keys[:, 0], keys[:, 1]
    arm = np.where(side == 0, judgments.left.codes[judgment], judgments.right.codes[judgment])
    return Asked(
        arm=arm,
        judgment=judgment,
        item=judgments.item.codes[judgment],
        annotator=judgments.annotator.codes[judgment],
        true_hits=times(borrowed & ~shown.decoy),
        true_shown=times(~shown.decoy),
        decoy_hits=times(borrowed & shown.decoy),
        decoy_shown=times(shown.decoy),
    )


def _keys(*columns: Ints) -> Ints:
    return np.stack(columns, axis=1)
