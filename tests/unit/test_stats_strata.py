"""Whether strata differ: Cochran's Q against statsmodels, and the variance of a share by clusters written out."""

import numpy as np
import pytest
from hypothesis import given, settings
from statsmodels.stats.meta_analysis import combine_effects

from app.stats.strata import heterogeneity, share_variance
from tests.unit.stats_studies import SEEDS


@settings(max_examples=200)
@given(SEEDS)
def test_q_is_that_of_a_meta_analysis(seed):
    draw = np.random.default_rng(seed)
    several = int(draw.integers(2, 9))
    estimates, variances = draw.random(several), draw.uniform(0.001, 0.05, several)
    ours, theirs = heterogeneity(estimates, variances), combine_effects(estimates, variances)
    assert ours.q == pytest.approx(theirs.q, rel=1e-9)
    assert ours.p_value == pytest.approx(theirs.test_homogeneity().pvalue, rel=1e-9, abs=1e-12)
    assert ours.share == pytest.approx(max(0.0, theirs.i2), rel=1e-9, abs=1e-12)


@settings(max_examples=200)
@given(SEEDS)
def test_the_variance_of_a_share_by_clusters(seed):
    draw = np.random.default_rng(seed)
    n = int(draw.integers(1, 40))
    values, clusters = draw.choice([0, 0.5, 1], n), draw.integers(0, 6, n)
    mean = sum(values) / n
    present = sorted(set(clusters.tolist()))
    if len(present) < 2:
        assert share_variance(values, clusters) is None
        return
    apart = [sum(v - mean for v, c in zip(values, clusters, strict=True) if c == one) for one in present]
    expected = len(present) / (len(present) - 1) * sum(one * one for one in apart) / n**2
    assert share_variance(values, clusters) == pytest.approx(expected, abs=1e-15)


def test_what_cannot_be_compared_is_said_in_words():
    for variances in ([None, 0.1], [0.0, 0.1]):
        found = heterogeneity([0.4, 0.6], variances)
        assert (found.q, found.p_value, found.share, found.groups) == (None, None, None, 1)
        assert "fewer than two strata" in found.reason
    assert heterogeneity([0.5, 0.5], [0.1, 0.2]).share == 0


def test_chance_alone_is_called_so_about_as_often_as_promised():
    draw = np.random.default_rng(7)
    called = 0
    for _ in range(400):
        groups = [(draw.random(120) < 0.6).astype(float) for _ in range(4)]
        clusters = np.arange(120) // 3
        found = heterogeneity([one.mean() for one in groups], [share_variance(one, clusters) for one in groups])
        called += found.p_value < 0.05
    assert 0.02 < called / 400 < 0.09
