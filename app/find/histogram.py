"""Where all values of a search lie and where its hits do, laid out for one SVG and its table. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.find.columns import Column, words

BINS = 24
WIDTH = 720.0
HEIGHT = 120.0
_LARGEST_RATIO = 10.0
_TICKS = 240


@dataclass(frozen=True, slots=True)
class Bin:
    """One bar: how many responses, and how many hits, lie from `low` up to `high` (the last bar holds its end)."""

    low: str
    high: str
    count: int
    hits: int
    x: float
    width: float
    height: float
    hit_height: float
    side: str


@dataclass(frozen=True, slots=True)
class Histogram:
    """All bars, left to right. `ticks` are where the hits stand; `zero` where 0 is, if that is within."""

    bins: tuple[Bin, ...]
    ticks: tuple[float, ...]
    zero: float | None
    low: str
    high: str
    most: int
    scale: str


def histogram(column: Column, values: Sequence[float], hits: Sequence[float]) -> Histogram | None:
    """Lay out the values; None where there are none.

    A wide range of positive numbers is divided by their logarithm; numbers at or below 0 then stand in the first bar.
    """
    if not values:
        return None
    logarithmic = column.scale == "log" and _is_wide(values)
    edges = _log_edges(values) if logarithmic else _even_edges(column, values)
    counts, hit_counts = _count(values, edges), _count(hits, edges)
    most = max(counts)
    step = WIDTH / len(counts)
    bins = tuple(
        Bin(
            low=words(column, edges[at]),
            high=words(column, edges[at + 1]),
            count=count,
            hits=hit_counts[at],
            x=round(at * step, 2),
            width=round(step - 1, 2),
            height=_height(count, most),
            hit_height=_height(hit_counts[at], most),
            side="low" if column.diverging and edges[at + 1] <= 0 else "high",
        )
        for at, count in enumerate(counts)
    )
    places = [float(place) for place in np.unique(np.round(_places(hits, edges, step), 1))]
    thinned = places[:: max(1, math.ceil(len(places) / _TICKS))]
    inside = edges[0] < 0 < edges[-1]
    return Histogram(
        bins=bins,
        ticks=tuple(thinned),
        zero=round(float(_places([0.0], edges, step)[0]), 1) if inside else None,
        low=words(column, edges[0]),
        high=words(column, edges[-1]),
        most=most,
        scale="logarithmic" if logarithmic else "linear",
    )


def _is_wide(values: Sequence[float]) -> bool:
    positive = [value for value in values if value > 0]
    return len(positive) > 1 and max(positive) / min(positive) > _LARGEST_RATIO


def _log_edges(values: Sequence[float]) -> list[float]:
    positive = [value for value in values if value > 0]
    edges = [float(edge) for edge in np.geomspace(min(positive), max(positive), BINS + 1)]
    edges[0], edges[-1] = min(positive), max(positive)
    return [0.0, *edges] if len(positive) < len(values) else edges


def _even_edges(column: Column, values: Sequence[float]) -> list[float]:
    low, high = min(values), max(values)
    if column.diverging:
        # Zero is an edge, so that no bar mixes the signs.
        reach = max(abs(low), abs(high)) or 1.0
        low, high = -reach, reach
    elif column.scale == "share":
        low = 0.0
    if column.whole:
        bins = min(BINS, int(high - low) + 1)
        step = math.ceil((high - low + 1) / bins)
        return [low + at * step for at in range(bins + 1)]
    return [float(edge) for edge in np.linspace(low, high if high > low else low + 1.0, BINS + 1)]


def _count(values: Sequence[float], edges: list[float]) -> list[int]:
    found, _ = np.histogram(np.clip(np.asarray(values, dtype=np.float64), edges[0], edges[-1]), bins=edges)
    return [int(count) for count in found]


def _height(count: int, most: int) -> float:
    # One response among thousands must still be seen.
    return round(max(2.0, HEIGHT * count / most), 2) if count else 0.0


def _places(values: Sequence[float], edges: list[float], step: float) -> NDArray[np.float64]:
    """Say where values stand on the chart, in its own units."""
    return np.interp(np.asarray(values, dtype=np.float64), edges, [at * step for at in range(len(edges))])
