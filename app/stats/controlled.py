"""Preference with side and length held equal: Bradley-Terry with covariates, as Arena's style control does."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from app.stats import logistic
from app.stats.bradley_terry import in_words, win_table
from app.stats.bt_fit import graph_of
from app.stats.clusters import ANNOTATOR, PROMPT
from app.stats.estimate import Estimate, Floats, Ints, labels, numbers, same_length, scores
from app.stats.preference import Clustered, choose, refused

_PAIR = 2


@dataclass(frozen=True, slots=True)
class Controlled:
    """Log-strengths that sum to 0, and what side and length add, in logits.

    `position` is the advantage of standing left; `length` that of being longer, per unit of tanh(difference of lengths
    / its root mean square), after alpaca_eval. `win_rate` is the first arm's against the second at equal
    length and without a side; it exists for two arms. `longer` is the share of judgments that the longer response won.
    """

    log_strengths: tuple[Clustered, ...]
    position: Clustered
    length: Clustered
    win_rate: Clustered
    longer: Estimate


@dataclass(frozen=True, slots=True)
class _Design:
    columns: Floats
    position: int | None
    length: int | None


def controlled(
    names: Sequence[str],
    left: ArrayLike,
    right: ArrayLike,
    left_scores: ArrayLike,
    left_lengths: ArrayLike,
    right_lengths: ArrayLike,
    items: ArrayLike,
    annotators: ArrayLike,
) -> Controlled:
    """Fit logit P(left wins) = strength of left - strength of right + position + length.

    What the data cannot tell apart is left out and says why: position where arms kept their sides, length where
    responses are equally long. Raises ValueError for an arm outside `names` or a length that is not a number.
    """
    column = scores("left_scores", left_scores)
    long, short = numbers("left_lengths", left_lengths), numbers("right_lengths", right_lengths)
    n = same_length(left_scores=column, left_lengths=long, right_lengths=short)
    one, other = labels("left", left, n), labels("right", right, n)
    groups = (labels("items", items, n), PROMPT), (labels("annotators", annotators, n), ANNOTATOR)
    if not n:
        return _refused("no data", len(names), 0)
    if max(int(one.max()), int(other.max())) >= len(names):
        raise ValueError(f"an arm is numbered {max(one.max(), other.max())}; there are {len(names)}.")
    reason = in_words(graph_of(win_table(one, other, column, len(names))), names)
    if reason:
        return _refused(reason, len(names), n)
    apart = normalised(long - short)
    design = _design(one, other, apart, len(names))
    found = logistic.fit(design.columns, column)
    if found is None:
        return _refused("side and length tell every winner, so no finite strength does", len(names), n)
    return _bounded(found, design, column, apart, groups, len(names))


def normalised(apart: Floats) -> Floats:
    """Squash differences of lengths: tanh of the difference over its root mean square.

    alpaca_eval divides by the standard deviation; around zero, swapping the sides of every judgment turns the sign and
    changes nothing else.
    """
    spread = float(np.sqrt((np.sort(apart**2)).mean()))
    return np.tanh(apart / spread) if spread else np.zeros(len(apart))


def _design(left: Ints, right: Ints, apart: Floats, arms: int) -> _Design:
    """Lay out columns: a contrast per arm but the last, then position and length where they can be told apart."""
    rows = np.arange(len(left))
    contrast = np.zeros((len(left), arms))
    contrast[rows, left] += 1
    contrast[rows, right] -= 1
    # The last arm's strength is minus the sum of the others'.
    columns = contrast[:, :-1] - contrast[:, -1:]
    places: list[int | None] = [None, None]
    for at, extra in enumerate((np.ones(len(left)), apart)):
        wider_design = np.column_stack([columns, extra])
        if not logistic.rank_deficient(wider_design):
            columns, places[at] = wider_design, columns.shape[1]
    return _Design(columns, places[0], places[1])


def _bounded(
    found: logistic.Fit,
    design: _Design,
    column: Floats,
    apart: Floats,
    groups: tuple[tuple[Ints, str], tuple[Ints, str]],
    arms: int,
) -> Controlled:
    n = len(column)
    pulls = [(logistic.pulls(found, design.columns, column, clusters), unit) for clusters, unit in groups]

    def both(weights: Floats) -> Clustered:
        value = float(weights @ found.coefficients)
        return choose(*(logistic.bounded(value, pull @ weights, n, unit) for pull, unit in pulls))

    unit = np.eye(design.columns.shape[1])
    strengths = [both(unit[at]) for at in range(arms - 1)]
    last = both(-unit[: arms - 1].sum(axis=0))
    sides = "too few arms changed sides: position cannot be told apart from the strengths"
    even = "responses are equally long, or their lengths cannot be told apart from the arms"
    rate = both(2 * unit[0]) if arms == _PAIR else None
    return Controlled(
        (*strengths, last),
        refused(sides, n) if design.position is None else both(unit[design.position]),
        refused(even, n) if design.length is None else both(unit[design.length]),
        refused(f"a single win rate exists for two arms, not for {arms}", n) if rate is None else _as_rate(rate),
        _longer(column, apart),
    )


def _as_rate(logit: Clustered) -> Clustered:
    def rate(one: Estimate) -> Estimate:
        value, low, high = (None if end is None else float(expit(end)) for end in (one.value, one.low, one.high))
        return Estimate(value, low, high, one.n, one.reason)

    return choose(rate(logit.by_item), rate(logit.by_annotator))


def _longer(column: Floats, apart: Floats) -> Estimate:
    used = apart != 0
    n = int(used.sum())
    if not n:
        return Estimate(None, None, None, 0, "responses are equally long in every judgment")
    share = float(np.where(apart[used] > 0, column[used], 1 - column[used]).sum() / n)
    return Estimate(share, None, None, n, "bounds are those of the length coefficient")


def _refused(reason: str, arms: int, n: int) -> Controlled:
    none = refused(reason, n)
    return Controlled((none,) * arms, none, none, none, none.shown)
