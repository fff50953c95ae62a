"""What else may lie behind a preference: side, haste, single annotators, broken blinding, repeated judgments."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from app.stats.agreement import PairAgreement, pair_agreement
from app.stats.bootstrap import DRAWS, SEED
from app.stats.clusters import ANNOTATOR, cluster_interval, compact, difference, ratio
from app.stats.estimate import Estimate, Floats, bare, labels, numbers, same_length, scores, undefined, wider
from app.stats.preference import Clustered, clustered_all, refused

_Z = 1.959963984540054
_PAIR = 2


@dataclass(frozen=True, slots=True)
class PositionEffect:
    """Side and preference between two arms.

    `left_rate` is the share won by whatever stood left; `when_left` and `when_right` are the first arm's win rates on
    either side; `adjusted` is their mean, which is the win rate had each side been as frequent.
    """

    left_rate: Clustered
    when_left: Clustered
    when_right: Clustered
    difference: Clustered
    adjusted: Clustered


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Judgments by the same annotator of the same item and pair: `repeated` rows beyond the first of each of `groups`.

    `agreement` tells how often they agree with one another.
    """

    rows: int
    groups: int
    repeated: int
    agreement: PairAgreement


@dataclass(frozen=True, slots=True)
class Blinding:
    """Bang's index of one arm: 0 for chance, 1 when everybody told the arm, below 0 when they told the other.

    `index` takes guesses as independent, as Bang does; `by_annotator` draws annotators again; `shown` is the wider.
    """

    right: int
    wrong: int
    unsure: int
    index: Estimate
    by_annotator: Estimate
    shown: Estimate


@dataclass(frozen=True, slots=True)
class Speed:
    """Active time, and whether the faster half of the judgments prefers otherwise than the slower half."""

    median_ms: float | None
    tenth_ms: float | None
    ninetieth_ms: float | None
    faster: Clustered
    slower: Clustered
    difference: Clustered


@dataclass(frozen=True, slots=True)
class LeaveOneOut:
    """The lowest and highest win rate when one annotator's judgments are left out, and who that is."""

    low: float | None
    without_low: int | None
    high: float | None
    without_high: int | None
    reason: str = ""


def position_effect(
    first_scores: ArrayLike,
    first_left: ArrayLike,
    items: ArrayLike,
    annotators: ArrayLike,
    *,
    draws: int = DRAWS,
    seed: int = SEED,
) -> PositionEffect:
    """Tell side from preference; `first_left` is 1 where the first arm stood left, 0 where it stood right."""
    column, left = scores("scores", first_scores), _flags("first_left", first_left)
    n = same_length(scores=column, first_left=left)
    item, annotator = labels("items", items, n), labels("annotators", annotators, n)
    columns = column * left, left, column * (1 - left), 1 - left
    statistics = _left_rate, ratio, lambda sums: ratio(sums[..., 2:]), difference, _adjusted
    found = list(clustered_all(columns, statistics, item, annotator, draws=draws, seed=seed))
    if n and (not left.any() or left.all()):
        side, missing = ("left", 2) if left.any() else ("right", 1)
        never = refused(f"the first arm always stood {side}: nothing tells side and preference apart", n)
        found[missing] = found[3] = found[4] = never
    return PositionEffect(*found)


def _left_rate(sums: Floats) -> Floats:
    # Where the first arm stood right, the left side won what it did not.
    return np.asarray((sums[..., 0] + sums[..., 3] - sums[..., 2]) / (sums[..., 1] + sums[..., 3]))


def _adjusted(sums: Floats) -> Floats:
    return np.asarray((ratio(sums) + ratio(sums[..., 2:])) / 2)


def duplicates(
    annotators: ArrayLike,
    items: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    first_scores: ArrayLike,
    *,
    draws: int = DRAWS,
    seed: int = SEED,
) -> Duplicates:
    """Find judgments made again, on whichever side the arms `first` and `second` stood."""
    column = scores("scores", first_scores)
    n = len(column)
    one, other = labels("first", first, n), labels("second", second, n)
    annotator, item = labels("annotators", annotators, n), labels("items", items, n)
    if not n:
        return Duplicates(0, 0, 0, pair_agreement([], [], draws=draws, seed=seed))
    low, high = np.minimum(one, other), np.maximum(one, other)
    # Which arm a score belongs to must not depend on how it was written down.
    upright = np.where(one == low, column, 1 - column)
    key = annotator
    for part in (item, low, high):
        # Numbers without gaps keep the product small.
        codes, count = compact(part)
        key = compact(key)[0] * count + codes
    unit, groups = compact(key)
    times = np.bincount(unit, minlength=groups)
    agreement = pair_agreement(upright, unit, clusters=annotator, draws=draws, seed=seed)
    return Duplicates(n, int((times > 1).sum()), int((times - 1).sum()), agreement)


def blinding_index(
    verdicts: ArrayLike,
    annotators: ArrayLike,
    *,
    arms: int = 2,
    shown: ArrayLike = 1,
    draws: int = DRAWS,
    seed: int = SEED,
) -> Blinding:
    """Give Bang's blinding index of one arm (Bang, Ni and Davis 2004).

    `verdicts` are 1 for a right guess, -1 for a wrong one, 0 for none. Where `shown` of the `arms` would have made a
    guess right, a wrong one counts -shown / (arms - shown), so that guessing by chance still gives 0. Raises ValueError
    for a guess that could not have been wrong.
    """
    column = numbers("verdicts", verdicts)
    bad = np.flatnonzero(~np.isin(column, (-1, 0, 1)))
    if bad.size:
        raise ValueError(f"verdicts is {column[bad[0]]:g} in row {bad[0]}; give 1 right, -1 wrong or 0 cannot tell.")
    if arms < _PAIR:
        raise ValueError(f"arms is {arms}; there is nothing to tell apart.")
    n = len(column)
    people = labels("annotators", annotators, n)
    many = np.broadcast_to(np.asarray(shown, np.int64), (n,))
    certain = np.flatnonzero((column != 0) & ((many < 1) | (many >= arms)))
    if certain.size:
        raise ValueError(
            f"row {certain[0]}: {many[certain[0]]} of {arms} arms make the guess right; none can be wrong."
        )
    right, wrong = int((column == 1).sum()), int((column == -1).sum())
    counts = right, wrong, n - right - wrong
    if not n:
        none = undefined("no data")
        return Blinding(*counts, none, none, none)
    ways, missed = np.unique(many[column == -1], return_counts=True)
    worth = ways / (arms - ways)
    value = (right - float(worth @ missed)) / n
    spread = (right + float(worth**2 @ missed)) / n - value**2
    if spread <= 0:
        same = f"none of {n:,} names an arm" if not right and not wrong else f"all {n:,} guessed alike"
        alone = bare(value, n, f"{same}: the index has no variation")
    else:
        half = _Z * float(np.sqrt(spread / n))
        alone = Estimate(value, max(-1.0, value - half), min(1.0, value + half), n)
    points = np.where(column == -1, -many / np.maximum(1, arms - many), column)
    drawn = cluster_interval((points, np.ones(n)), people, ratio, unit=ANNOTATOR, draws=draws, seed=seed)
    return Blinding(*counts, alone, drawn, wider(alone, drawn))


def speed(
    active_ms: ArrayLike,
    first_scores: ArrayLike,
    items: ArrayLike,
    annotators: ArrayLike,
    *,
    draws: int = DRAWS,
    seed: int = SEED,
) -> Speed:
    """Compare the win rates of the faster and the slower half; judgments at the median count as faster."""
    taken, column = numbers("active_ms", active_ms), scores("scores", first_scores)
    n = same_length(active_ms=taken, scores=column)
    item, annotator = labels("items", items, n), labels("annotators", annotators, n)
    if not n:
        none = refused("no data", 0)
        return Speed(None, None, None, none, none, none)
    tenth, median, ninetieth = (float(at) for at in np.quantile(taken, (0.1, 0.5, 0.9)))
    fast = (taken <= median).astype(np.float64)
    if fast.all():
        none = refused("no judgment took longer than the median", n)
        return Speed(median, tenth, ninetieth, none, none, none)
    slow = 1 - fast
    halves = column * fast, fast, column * slow, slow
    statistics = ratio, lambda sums: ratio(sums[..., 2:]), difference
    bounds = clustered_all(halves, statistics, item, annotator, draws=draws, seed=seed)
    return Speed(median, tenth, ninetieth, *bounds)


def leave_one_out(first_scores: ArrayLike, annotators: ArrayLike) -> LeaveOneOut:
    """Leave out each annotator in turn and give the range of the win rate."""
    column = scores("scores", first_scores)
    people = labels("annotators", annotators, len(column))
    if not len(column):
        return LeaveOneOut(None, None, None, None, "no data")
    count = np.bincount(people).astype(np.float64)
    won = np.bincount(people, weights=column)
    who = np.flatnonzero(count)
    if len(who) < _PAIR:
        return LeaveOneOut(None, None, None, None, "one annotator: nothing is left without them")
    rates = (won.sum() - won[who]) / (count.sum() - count[who])
    lowest, highest = int(rates.argmin()), int(rates.argmax())
    return LeaveOneOut(float(rates[lowest]), int(who[lowest]), float(rates[highest]), int(who[highest]))


def _flags(name: str, values: ArrayLike) -> Floats:
    column = numbers(name, values)
    bad = np.flatnonzero((column != 0) & (column != 1))
    if bad.size:
        raise ValueError(f"{name} is {column[bad[0]]:g} in row {bad[0]}; give 1 or 0.")
    return column
