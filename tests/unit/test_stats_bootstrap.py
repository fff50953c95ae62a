import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.stats import bootstrap
from app.stats.bootstrap import SEED, paired_difference, rate
from app.stats.wilson import wilson

REAL = st.floats(-1e3, 1e3).map(lambda value: round(value, 3))


def slow_rate(part, whole, *, draws, seed):
    """The same draws, one cluster at a time: the counts of a draw come from the same generator."""
    generator = np.random.default_rng(seed)
    drawn = []
    for row in generator.integers(0, len(part), size=(draws, len(part))):
        top, bottom = 0.0, 0.0
        for cluster in row:
            top += part[cluster]
            bottom += whole[cluster]
        drawn.append(top / bottom)
    return float(np.quantile(drawn, 0.025)), float(np.quantile(drawn, 0.975))


@given(st.lists(st.tuples(REAL, st.integers(1, 50)), min_size=2, max_size=12), st.integers(0, 2**32 - 1))
def test_the_fast_way_equals_a_loop_over_draws_and_clusters(clusters, seed):
    part, whole = zip(*clusters, strict=True)
    found = rate(part, whole, draws=60, seed=seed)
    low, high = slow_rate(part, whole, draws=60, seed=seed)
    assert found.estimate == pytest.approx(sum(part) / sum(whole), abs=1e-9)
    assert (found.low, found.high) == (pytest.approx(low, abs=1e-9), pytest.approx(high, abs=1e-9))


def test_a_paired_difference_draws_both_sides_of_a_prompt_together():
    # Prompts differ widely, but the second arm is always 0.1 below the first: the difference does not vary.
    tokens = [10] * 8
    first = [2, 9, 4, 7, 3, 8, 5, 6]
    second = [count - 1 for count in first]
    found = paired_difference((first, tokens), (second, tokens))
    assert found.estimate == pytest.approx(0.1)
    assert (found.low, found.high) == (pytest.approx(0.1), pytest.approx(0.1))
    apart = rate(first, tokens)
    assert apart.high - apart.low > 0.2


def test_clusters_that_agree_leave_no_width():
    found = rate([3] * 20, [10] * 20)
    assert (found.low, found.estimate, found.high) == (0.3, 0.3, 0.3)
    assert (found.n, found.clusters, found.seed, found.reason) == (200, 20, SEED, "")


def test_what_is_undefined_is_a_reason_and_never_a_number():
    assert rate([], []).reason == "no data"
    assert rate([], []).estimate is None
    lone = rate([3], [10])
    assert (lone.estimate, lone.low, lone.high) == (0.3, None, None)
    assert "one prompt" in lone.reason
    assert rate([0, 0], [0, 0]).reason == "nothing to divide by"
    # With two clusters, one of them empty, a quarter of the draws has nothing to divide by.
    half = rate([0, 3], [0, 10])
    assert half.estimate == 0.3
    assert (half.low, half.high) == (None, None)
    assert half.reason.startswith("undefined in ")


def test_the_same_seed_gives_the_same_interval_and_another_seed_another():
    part, whole = list(range(30)), [40] * 30
    assert rate(part, whole, seed=1) == rate(part, whole, seed=1)
    assert rate(part, whole, seed=1).low != rate(part, whole, seed=2).low


def test_blocks_of_draws_do_not_change_the_result(monkeypatch):
    part, whole = list(range(30)), [40] * 30
    whole_run = rate(part, whole, draws=100)
    bootstrap._counts.cache_clear()
    monkeypatch.setattr("app.stats.bootstrap._BLOCK", 30 * 7)
    assert rate(part, whole, draws=100) == whole_run


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    # 60 prompts whose own rates vary around 0.3; 300 studies. The share's own noise is 0.013: 0.90 is 4 sd off.
    generator = np.random.default_rng(7)
    covered = 0
    for _ in range(300):
        own = generator.beta(3, 7, size=60)
        found = rate(generator.binomial(40, own), np.full(60, 40), draws=400, seed=int(generator.integers(2**31)))
        covered += found.low <= 0.3 <= found.high
    assert 0.90 <= covered / 300 <= 0.98


def test_two_thousand_draws_over_a_thousand_prompts_take_no_time():
    part, whole = np.arange(1000) % 9, np.full(1000, 20)
    rate(part, whole)
    fastest = min(_timed(rate, part, whole) for _ in range(5))
    assert fastest < 0.1


def _timed(function, *arguments):
    started = time.process_time()
    function(*arguments)
    return time.process_time() - started


@pytest.mark.parametrize(
    ("part", "whole", "low", "high"),
    # The published values for 2/10 and 0/10; 10/10 is the mirror image of the latter.
    [(2, 10, 0.056682, 0.509838), (0, 10, 0.0, 0.277533), (10, 10, 0.722467, 1.0)],
)
def test_wilson_gives_the_published_values(part, whole, low, high):
    assert wilson(part, whole) == (pytest.approx(low, abs=1e-6), pytest.approx(high, abs=1e-6))


def test_wilson_of_nothing_is_nothing():
    assert wilson(0, 0) is None
