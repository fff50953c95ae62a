"""Whether an effect is the same in several groups of prompts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Heterogeneity:
    """Cochran's Q over groups, its p value, and the share of the variation that is more than chance.

    All three are None where `reason` says why; `groups` is how many could be compared.
    """

    q: float | None
    p_value: float | None
    share: float | None
    groups: int
    reason: str = ""


def share_variance(values: Floats, clusters: NDArray[np.int64]) -> float | None:
    """Estimate the variance of a mean whose values come in clusters; None for fewer than two clusters."""
    sums, sizes = np.bincount(clusters, values), np.bincount(clusters)
    sums, sizes = sums[sizes > 0], sizes[sizes > 0]
    several = len(sizes)
    if several < 2:  # noqa: PLR2004  one says nothing of another
        return None
    apart = sums - sizes * values.mean()
    return float(several / (several - 1) * np.sum(apart**2) / len(values) ** 2)


def heterogeneity(estimates: Sequence[float], variances: Sequence[float | None]) -> Heterogeneity:
    """Compare estimates of disjoint groups (Cochran 1954; I squared: Higgins and Thompson 2002).

    Groups without a variance, or with none at all, are left out: nothing tells how far off they may be.
    """
    known = [(one, of) for one, of in zip(estimates, variances, strict=True) if of]
    if len(known) < 2:  # noqa: PLR2004  a difference is of two
        reason = "fewer than two strata whose own variation is known, from two prompts or more that differ"
        return Heterogeneity(None, None, None, len(known), reason)
    values, weights = np.asarray([one for one, _ in known]), np.asarray([1 / of for _, of in known])
    pooled = float(np.sum(weights * values) / np.sum(weights))
    q = float(np.sum(weights * (values - pooled) ** 2))
    freedom = len(known) - 1
    share = max(0.0, (q - freedom) / q) if q > 0 else 0.0
    return Heterogeneity(q, float(chi2.sf(q, freedom)), share, len(known))
