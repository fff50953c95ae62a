"""Ratings: against pandas and scipy, ranks summed by hand."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import wilcoxon

from app.stats.dimensions import paired_ratings, prompt_means, ratings, signed_rank
from tests.unit.stats_studies import SEEDS


@st.composite
def rated(draw):
    generator = np.random.default_rng(draw(SEEDS))
    n = draw(st.integers(1, 60))
    items, people = generator.integers(0, draw(st.integers(1, 20)), n), generator.integers(0, 5, n)
    return generator.integers(1, 6, n), generator.integers(1, draw(st.integers(1, 5)) + 1, n), items, people


@settings(max_examples=200, deadline=None)
@given(rated())
def test_a_second_implementation_agrees(study):
    first, second, items, people = study
    found = paired_ratings(first, second, items, people, draws=50)
    frame = pd.DataFrame({"apart": first - second, "item": items})
    assert found.difference.shown.value == pytest.approx(frame["apart"].mean(), abs=1e-12)
    assert (found.better, found.equal, found.worse) == tuple(
        int((np.sign(frame["apart"]) == sign).sum()) for sign in (1, 0, -1)
    )
    means = frame.groupby("item")["apart"].mean().round(12)
    used = means[means != 0]
    if used.empty:
        assert found.wilcoxon.reason == "every prompt's difference is zero"
        assert found.rank_biserial.value is None
    else:
        ranks = used.abs().rank()
        signed = float((np.sign(used) * ranks).sum() / ranks.sum())
        assert found.rank_biserial.value == pytest.approx(signed, abs=1e-12)
        theirs = wilcoxon(used.to_numpy(), method="exact" if found.wilcoxon.exact else "asymptotic")
        assert found.wilcoxon.p_value == pytest.approx(theirs.pvalue, abs=1e-12)
    if len(set(means)) > 1:
        assert found.d_z.value == pytest.approx(means.mean() / means.std(), abs=1e-9)
    else:
        assert found.d_z.value is None
        assert found.d_z.reason


@settings(max_examples=100, deadline=None)
@given(rated())
def test_swapping_the_arms_turns_every_sign(study):
    first, second, items, people = study
    one = paired_ratings(first, second, items, people, draws=50)
    other = paired_ratings(second, first, items, people, draws=50)
    assert other.difference.shown.value == pytest.approx(-one.difference.shown.value, abs=1e-12)
    assert other.wilcoxon.p_value == one.wilcoxon.p_value
    if one.rank_biserial.value is not None:
        assert other.rank_biserial.value == pytest.approx(-one.rank_biserial.value, abs=1e-12)


def test_signed_ranks_by_hand():
    # Differences 1, -2, 3, 4, 5: ranks 1..5, the negative one has rank 2. T = min(13, 2) = 2; of the 32 signs 3 give a
    # sum of negative ranks of at most 2 ({}, {1}, {2}), so p = 2 * 3 / 32.
    found = signed_rank(np.array([1.0, -2, 3, 4, 5]))
    assert (found.statistic, found.prompts, found.exact) == (2, 5, True)
    assert found.p_value == pytest.approx(6 / 32)
    with_zero = signed_rank(np.array([0.0, 1, -2, 3]))
    assert (with_zero.zeros, with_zero.prompts, with_zero.exact) == (1, 3, False)
    assert signed_rank(np.zeros(0)).reason == "no data"


def test_judgments_of_a_prompt_count_once():
    # The first prompt was judged four times; its mean difference is one number among two.
    apart = prompt_means(np.array([2.0, 2, 2, 2, -1]), np.array([0, 0, 0, 0, 1]))
    assert apart.tolist() == [-1, 2]


def test_ratings_are_counted_on_their_scale():
    found = ratings([5, 5, 3, 1], [0, 1, 2, 3], [0, 0, 1, 1])
    assert found.counts == (1, 0, 1, 0, 2)
    assert found.mean.shown.value == 3.5
    with pytest.raises(ValueError, match="values is 6 in row 1; the scale is 1, 2, 3, 4, 5"):
        ratings([5, 6], [0, 1], [0, 1])


def test_what_does_not_exist_has_a_reason():
    one = paired_ratings([3, 4], [2, 4], [0, 0], [0, 1])
    assert one.d_z.reason == "one prompt: its differences have no standard deviation"
    same = paired_ratings([3, 4, 5], [2, 3, 4], [0, 1, 2], [0, 1, 2])
    assert same.difference.shown.value == 1
    assert "no variation between the 3 prompts" in same.difference.shown.reason
    assert same.d_z.value is None
    nothing = paired_ratings([], [], [], [])
    assert (nothing.difference.shown.reason, nothing.d_z.reason, nothing.wilcoxon.reason) == ("no data",) * 3
    with pytest.raises(ValueError, match="columns differ in length: first 1, second 2"):
        paired_ratings([1], [1, 2], [0], [0])


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    generator = np.random.default_rng(4)
    prompts = np.repeat(np.arange(40), 3)
    hits = 0
    for _ in range(200):
        own = generator.normal(0.3, 0.5, 40)[prompts]
        first = generator.normal(size=120) + own
        found = paired_ratings(first, generator.normal(size=120), prompts, np.arange(120) % 25, draws=400)
        hits += found.difference.by_item.low <= 0.3 <= found.difference.by_item.high
    assert 0.90 <= hits / 200 <= 0.99
