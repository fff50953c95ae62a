"""The rated dimensions: each arm's mean and distribution, and the paired difference of two arms."""

import numpy as np

from app.results.report.coded import Bools, Ints, used
from app.results.report.pairs import Pair, put
from app.results.report.preference import clustered
from app.results.report.tables import Tables
from app.results.report.values import Number, Numbers, count, part, undefined
from app.stats.dimensions import PairedRatings, paired_ratings, ratings

LEVELS = (1, 2, 3, 4, 5)


def dimensions(tables: Tables, pairs: tuple[Pair, ...]) -> Numbers:
    """Find `dimensions.<name>.<arm>.*` and `dimensions.<name>.<pair>.*`; p values also by Holm over all these tests."""
    numbers: Numbers = {}
    for code, name in enumerate(tables.ratings.dimensions):
        rated = tables.ratings.of(code)
        for at, arm in enumerate(tables.arms):
            _arm(numbers, f"dimensions.{part(name)}.{part(arm)}", tables, rated, at)
        for pair in pairs:
            _pair(numbers, f"dimensions.{part(name)}.{pair.key}", rated, pair)
    holm(numbers)
    return numbers


def _arm(numbers: Numbers, prefix: str, tables: Tables, rated: Ints, arm: int) -> None:
    judgments = tables.judgments
    here: Bools = np.stack([judgments.left.codes == arm, judgments.right.codes == arm], axis=1) & (rated > 0)
    rows, _ = np.nonzero(here)
    one = ratings(rated[here], used(judgments.item.codes[rows]), used(judgments.annotator.codes[rows]), levels=LEVELS)
    clustered(numbers, f"{prefix}.mean", one.mean)
    for level, times in zip(one.levels, one.counts, strict=True):
        numbers[f"{prefix}.level.{level}"] = count(times)


def _pair(numbers: Numbers, prefix: str, rated: Ints, pair: Pair) -> None:
    left, right = rated[pair.rows, 0], rated[pair.rows, 1]
    both = (left > 0) & (right > 0)
    first, second = np.where(pair.first_is_left, left, right), np.where(pair.first_is_left, right, left)
    items, annotators = used(pair.items[both]), used(pair.annotators[both])
    one = paired_ratings(first[both], second[both], items, annotators)
    clustered(numbers, f"{prefix}.difference", one.difference)
    put(
        numbers,
        prefix,
        better=count(one.better),
        equal=count(one.equal),
        worse=count(one.worse),
        rank_biserial=one.rank_biserial,
        d_z=one.d_z,
    )
    _wilcoxon(numbers, f"{prefix}.wilcoxon", one)


def _wilcoxon(numbers: Numbers, prefix: str, one: PairedRatings) -> None:
    test = one.wilcoxon
    for name, value in (("statistic", test.statistic), ("p", test.p_value)):
        found = undefined(test.reason, test.prompts) if value is None else Number(value, n=test.prompts)
        numbers[f"{prefix}.{name}"] = found
    numbers[f"{prefix}.zeros"] = count(test.zeros)


def holm(numbers: Numbers) -> None:
    """Adjust p values among some numbers for being several (Holm 1979), all Wilcoxon's together and all McNemar's.

    The smallest is multiplied by their number, and so on, never falling.
    """
    for test in ("wilcoxon.p", "mcnemar.p"):
        _holm(numbers, [name for name in numbers if f".{test}" in name and f".{test}_" not in name], test)


def _holm(numbers: Numbers, names: list[str], test: str) -> None:
    tests = sorted((one.value, name) for name in names if (one := numbers[name]).value is not None)
    highest = 0.0
    for name in names:
        if numbers[name].value is None:
            numbers[name.replace(test, f"{test}_holm")] = undefined(numbers[name].reason)
    for at, (value, name) in enumerate(tests):
        highest = max(highest, min(1.0, value * (len(tests) - at)))
        numbers[name.replace(test, f"{test}_holm")] = Number(highest, n=len(tests))
