"""Who was preferred, per pair of arms: counts, win rates with ties read three ways, and strength."""

import numpy as np

from app.results.report.pairs import TIE, Pair, number, put
from app.results.report.tables import TIE_BAD, TIE_GOOD, Judgments, Tables
from app.results.report.values import Number, Numbers, count
from app.stats.estimate import Estimate, bare, undefined
from app.stats.preference import Clustered, WinRate, mean_preference, strength, ties_three_ways

STRENGTHS = range(-3, 4)


def preference(tables: Tables, pairs: tuple[Pair, ...]) -> Numbers:
    """Find `preference.<pair>.*`: the first arm's side of every judgment of the pair."""
    numbers: Numbers = {}
    for pair in pairs:
        prefix = f"preference.{pair.key}"
        _counts(numbers, prefix, tables.judgments, pair)
        _win_rates(numbers, prefix, pair)
        _mean(numbers, prefix, pair)
        _strength(numbers, prefix, tables.judgments, pair)
    return numbers


def _counts(numbers: Numbers, prefix: str, judgments: Judgments, pair: Pair) -> None:
    outcome = judgments.outcome[pair.rows]
    put(
        numbers,
        prefix,
        n=count(len(pair.rows)),
        items=count(len(np.unique(pair.items))),
        annotators=count(len(np.unique(pair.annotators))),
        wins=count(np.count_nonzero(pair.score == 1)),
        losses=count(np.count_nonzero(pair.score == 0)),
        ties_good=count(np.count_nonzero(outcome == TIE_GOOD)),
        ties_bad=count(np.count_nonzero(outcome == TIE_BAD)),
        cannot_judge=count(pair.skipped),
        changed=count(np.count_nonzero(judgments.first_outcome[pair.rows] != outcome)),
    )


def _win_rates(numbers: Numbers, prefix: str, pair: Pair) -> None:
    ties = ties_three_ways(pair.score, pair.items, pair.annotators)
    rate(numbers, f"{prefix}.win_rate.half", ties.half)
    rate(numbers, f"{prefix}.win_rate.dropped", ties.dropped)
    put(numbers, f"{prefix}.win_rate", davidson=ties.davidson.win_rate)
    put(numbers, prefix, davidson_tie=ties.davidson.tie)


def rate(numbers: Numbers, prefix: str, one: WinRate) -> None:
    """Add a win rate with the interval shown, and each interval it was chosen from."""
    numbers[prefix] = number(one.shown)
    put(numbers, prefix, wilson=one.wilson, by_prompt=one.by_item, by_annotator=one.by_annotator)


def clustered(numbers: Numbers, prefix: str, one: Clustered) -> None:
    """Add a number with the interval shown, and both it was chosen from."""
    numbers[prefix] = number(one.shown)
    put(numbers, prefix, by_prompt=one.by_item, by_annotator=one.by_annotator)


def _mean(numbers: Numbers, prefix: str, pair: Pair) -> None:
    found = mean_preference(pair.score)
    n = found.n_total
    share = _share(found.win_rate, n, found.reason)
    error = _share(found.standard_error, n, found.reason)
    put(numbers, prefix, mean_preference=share, mean_preference_se=error)


def _share(percent: float | None, n: int, reason: str) -> Number:
    one: Estimate = undefined(reason, n) if percent is None else bare(percent / 100, n, "")
    return number(one)


def _strength(numbers: Numbers, prefix: str, judgments: Judgments, pair: Pair) -> None:
    """Add how strongly, where it was asked: judgments with a strength, and ties as none."""
    given = judgments.strength[pair.rows]
    signed = np.where(pair.score == 1, given, -given)
    counted = (given > 0) | (pair.score == TIE)
    if not given.any():
        numbers[f"{prefix}.strength.mean"] = Number(None, n=0, reason="strength was not asked, or nobody gave one")
        return
    found = strength(signed[counted], pair.items[counted], pair.annotators[counted])
    clustered(numbers, f"{prefix}.strength.mean", found.mean)
    for at, value in zip(STRENGTHS, found.counts, strict=True):
        numbers[f"{prefix}.strength.{_name(at)}"] = count(value)
    numbers[f"{prefix}.strength.missing"] = count(len(given) - int(np.count_nonzero(counted)))


def _name(at: int) -> str:
    return "tie" if at == 0 else f"{'first' if at > 0 else 'second'}_{abs(at)}"
