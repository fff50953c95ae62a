"""Kappa of every two of many annotators: the values of each two alone, and of statsmodels; quick for hundreds."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from statsmodels.stats.inter_rater import cohens_kappa, to_table

from app.results.report.agreement import MOST_PEOPLE
from app.results.report.found import found
from app.results.report.tables import tables_of_rows
from app.stats.kappa import pairwise
from app.stats.many_kappas import many_kappas
from tests.unit.stats_studies import SEEDS
from tests.unit.test_results_found import judgment


def drawn(seed, people, units, labels=3):
    draw = np.random.default_rng(seed)
    given_ = draw.random((units, people)) < draw.choice([0.3, 0.9])
    unit, annotator = np.nonzero(given_)
    own = draw.integers(0, labels, units)
    value = np.where(draw.random(len(unit)) < 0.6, own[unit], draw.integers(0, labels, len(unit)))
    order = draw.permutation(len(unit))
    return value[order], unit[order], annotator[order]


@settings(max_examples=200, deadline=None)
@given(SEEDS)
def test_they_are_those_of_each_two_alone(seed):
    values, units, annotators = drawn(seed, people=5, units=14)
    ours = many_kappas(values, units, annotators, least=3)
    theirs = [one for one in pairwise(values, units, annotators, least=3) if one.kappa.value is not None]
    assert list(zip(ours.first.tolist(), ours.second.tolist(), ours.shared.tolist(), strict=True)) == [
        (one.first, one.second, one.shared) for one in theirs
    ]
    assert ours.kappa == pytest.approx([one.kappa.value for one in theirs], abs=1e-12)
    if len(ours.kappa):
        said = {(u, a): v for v, u, a in zip(values.tolist(), units.tolist(), annotators.tolist(), strict=True)}
        one, other = int(ours.first[0]), int(ours.second[0])
        both = [u for u in range(14) if (u, one) in said and (u, other) in said]
        table = to_table(np.array([[said[u, one], said[u, other]] for u in both]), bins=3)[0]
        assert ours.kappa[0] == pytest.approx(cohens_kappa(table, return_results=False), abs=1e-9)


def test_nothing_and_twice():
    assert many_kappas([], [], []).kappa.tolist() == []
    assert many_kappas([1, 0], [0, 1], [0, 0]).kappa.tolist() == []
    with pytest.raises(ValueError, match="annotator 4 judged unit 7 twice"):
        many_kappas([1, 0], [7, 7], [4, 4])


def test_hundreds_of_annotators_take_seconds():
    draw = np.random.default_rng(1)
    units = np.repeat(np.arange(8_000), 25)
    annotators = np.concatenate([draw.choice(400, 25, replace=False) for _ in range(8_000)])
    values = draw.integers(-1, 2, len(units))
    start = time.process_time()
    found = many_kappas(values, units, annotators, least=5)
    assert time.process_time() - start < 10
    assert len(found.kappa) > 75_000
    assert abs(np.median(found.kappa)) < 0.05


def test_results_give_the_spread_of_more_people_than_are_looked_at():
    draw = np.random.default_rng(2)
    rows, at = [], 0
    for person in range(MOST_PEOPLE + 20):
        for item in range(6 if person < MOST_PEOPLE else 5):
            said = "left" if draw.random() < 0.7 else "right"
            rows.append(judgment(at, f"i{item}", f"a{person:04d}", said))
            at += 1
    numbers = found(tables_of_rows({"preferences": rows})).numbers
    prefix = "agreement.preference.lft~sft.kappa"
    assert numbers[f"{prefix}.people"].value == MOST_PEOPLE
    assert 0 < numbers[f"{prefix}.pairs"].value <= MOST_PEOPLE * (MOST_PEOPLE - 1) / 2
    spread = [numbers[f"{prefix}.{name}"].value for name in ("lowest", "tenth", "median", "ninetieth", "highest")]
    assert spread == sorted(spread)
