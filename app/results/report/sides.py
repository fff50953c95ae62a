"""Judged responses: each judgment twice, once for either side, with what was marked in it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.results.report.coded import Ints
from app.results.report.tables import Spans, Tables

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Sides:
    """Row `2 * j + side` is one side of judgment j, `[2 n]` each. Skipped judgments have rows that count nowhere."""

    arm: Ints
    item: Ints
    annotator: Ints
    counts: NDArray[np.bool_]
    tokens: Ints
    characters: Ints
    spans_asked: bool

    def of_arm(self, arm: int) -> Ints:
        """Return the rows of an arm that count."""
        return np.flatnonzero((self.arm == arm) & self.counts)


def sides_of(tables: Tables) -> Sides:
    """Lay the judgments out by side; tokens and characters are 0 where they are unknown."""
    judgments = tables.judgments
    arm = np.stack([judgments.left.codes, judgments.right.codes], axis=1).reshape(-1)
    item = np.repeat(judgments.item.codes, 2)
    tokens = np.zeros((len(judgments.item.names), max(1, len(tables.arms))), np.int64)
    characters = np.zeros_like(tokens)
    items = {name: at for at, name in enumerate(judgments.item.names)}
    arms = {name: at for at, name in enumerate(tables.arms)}
    for (item_id, name), text in tables.texts.items():
        if item_id in items and name in arms:
            tokens[items[item_id], arms[name]] = text.tokens or 0
            characters[items[item_id], arms[name]] = text.characters
    return Sides(
        arm=arm,
        item=item,
        annotator=np.repeat(judgments.annotator.codes, 2),
        counts=np.repeat(judgments.decided, 2),
        tokens=tokens[item, arm],
        characters=characters[item, arm],
        spans_asked=tables.asked.spans,
    )


def rows_of(spans: Spans) -> Ints:
    """Return, per span, the row of its side."""
    return np.asarray(2 * spans.judgment + spans.side)


def marks(spans: Spans, which: NDArray[np.bool_], rows: int) -> Ints:
    """Count some of the spans by row."""
    return np.bincount(rows_of(spans)[which], minlength=rows).astype(np.int64)
