"""Clustered intervals: the same draws by a loop, the same by scipy, and every reason for having none."""

import ast
import math
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from app.settings import ROOT
from app.stats import clusters
from app.stats.clusters import cluster_interval, cluster_sums, draw_sums, grouped, ratio, sums_interval
from app.stats.estimate import labels, numbers, scores

SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def studies(draw, rows=60):
    """Rows of (value, weight, cluster) with at least two clusters."""
    n = draw(st.integers(4, rows))
    generator = np.random.default_rng(draw(SEEDS))
    groups = draw(st.integers(2, min(12, n)))
    cluster = np.concatenate([np.arange(groups), generator.integers(0, groups, n - groups)])
    return generator.normal(size=n), generator.integers(1, 9, n).astype(float), cluster


@settings(max_examples=200, deadline=None)
@given(studies())
def test_sums_equal_a_loop_over_rows_whatever_the_order_of_rows_and_the_numbering_of_clusters(study):
    value, weight, cluster = study
    by_hand = {}
    for v, w, c in zip(value, weight, cluster, strict=True):
        first, second = by_hand.get(c, (0.0, 0.0))
        by_hand[c] = (first + v, second + w)
    found = cluster_sums(cluster, value, weight)
    assert found == pytest.approx(np.array(sorted(by_hand.values())), abs=1e-12)
    shuffled = np.random.default_rng(1).permutation(len(value))
    renamed = np.random.default_rng(2).permutation(10_000)[cluster]
    again = cluster_sums(renamed[shuffled], value[shuffled], weight[shuffled])
    assert np.array_equal(found, again)
    assert cluster_interval((value, weight), cluster, ratio, draws=100) == cluster_interval(
        (value[shuffled], weight[shuffled]), renamed[shuffled], ratio, draws=100
    )


def test_sums_of_fractions_lose_nothing_in_any_order_however_different_they_are():
    generator = np.random.default_rng(4)
    value = generator.normal(size=20_000) * 10 ** generator.uniform(-9, 9, 20_000)
    cluster = generator.integers(0, 40, 20_000)
    exact = np.sort([math.fsum(value[cluster == one]) for one in range(40)])
    assert cluster_sums(cluster, value)[:, 0] == pytest.approx(exact, rel=1e-15)
    shuffled = generator.permutation(len(value))
    assert np.array_equal(cluster_sums(cluster, value), cluster_sums(cluster[shuffled], value[shuffled]))


@settings(max_examples=200, deadline=None)
@given(studies(), SEEDS)
def test_draws_equal_a_loop_over_draws_and_clusters(study, seed):
    value, weight, cluster = study
    sums = cluster_sums(cluster, value, weight)
    picked = np.random.default_rng(seed).integers(0, len(sums), size=(20, len(sums)))
    by_hand = np.array([sum(sums[at] for at in row) for row in picked])
    assert draw_sums(sums, draws=20, seed=seed) == pytest.approx(by_hand, abs=1e-9)


def test_the_correction_is_scipys_bca_but_for_the_wider_quantiles(monkeypatch):
    # scipy's own BCa of a mean, from the same 5,000 draws; only its normal quantile is put in the place of our t.
    generator = np.random.default_rng(5)
    values = np.sort(generator.exponential(size=40))
    monkeypatch.setattr(clusters, "stdtrit", lambda _df, _p: 1.959963984540054 * np.sqrt(39 / 40))
    sums = np.stack([values, np.ones(40)], axis=1)
    ours = sums_interval(sums, ratio, n=40, draws=5_000, seed=3)
    picked = np.random.default_rng(3).integers(0, 40, size=(5_000, 40))

    class SameDraws(np.random.Generator):
        def integers(self, *args, **kwargs):
            return picked[: kwargs["size"][0]] if "size" in kwargs else picked

    theirs = scipy_stats.bootstrap(
        (values,), np.mean, n_resamples=5_000, method="BCa", rng=SameDraws(np.random.PCG64(1)), batch=5_000
    ).confidence_interval
    assert ours.low == pytest.approx(theirs.low, abs=2e-3)
    assert ours.high == pytest.approx(theirs.high, abs=2e-3)


def test_bounds_widen_as_t_does():
    # Hesterberg 2015: for n clusters the bounds stand at Phi(-sqrt(n / (n - 1)) t); 1.4 % for ten, 2.5 % for many.
    few = clusters._tails(0.0, np.zeros(0), 10, None)
    assert few[0] == pytest.approx(scipy_stats.norm.cdf(-np.sqrt(10 / 9) * scipy_stats.t.ppf(0.975, 9)), abs=1e-12)
    assert few[0] == pytest.approx(0.00855, abs=1e-5)
    many = clusters._tails(0.0, np.zeros(0), 1_000_000, None)
    assert many == (pytest.approx(0.025, abs=1e-6), pytest.approx(0.975, abs=1e-6))


def test_what_has_no_interval_says_why():
    ones = np.ones(4)
    one = cluster_interval((np.array([1.0, 0, 1, 1]), ones), np.zeros(4, int), ratio, unit="annotator")
    assert (one.value, one.low, one.high) == (0.75, None, None)
    assert one.reason == "one annotator: its own variation says nothing of other annotators"
    same = cluster_interval((ones, ones), np.arange(4), ratio)
    assert (same.value, same.low) == (1.0, None)
    assert same.reason == "no variation between the 4 prompts: drawing them again says nothing"
    none = cluster_interval((np.zeros(0), np.zeros(0)), np.zeros(0, int), ratio)
    assert (none.value, none.n, none.reason) == (None, 0, "no data")
    nothing = cluster_interval((ones, np.zeros(4)), np.arange(4), ratio)
    assert (nothing.value, nothing.reason) == (None, "nothing to divide by")
    # Two prompts, one without a token: a quarter of the draws divides by nothing.
    half = cluster_interval((np.array([0.0, 3]), np.array([0.0, 10])), np.arange(2), ratio)
    assert half.value == 0.3
    assert half.low is None
    assert half.reason.startswith("undefined in ")


def test_more_clusters_than_are_drawn_are_put_in_groups_of_nearly_the_same_size():
    sums = np.stack([np.arange(5_001.0), np.ones(5_001)], axis=1)
    parts = grouped(sums)
    assert len(parts) == 2_000
    assert parts.sum(axis=0) == pytest.approx(sums.sum(axis=0))
    assert set(parts[:, 1]) == {2.0, 3.0}
    found = sums_interval(sums, ratio, n=5_001)
    # The mean of 0..5000 is 2500; its standard error 1443.8 / sqrt(5001) = 20.4.
    assert found.value == 2_500
    assert (found.high - found.low) / (2 * 1.96 * 20.416) == pytest.approx(1, abs=0.06)


def test_what_is_no_number_is_refused_with_its_row():
    with pytest.raises(ValueError, match="weights is nan in row 1"):
        numbers("weights", [1.0, float("nan")])
    with pytest.raises(ValueError, match=r"scores is 0\.25 in row 2; give 1 for won"):
        scores("scores", [1, 0, 0.25])
    with pytest.raises(ValueError, match=r"items has the shape \(1,\)"):
        labels("items", [0], 2)
    with pytest.raises(ValueError, match="items is -1 in row 1"):
        labels("items", [0, -1], 2)
    with pytest.raises(ValueError, match="give whole numbers"):
        labels("items", [0.5, 1.0], 2)


def test_the_package_runs_with_numpy_and_scipy_alone():
    # A bundle of results carries copies of these files and nothing else of the app.
    for path in (ROOT / "app" / "stats").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, path
                names = [node.module]
            for name in names:
                top = name.split(".")[0]
                assert top in sys.stdlib_module_names or top in {"numpy", "scipy"} or name.startswith("app.stats"), path


def test_a_million_rows_take_no_time():
    generator = np.random.default_rng(0)
    values, cluster = generator.integers(0, 2, 1_000_000).astype(float), generator.integers(0, 40_000, 1_000_000)
    ones = np.ones(1_000_000)
    started = time.process_time()
    cluster_interval((values, ones), cluster, ratio)
    assert time.process_time() - started < 3
