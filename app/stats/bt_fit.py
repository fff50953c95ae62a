"""Maximum likelihood for Bradley-Terry, many data sets at once.

logit P(left beats right) = strength of left - strength of right + position. `left_wins[..., i, j]` counts what i, shown
left, won against j, shown right; `right_wins[..., i, j]` what j won there. A tie is half a win each way. Log-strengths
sum to 0.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components
from scipy.special import expit

from app.stats.estimate import Floats

_ROUNDS = 60
_STEP = 2.0
_SETTLED = 1e-9
_DIVERGED = 22.0
_SINGULAR = 1e-10
_RIDGE = 1e-13
_EXTRA_TIE = 0.1


@dataclass(frozen=True, slots=True)
class Graph:
    """How a table of wins hangs together; each tuple numbers arms.

    `parts` are the arms connected by any comparison; `undefeated` and `winless` the arms of which no finite strength
    exists, because nothing outside their group ever beat them, or was ever beaten by them.
    """

    parts: tuple[tuple[int, ...], ...]
    undefeated: tuple[int, ...]
    winless: tuple[int, ...]

    @property
    def fits(self) -> bool:
        """Whether every strength has a finite estimate (Ford 1957)."""
        return len(self.parts) == 1 and not self.undefeated


def graph_of(wins: Floats) -> Graph:
    """Read the graph of a table of wins `[arms, arms]`, winners in rows."""
    count, part = connected_components(wins > 0, directed=True, connection="weak")
    parts = tuple(tuple(np.flatnonzero(part == at).tolist()) for at in range(count))
    groups, group = connected_components(wins > 0, directed=True, connection="strong")
    if groups == count:
        return Graph(parts, (), ())
    crosses = (wins > 0) & (group[:, None] != group[None, :])
    beaten = np.bincount(group, weights=crosses.any(axis=0), minlength=groups) > 0
    beats = np.bincount(group, weights=crosses.any(axis=1), minlength=groups) > 0
    never_beaten = np.flatnonzero(~beaten[group] & beats[group])
    never_won = np.flatnonzero(~beats[group] & beaten[group])
    return Graph(parts, tuple(never_beaten.tolist()), tuple(never_won.tolist()))


def connected(wins: Floats) -> NDArray[np.bool_]:
    """Tell which tables of wins `[..., arms, arms]` have a finite maximum: every arm reaches every other by wins."""
    arms = wins.shape[-1]
    reach = ((wins > 0) | np.eye(arms, dtype=bool)).astype(np.float32)
    for _ in range(max(1, int(np.ceil(np.log2(max(arms, 2)))))):
        reach = (reach @ reach > 0).astype(np.float32)
    return np.asarray(reach.all(axis=(-1, -2)))


def fit(left_wins: Floats, right_wins: Floats, *, position: bool) -> tuple[Floats, Floats]:
    """Fit every table; returns log-strengths `[tables, arms]` and positions `[tables]`, NaN where no maximum exists."""
    tables, arms = left_wins.shape[:2]
    found = np.full((tables, arms + 1), np.nan)
    total = left_wins + right_wins
    usable = connected(left_wins + np.swapaxes(right_wins, -1, -2))
    if position:
        usable &= _position_has_information(total)
    at = np.flatnonzero(usable)
    guess = np.zeros((len(at), arms + 1))
    for _ in range(_ROUNDS):
        if not at.size:
            break
        step = _step(left_wins[at], total[at], guess, position=position)
        largest = np.abs(step).max(axis=1)
        guess = guess + step * np.minimum(1.0, _STEP / np.maximum(largest, _STEP))[:, None]
        # Odds beyond e^22 are no maximum but a way to infinity: strengths and position separate the data together.
        reach = np.ptp(guess[:, :-1], axis=1) + np.abs(guess[:, -1])
        done = (largest < _SETTLED) & (reach < _DIVERGED)
        found[at[done]] = guess[done]
        going = ~done & (reach < _DIVERGED)
        at, guess = at[going], guess[going]
    return found[:, :arms], found[:, arms]


def fit_draws(left_wins: Floats, right_wins: Floats, *, position: bool) -> tuple[Floats, Floats, int]:
    """Fit tables of which some have no finite maximum: these with a tenth of a tie added between all arms that met.

    Returns log-strengths, positions, and to how many tables ties were added.
    """
    strengths, places = fit(left_wins, right_wins, position=position)
    lost = np.flatnonzero(np.isnan(strengths[:, 0]))
    if lost.size:
        met = (left_wins + right_wins).sum(axis=0) > 0
        extra = np.where(met, _EXTRA_TIE / 2, 0.0)
        strengths[lost], places[lost] = fit(left_wins[lost] + extra, right_wins[lost] + extra, position=position)
    return strengths, places, len(lost)


def covariance(log_strengths: Floats, position: float, total: Floats, *, with_position: bool) -> Floats:
    """Give the inverse information at a fit of one table, `[arms + 1, arms + 1]`, position last.

    It takes judgments as independent.
    """
    at = np.append(log_strengths, position)[None]
    information = _information(_weights(at, total[None]), position=with_position)[0]
    arms = len(log_strengths)
    inverse = np.linalg.inv(information)
    # What the gauge added to make the matrix invertible is taken out again.
    inverse[:arms, :arms] -= 1 / (arms * arms * _scale(_weights(at, total[None]))[0, 0, 0])
    if not with_position:
        inverse[arms] = inverse[:, arms] = 0.0
    return np.asarray(inverse)


def _weights(at: Floats, total: Floats) -> Floats:
    chance = expit(at[:, :-1, None] - at[:, None, :-1] + at[:, -1:, None])
    return np.asarray(total * chance * (1 - chance))


def _scale(weights: Floats) -> Floats:
    return np.asarray(weights.sum(axis=(-1, -2), keepdims=True) / weights.shape[-1])


def _information(weights: Floats, *, position: bool) -> Floats:
    """Build the negative Hessian; a constant in the strengths' block fixes their sum."""
    tables, arms = weights.shape[:2]
    both = weights + np.swapaxes(weights, -1, -2)
    matrix = np.zeros((tables, arms + 1, arms + 1))
    matrix[:, :arms, :arms] = -both + _scale(weights)
    diagonal = np.arange(arms)
    matrix[:, diagonal, diagonal] += both.sum(axis=-1)
    if position:
        matrix[:, :arms, arms] = matrix[:, arms, :arms] = weights.sum(axis=-1) - weights.sum(axis=-2)
        matrix[:, arms, arms] = weights.sum(axis=(-1, -2))
    else:
        matrix[:, arms, arms] = 1.0
    return matrix


def _step(left_wins: Floats, total: Floats, at: Floats, *, position: bool) -> Floats:
    """Take one Newton step from each guess."""
    chance = expit(at[:, :-1, None] - at[:, None, :-1] + at[:, -1:, None])
    rest = left_wins - total * chance
    slope = np.zeros_like(at)
    slope[:, :-1] = rest.sum(axis=-1) - rest.sum(axis=-2)
    if position:
        slope[:, -1] = rest.sum(axis=(-1, -2))
    information = _information(total * chance * (1 - chance), position=position)
    # On the way to infinity the matrix loses its rank; a maximum has slope 0 and does not move.
    every = np.arange(information.shape[-1])
    information[:, every, every] += _RIDGE * np.maximum(_scale(total)[:, 0], 1.0)
    return np.asarray(np.linalg.solve(information, slope[..., None])[..., 0])


def _position_has_information(total: Floats) -> NDArray[np.bool_]:
    """Tell where position and strengths can be told apart: the information at equal strengths is not singular."""
    seen = total.sum(axis=(-1, -2)) > 0
    matrix = _information(np.where(seen[:, None, None], total, 1.0) / 4, position=True)
    size = np.linalg.eigvalsh(matrix)
    return np.asarray(seen & (size[:, 0] > _SINGULAR * size[:, -1]))
