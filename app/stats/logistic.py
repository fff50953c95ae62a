"""Logistic regression whose standard errors know of clusters.

Ties are half a success. The variance is the jackknife that leaves out one cluster at a time, one Newton step from the
fit (CR3; Cameron and Miller 2015, section VI.B), bounds use t with one degree of freedom less than there are clusters.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, stdtrit

from app.stats.clusters import compact
from app.stats.estimate import Estimate, Floats, Ints, bare

_ROUNDS = 60
_SETTLED = 1e-10
_DIVERGED = 22.0
_SINGULAR = 1e-10
_TAIL = 0.975


@dataclass(frozen=True, slots=True)
class Fit:
    """Coefficients `[columns]` and, of each row, the chance and the slope it adds."""

    coefficients: Floats
    chances: Floats
    information: Floats


def rank_deficient(design: Floats) -> bool:
    """Tell whether columns of a design cannot be told apart."""
    size = np.linalg.eigvalsh(design.T @ design / max(len(design), 1))
    return bool(size[0] <= _SINGULAR * max(size[-1], 1e-300))


def fit(design: Floats, successes: Floats) -> Fit | None:
    """Maximise the likelihood; None where it has no maximum because the columns separate the successes."""
    at = np.zeros(design.shape[1])
    for _ in range(_ROUNDS):
        chance = expit(design @ at)
        information = (design * (chance * (1 - chance))[:, None]).T @ design
        slope = design.T @ (successes - chance)
        if np.linalg.cond(information) > 1 / _SINGULAR:
            return None
        step = np.linalg.solve(information, slope)
        if np.abs(step).max() < _SETTLED:
            return Fit(at, chance, information)
        at = at + step * min(1.0, 2 / np.abs(step).max())
        if np.abs(at).max() > _DIVERGED:
            return None
    return None


def pulls(found: Fit, design: Floats, successes: Floats, clusters: Ints) -> Floats:
    """Give how far leaving out each cluster moves the coefficients, `[clusters, columns]`."""
    codes, count = compact(clusters)
    rest = successes - found.chances
    weight = found.chances * (1 - found.chances)
    width = design.shape[1]
    slopes = np.stack(
        [np.bincount(codes, weights=rest * design[:, at], minlength=count) for at in range(width)], axis=1
    )
    own = np.empty((count, width, width))
    for row in range(width):
        for column in range(row, width):
            cell = np.bincount(codes, weights=weight * design[:, row] * design[:, column], minlength=count)
            own[:, row, column] = own[:, column, row] = cell
    left = found.information - own
    whole = np.linalg.cond(left) < 1 / _SINGULAR
    # Where a cluster alone tells a coefficient, the others cannot say what it is: the full information is used.
    left[~whole] = found.information
    return np.asarray(np.linalg.solve(left, slopes[..., None])[..., 0])


def bounded(value: float, pull: Floats, n: int, unit: str) -> Estimate:
    """Bound a combination of coefficients by how far each cluster pulls it."""
    clusters = len(pull)
    if clusters < 2:  # noqa: PLR2004  one cluster has no variation
        return bare(value, n, f"one {unit}: its own variation says nothing of other {unit}s")
    error = float(np.sqrt((clusters - 1) / clusters * np.sort(pull**2).sum()))
    if error <= 1e-12 * max(1.0, abs(value)):
        return bare(value, n, f"no variation between the {clusters:,} {unit}s")
    half = float(stdtrit(clusters - 1, _TAIL)) * error
    return Estimate(value, value - half, value + half, n)
