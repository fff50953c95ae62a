"""Bradley-Terry strengths of all arms from all pairs together, where the comparisons can tell."""

import numpy as np

from app.results.report.coded import used
from app.results.report.pairs import TIE, Pair, put
from app.results.report.tables import LEFT, RIGHT, Tables
from app.results.report.values import Number, Numbers, part, undefined
from app.stats.bradley_terry import BradleyTerry, bradley_terry
from app.stats.davidson import davidson_arms


def strengths(tables: Tables, _pairs: tuple[Pair, ...]) -> Numbers:
    """Find `bradley_terry.*`, where a tie is half a win each way, and `davidson.*`, where ties have a weight."""
    numbers: Numbers = {}
    judgments = tables.judgments
    rows = np.flatnonzero(judgments.decided)
    outcome = judgments.outcome[rows]
    left, right = judgments.left.codes[rows], judgments.right.codes[rows]
    # An arm of whose judgments all are excluded is none of the comparison.
    met = np.unique(np.concatenate([left, right]))
    names = [tables.arms[at] for at in met]
    columns = (
        np.searchsorted(met, left),
        np.searchsorted(met, right),
        np.where(outcome == LEFT, 1.0, np.where(outcome == RIGHT, 0.0, TIE)),
        used(judgments.item.codes[rows]),
    )
    fitted = bradley_terry(names, *columns)
    for at, name in enumerate(names):
        _arm(numbers, f"bradley_terry.{part(name)}", fitted, at)
    put(numbers, "bradley_terry", position=fitted.position)
    tied = davidson_arms(names, *columns)
    for name, strength in zip(names, tied.log_strengths, strict=True):
        put(numbers, f"davidson.{part(name)}", log_strength=strength)
    put(numbers, "davidson", tie=tied.tie)
    return numbers


def _arm(numbers: Numbers, prefix: str, fitted: BradleyTerry, at: int) -> None:
    put(numbers, prefix, strength=fitted.strengths[at], log_strength=fitted.log_strengths[at])
    for place in range(len(fitted.names)):
        key = f"{prefix}.p_rank.{place + 1}"
        if fitted.p_rank:
            numbers[key] = Number(fitted.p_rank[at][place])
        else:
            numbers[key] = undefined(fitted.reason or "no draws to rank by")
    if fitted.adjusted:
        numbers[f"{prefix}.log_strength_without_position"] = Number(fitted.adjusted[at])
    else:
        numbers[f"{prefix}.log_strength_without_position"] = undefined(fitted.reason or fitted.position.reason)
