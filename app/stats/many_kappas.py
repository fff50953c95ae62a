"""Cohen's kappa of every two of hundreds of annotators at once."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array

from app.stats.estimate import Floats, Ints, labels, numbers


@dataclass(frozen=True, slots=True, eq=False)
class ManyKappas:
    """Kappa of each two annotators who share enough units, where it is defined; `[n]` each, by their numbers."""

    first: Ints
    second: Ints
    shared: Ints
    kappa: Floats


def many_kappas(values: ArrayLike, units: ArrayLike, annotators: ArrayLike, *, least: int = 2) -> ManyKappas:
    """Give unweighted kappas, the values of `kappa.pairwise`, from one product of matrices per two labels.

    Memory grows with the square of the number of annotators. Raises ValueError, naming unit and annotator, where one
    annotator judged a unit twice.
    """
    column = numbers("values", values)
    unit, annotator = labels("units", units, len(column)), labels("annotators", annotators, len(column))
    _refuse_twice(unit, annotator)
    people, who = np.unique(annotator, return_inverse=True)
    kept, place = np.unique(unit, return_inverse=True)
    scale, said = np.unique(column, return_inverse=True)
    shape = (len(kept), len(people))
    marks = [
        csr_array((np.ones(int(rows.sum())), (place[rows], who[rows])), shape=shape)
        for rows in (said == code for code in range(len(scale)))
    ]
    anybody = csr_array((np.ones(len(column)), (place, who)), shape=shape)
    first, second = np.triu_indices(len(people), 1)

    def both(one: csr_array, other: csr_array) -> Floats:
        return np.asarray((one.T @ other).toarray()[first, second], np.float64)

    shared = both(anybody, anybody) if len(column) else np.zeros(0)
    # Whole numbers until the last division: the order of rows changes nothing.
    same, chance = np.zeros(len(first)), np.zeros(len(first))
    for mark in marks:
        same += both(mark, mark)
        chance += both(mark, anybody) * both(anybody, mark)
    defined = (shared >= least) & (shared > 0) & (shared**2 > chance)
    n, seen, luck = shared[defined], same[defined], chance[defined]
    kappa = (seen * n - luck) / (n**2 - luck)
    return ManyKappas(people[first[defined]], people[second[defined]], n.astype(np.int64), kappa)


def _refuse_twice(unit: Ints, annotator: Ints) -> None:
    order = np.lexsort((annotator, unit))
    unit, annotator = unit[order], annotator[order]
    twice = np.flatnonzero((unit[1:] == unit[:-1]) & (annotator[1:] == annotator[:-1]))
    if twice.size:
        raise ValueError(f"annotator {annotator[twice[0]]} judged unit {unit[twice[0]]} twice; keep one value.")
