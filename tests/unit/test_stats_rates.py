"""Rates: against statsmodels and pandas, tables by hand, and what has no odds."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.contingency_tables import StratifiedTable, Table2x2, mcnemar

from app.stats.rates import (
    causal_difference,
    causal_rate,
    odds_ratio,
    paired_binary,
    rate_difference,
    rate_per,
    share,
)
from tests.unit.stats_studies import SEEDS


@st.composite
def found_in_pairs(draw):
    generator = np.random.default_rng(draw(SEEDS))
    n = draw(st.integers(1, 60))
    rate = draw(st.sampled_from([0.0, 0.1, 0.5, 1.0]))
    items, people = generator.integers(0, draw(st.integers(1, 20)), n), generator.integers(0, 5, n)
    return generator.random(n) < rate, generator.random(n) < 0.3, items, people


@st.composite
def strata(draw):
    generator = np.random.default_rng(draw(SEEDS))
    n = draw(st.integers(1, 30))
    level = draw(st.sampled_from([0.2, 1.0, 6.0]))
    return tuple(generator.poisson(level * size, n) for size in (1, 2, 5, 20)), generator.integers(0, 10, n)


@settings(max_examples=200, deadline=None)
@given(found_in_pairs())
def test_paired_samples_agree_with_statsmodels(study):
    first, second, items, people = study
    found = paired_binary(first, second, items, people, draws=50)
    table = pd.crosstab(first, second).reindex(index=[True, False], columns=[True, False], fill_value=0).to_numpy()
    assert (found.both, found.only_first, found.only_second, found.neither) == tuple(table.ravel())
    assert found.difference.shown.value == pytest.approx(first.mean() - second.mean(), abs=1e-12)
    if found.only_first + found.only_second:
        assert found.mcnemar_exact == pytest.approx(mcnemar(table, exact=True).pvalue, abs=1e-9)
        assert found.mcnemar_chi2 == pytest.approx(mcnemar(table, exact=False, correction=False).pvalue, abs=1e-9)
    else:
        assert (found.mcnemar_exact, found.reason) == (None, "no judgment tells the two apart")


@settings(max_examples=200, deadline=None)
@given(strata())
def test_odds_ratios_agree_with_statsmodels(study):
    columns, items = study
    found = odds_ratio(*columns, items, draws=50)
    total = np.array([column.sum() for column in columns]).reshape(2, 2)
    if (total.sum(axis=0) == 0).any() or (total.sum(axis=1) == 0).any():
        assert found.pooled.value is None
        assert found.pooled.reason
        return
    assert found.corrected == bool((total == 0).any())
    # statsmodels would put 0.5 into the empty cell alone.
    expected = Table2x2(total + (0.5 if found.corrected else 0.0), shift_zeros=False).oddsratio
    assert found.pooled.value == pytest.approx(expected, rel=1e-9)
    tables = [np.array(row).reshape(2, 2) for row in zip(*columns, strict=True) if sum(row)]
    if found.stratified.value is not None:
        theirs = StratifiedTable([one.astype(float) for one in tables]).oddsratio_pooled
        assert found.stratified.value == pytest.approx(theirs, rel=1e-9)


@settings(max_examples=200, deadline=None)
@given(found_in_pairs(), SEEDS)
def test_rates_per_hundred_tokens_agree_with_pandas(study, seed):
    first, _, items, people = study
    generator = np.random.default_rng(seed)
    spans, tokens = generator.poisson(2, len(first)) * first, generator.integers(1, 300, len(first))
    found = rate_per(spans, tokens, items, people, draws=50)
    frame = pd.DataFrame({"spans": spans, "tokens": tokens})
    assert found.shown.value == pytest.approx(100 * frame["spans"].sum() / frame["tokens"].sum(), abs=1e-9)
    apart = rate_difference((spans, tokens), (first, tokens), items, people, per=100, draws=50)
    expected = 100 * (spans.sum() - first.sum()) / tokens.sum()
    assert apart.shown.value == pytest.approx(expected, abs=1e-9)


def test_mcnemar_by_hand():
    # 8 judgments found it in the first alone, 2 in the second alone: 2 * (1 + 10 + 45) / 1024; chi2 = 36 / 10.
    first, second = [1] * 8 + [0] * 2 + [1] * 5, [0] * 8 + [1] * 2 + [1] * 5
    found = paired_binary(first, second, np.arange(15), np.arange(15) % 4)
    assert found.mcnemar_exact == pytest.approx(112 / 1024)
    assert found.mcnemar_chi2 == pytest.approx(0.0577795, abs=1e-6)
    assert found.difference.shown.value == pytest.approx(6 / 15)


def test_the_causal_rate_takes_away_what_decoys_get_too():
    # Shown 2 retrieved and 2 decoys beside each of four spans: 5 of 8 retrieved and 1 of 8 decoys judged borrowed.
    hits, decoys = [2, 1, 2, 0], [0, 0, 1, 0]
    found = causal_rate(hits, [2] * 4, decoys, [2] * 4, [0, 1, 2, 3], [0, 0, 1, 1])
    assert found.shown.value == pytest.approx(5 / 8 - 1 / 8)
    without = causal_rate(hits, [2] * 4, [0] * 4, [0] * 4, [0, 1, 2, 3], [0, 0, 1, 1])
    assert (without.shown.value, without.shown.reason) == (
        None,
        "no decoy was shown beside a span: the rate has nothing to be compared with",
    )
    nothing = causal_rate([], [], [], [], [], [])
    assert nothing.shown.reason == "no retrieved instance was shown beside a span"
    # The first two spans are LFT's, the rest SFT's: (3/4 - 0) - (2/4 - 1/4).
    apart = causal_difference((hits, [2] * 4, decoys, [2] * 4), [1, 1, 0, 0], [0, 1, 0, 1], [0, 0, 1, 1])
    assert apart.shown.value == pytest.approx(0.75 - 0.25)


def test_strata_take_away_what_differs_between_responses():
    # In each response the odds are alike (ratio 1), but one has far more shifted tokens and more hallucination.
    columns = ([90, 1], [10, 9], [90, 10], [10, 90])
    found = odds_ratio(*columns, [0, 1])
    assert found.pooled.value == pytest.approx((91 * 100) / (19 * 100))
    assert found.stratified.value == pytest.approx(1.0)


def test_an_empty_cell_is_corrected_visibly_and_has_no_interval():
    found = odds_ratio([0, 0], [3, 4], [5, 6], [100, 80], [0, 1])
    assert found.corrected
    assert found.pooled.value == pytest.approx((0.5 * 180.5) / (7.5 * 11.5))
    assert found.pooled.low is None
    assert found.pooled.reason.startswith("a cell is empty: 0.5 was added to all four")
    assert found.stratified.value is None
    assert odds_ratio([0], [0], [1], [2], [0]).pooled.reason == "nothing is inside: there are no odds to compare"
    assert odds_ratio([1], [0], [1], [0], [0]).pooled.reason.startswith("everything has the property")
    assert odds_ratio([], [], [], [], []).pooled.reason == "no data"


def test_none_of_many_is_bounded_by_wilson():
    found = share(np.zeros(10), np.arange(10), np.arange(10) % 3)
    assert (found.found, found.shown.value, found.shown.low, found.shown_by) == (0, 0.0, 0.0, "wilson")
    assert found.shown.high == pytest.approx(0.277533, abs=5e-7)
    assert found.by_item.reason.startswith("no variation between the 10 prompts")
    assert share([], [], []).shown.reason == "no data"


def test_what_is_no_count_is_refused():
    with pytest.raises(ValueError, match="counts is -1 in row 1; counts are not negative"):
        rate_per([0, -1], [1, 1], [0, 1], [0, 1])
    with pytest.raises(ValueError, match="first is 2 in row 0; give 1 for found or 0 for not found"):
        paired_binary([2], [1], [0], [0])


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    # Causal rate 0.4 - 0.1, prompts' own levels beta; and the odds ratio 3 of pooled tables, prompts drawn around it.
    generator = np.random.default_rng(8)
    items = np.repeat(np.arange(40), 3)
    causal = odds = 0
    for _ in range(200):
        real = generator.binomial(2, generator.beta(4, 6, 40)[items])
        decoy = generator.binomial(2, generator.beta(1, 9, 40)[items])
        twos = np.full(120, 2)
        found = causal_rate(real, twos, decoy, twos, items, np.arange(120) % 25, draws=400).by_item
        causal += found.low <= 0.3 <= found.high
        inside = generator.binomial(20, generator.beta(3, 7, 40))
        outside = generator.binomial(100, generator.beta(1.25, 8.75, 40))
        ratio = odds_ratio(inside, 20 - inside, outside, 100 - outside, np.arange(40), draws=400).pooled
        odds += ratio.low <= (0.3 / 0.7) / (0.125 / 0.875) <= ratio.high
    assert 0.90 <= causal / 200 <= 0.99
    assert 0.90 <= odds / 200 <= 0.99
