"""Davidson's model of ties for any number of arms (Davidson 1970).

P(i beats j) = p_i / (p_i + p_j + nu sqrt(p_i p_j)), P(tie) = nu sqrt(p_i p_j) / the same. In log p and log nu it is a
logistic model with a concave likelihood, so Newton's method finds the maximum. Log-strengths sum to 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linprog
from scipy.special import stdtrit

from app.stats import bt_fit
from app.stats.bradley_terry import in_words
from app.stats.estimate import Estimate, Floats, Ints, bare, labels, scores, undefined

_TAIL = 0.975
_ROUNDS = 200
_SETTLED = 1e-11
_FLAT = 1e-7


@dataclass(frozen=True, slots=True)
class DavidsonArms:
    """Log-strengths in the order of the arms' names, and `tie`, nu; intervals are sandwiches over prompts."""

    log_strengths: tuple[Estimate, ...]
    tie: Estimate
    reason: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class _Pairs:
    """The pairs that met: `first` < `second`, and `[pairs, 3]` wins of the first, ties, and wins of the second."""

    arms: int
    first: Ints
    second: Ints
    counts: Floats

    def chances(self, at: Floats) -> Floats:
        """Give the probability of each outcome, `[pairs, 3]`, at log-strengths and, last, log nu."""
        one, other = at[self.first], at[self.second]
        logs = np.stack([one, at[-1] + (one + other) / 2, other], axis=1)
        chance = np.exp(logs - logs.max(axis=1, keepdims=True))
        return np.asarray(chance / chance.sum(axis=1, keepdims=True))

    def log_likelihood(self, at: Floats) -> float:
        """Add up the logarithms of the chances of what was answered."""
        return float((self.counts * np.log(np.maximum(self.chances(at), 1e-300))).sum())


def davidson_arms(
    names: Sequence[str], left: ArrayLike, right: ArrayLike, left_scores: ArrayLike, items: ArrayLike
) -> DavidsonArms:
    """Fit strengths and ties to judgments, as `bradley_terry` takes them.

    Refuses in words what is disconnected, what has no finite maximum, and what has no tie.
    """
    column = scores("left_scores", left_scores)
    n = len(column)
    one, other = labels("left", left, n), labels("right", right, n)
    prompt = labels("items", items, n)
    if not n:
        return _refused(names, 0, "no data")
    low, high = np.minimum(one, other), np.maximum(one, other)
    upright = np.where(one == low, column, 1 - column)
    pairs, place = _pairs(low, high, upright, len(names))
    reason = _reason(pairs, names)
    if reason:
        return _refused(names, n, reason)
    at = _fit(pairs)
    return _bounded(at, _spread(pairs, at, place, upright, prompt), n, len(np.unique(prompt)))


def _refused(names: Sequence[str], n: int, reason: str) -> DavidsonArms:
    return DavidsonArms(tuple(undefined(reason, n) for _ in names), undefined(reason, n), reason)


def _pairs(low: Ints, high: Ints, upright: Floats, arms: int) -> tuple[_Pairs, Ints]:
    """Count outcomes by pair; also returns each judgment's pair."""
    met, place = np.unique(low * arms + high, return_inverse=True)
    outcome = np.rint(2 - 2 * upright).astype(np.int64)
    counts = np.bincount(place * 3 + outcome, minlength=3 * len(met)).reshape(-1, 3)
    return _Pairs(arms, met // arms, met % arms, counts.astype(np.float64)), place.astype(np.int64)


def _reason(pairs: _Pairs, names: Sequence[str]) -> str:
    wins = np.zeros((pairs.arms, pairs.arms))
    wins[pairs.first, pairs.second], wins[pairs.second, pairs.first] = pairs.counts[:, 0], pairs.counts[:, 2]
    decisive = bt_fit.graph_of(wins)
    met = np.zeros_like(wins)
    met[pairs.first, pairs.second] = met[pairs.second, pairs.first] = 1
    together = in_words(bt_fit.graph_of(met), names)
    if together:
        return together
    if not pairs.counts[:, 1].any():
        return in_words(decisive, names) or "no judgment is a tie, so there is nothing to model: see Bradley-Terry"
    if not wins.any():
        return "every judgment is a tie: the strengths have no finite estimate"
    # Where wins lead from every arm to every other, and there is a tie, the maximum is finite.
    if not decisive.fits and _separated(pairs):
        words = in_words(decisive, names)
        return words if words.startswith("separated") else "separated: wins go one way alone between groups of arms"
    return ""


def _separated(pairs: _Pairs) -> bool:
    """Look for a direction in which no answer given becomes less likely than another: the maximum is then at infinity.

    With log-strengths and log nu as unknowns each answer must weigh at least as much as the two not given.
    """
    rows = np.zeros((len(pairs.first), 3, pairs.arms + 1))
    every = np.arange(len(pairs.first))
    rows[every, 0, pairs.first] = rows[every, 2, pairs.second] = 1
    rows[every, 1, pairs.first] = rows[every, 1, pairs.second] = 0.5
    rows[:, 1, -1] = 1
    apart = np.concatenate(
        [
            (rows[:, one] - rows[:, other])[pairs.counts[:, one] > 0]
            for one in range(3)
            for other in range(3)
            if one != other
        ]
    )
    found = linprog(-apart.sum(axis=0), A_ub=-apart, b_ub=np.zeros(len(apart)), bounds=(-1, 1), method="highs")
    return bool(-found.fun > _FLAT)


def _gradient(pairs: _Pairs, chance: Floats, counts: Floats) -> Floats:
    """Give the slope of the log-likelihood, log nu last."""
    total = counts.sum(axis=1)
    pull = counts[:, 0] + counts[:, 1] / 2 - total * (chance[:, 0] + chance[:, 1] / 2)
    slope = np.bincount(pairs.first, pull, minlength=pairs.arms) - np.bincount(pairs.second, pull, minlength=pairs.arms)
    return np.append(slope, (counts[:, 1] - total * chance[:, 1]).sum())


def _information(pairs: _Pairs, chance: Floats) -> Floats:
    """Give the negative Hessian, a constant in the strengths' block to fix their sum."""
    total = pairs.counts.sum(axis=1)
    middle = chance[:, 0] + chance[:, 1] / 2
    own = total * (chance[:, 0] + chance[:, 1] / 4 - middle**2)
    both = total * (chance[:, 1] / 2 - middle * chance[:, 1])
    matrix = np.zeros((pairs.arms + 1, pairs.arms + 1))
    for one, other, sign in ((0, 0, 1), (1, 1, 1), (0, 1, -1), (1, 0, -1)):
        np.add.at(matrix, ((pairs.first, pairs.second)[one], (pairs.first, pairs.second)[other]), sign * own)
    for arm, sign in ((pairs.first, 1), (pairs.second, -1)):
        np.add.at(matrix[-1], arm, sign * both)
    matrix[:-1, -1] = matrix[-1, :-1]
    matrix[-1, -1] = (total * chance[:, 1] * (1 - chance[:, 1])).sum()
    matrix[:-1, :-1] += max(1.0, float(own.sum())) / pairs.arms**2
    return matrix


def _fit(pairs: _Pairs) -> Floats:
    at, now = np.zeros(pairs.arms + 1), -np.inf
    for _ in range(_ROUNDS):
        chance = pairs.chances(at)
        now = pairs.log_likelihood(at)
        step = np.linalg.solve(_information(pairs, chance), _gradient(pairs, chance, pairs.counts))
        # Far from the maximum a whole step may go too far; half of one always goes up in the end.
        size = 1.0
        while size > _SETTLED and pairs.log_likelihood(at + size * step) < now - 1e-9 * abs(now):
            size /= 2
        at = at + size * step
        at[:-1] -= at[:-1].mean()
        if np.abs(step).max() < _SETTLED:
            break
    return at


def _spread(pairs: _Pairs, at: Floats, place: Ints, upright: Floats, prompt: Ints) -> Floats | None:
    """Estimate the covariance by the sandwich over prompts; None for a single prompt."""
    chance = pairs.chances(at)
    pull = upright - (chance[:, 0] + chance[:, 1] / 2)[place]
    tie = (upright == 0.5) - chance[place, 1]  # noqa: PLR2004  a tie
    several = int(prompt.max()) + 1
    slopes = np.zeros((several, pairs.arms + 1))
    for arm, sign in ((pairs.first, 1), (pairs.second, -1)):
        cells = np.bincount(prompt * pairs.arms + arm[place], sign * pull, minlength=several * pairs.arms)
        slopes[:, :-1] += cells.reshape(several, pairs.arms)
    slopes[:, -1] = np.bincount(prompt, tie, minlength=several)
    groups = len(np.unique(prompt))
    if groups < 2:  # noqa: PLR2004  one says nothing of another
        return None
    bread = np.linalg.inv(_information(pairs, chance))
    return np.asarray(bread @ (slopes.T @ slopes) @ bread * groups / (groups - 1))


def _bounded(at: Floats, spread: Floats | None, n: int, prompts: int) -> DavidsonArms:
    if spread is None:
        reason = "one prompt: its own variation says nothing of others"
        return DavidsonArms(
            tuple(bare(float(value), n, reason) for value in at[:-1]), bare(float(np.exp(at[-1])), n, reason)
        )
    reach = float(stdtrit(prompts - 1, _TAIL)) * np.sqrt(np.maximum(np.diag(spread), 0))
    strengths = tuple(
        Estimate(float(value), float(value - half), float(value + half), n)
        for value, half in zip(at[:-1], reach[:-1], strict=True)
    )
    low, middle, high = (float(np.exp(at[-1] + sign * reach[-1])) for sign in (-1, 0, 1))
    return DavidsonArms(strengths, Estimate(middle, low, high, n))
