"""Classes, borders and summaries."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.shift.classes import ShiftClass, Thresholds, border_width, classify, near_border
from app.shift.summary import Measured, first_count, summarise, summarise_ranks

thresholds = st.integers(1, 20).flatmap(
    lambda low: st.integers(low + 1, 40).map(lambda high: Thresholds(unshifted=low, marginal=high))
)


@pytest.mark.parametrize(
    ("rank", "expected"),
    [(1, "unshifted"), (2, "marginal"), (3, "marginal"), (4, "shifted"), (49152, "shifted")],
)
def test_the_default_classes(rank, expected):
    assert classify(rank) == expected


@given(st.integers(1, 100), thresholds)
def test_classes_partition_the_ranks_in_order(rank, chosen):
    order = list(ShiftClass)
    assert order.index(classify(rank, chosen)) <= order.index(classify(rank + 1, chosen))
    assert classify(chosen.unshifted, chosen) is ShiftClass.UNSHIFTED
    assert classify(chosen.unshifted + 1, chosen) is ShiftClass.MARGINAL
    assert classify(chosen.marginal + 1, chosen) is ShiftClass.SHIFTED


@pytest.mark.parametrize("bad", [(0, 3), (3, 3), (4, 3), (-1, 2)])
def test_thresholds_that_leave_a_class_empty_are_refused(bad):
    with pytest.raises(ValueError, match="1 <= unshifted < marginal"):
        Thresholds(unshifted=bad[0], marginal=bad[1])


@pytest.mark.parametrize("rank", [0, -1])
def test_a_rank_below_one_is_refused(rank):
    with pytest.raises(ValueError, match="1-based"):
        classify(rank)


@given(st.integers(0, 100_000))
def test_the_first_five_percent_are_the_exact_ceiling(n):
    assert first_count(n) == math.ceil(Fraction(5, 100) * n)


@pytest.mark.parametrize(("n", "first"), [(0, 0), (1, 1), (20, 1), (21, 2), (140, 7), (141, 8), (300, 15)])
def test_the_first_five_percent_by_hand(n, first):
    # 0.05 * 140 is 7.000000000000001 in floating point; the ceiling is still 7.
    assert first_count(n) == first


def test_a_summary_by_hand():
    # 21 tokens: the first ceil(1.05) = 2 are the first 5 %.
    ranks = [1, 5, *[1] * 15, 2, 3, 4, 9]
    summary = summarise_ranks(ranks)
    assert (summary.unshifted, summary.marginal, summary.shifted, summary.n) == (16, 2, 3, 21)
    assert (summary.first5.unshifted, summary.first5.shifted, summary.first5.n) == (1, 1, 2)
    assert (summary.last95.unshifted, summary.last95.marginal, summary.last95.shifted) == (15, 2, 2)
    assert summary.mean_kl_tuned_base is None


def test_means_leave_out_what_is_unknown():
    tokens = [Measured(1, kl_tuned_base=1.0), Measured(1, kl_tuned_base=None), Measured(1, kl_tuned_base=4.0)]
    summary = summarise(tokens)
    # (1 + 4) / 2; the unknown one is neither zero nor counted.
    assert summary.mean_kl_tuned_base == 2.5
    assert summary.mean_kl_base_tuned is None
    assert summary.first5.mean_kl_tuned_base == 1.0
    assert summary.last95.mean_kl_tuned_base == 4.0


def test_an_empty_response_has_counts_and_no_means():
    summary = summarise([])
    assert (summary.n, summary.first5.n, summary.last95.n, summary.mean_kl_tuned_base) == (0, 0, 0, None)


@given(st.lists(st.integers(1, 50), max_size=200), thresholds)
def test_summaries_add_up(ranks, chosen):
    summary = summarise_ranks(ranks, chosen)
    for part in (summary, summary.first5, summary.last95):
        assert part.unshifted + part.marginal + part.shifted == part.n
    for name in ("unshifted", "marginal", "shifted", "n"):
        assert getattr(summary.first5, name) + getattr(summary.last95, name) == getattr(summary, name)
    assert summary.n == len(ranks)


@pytest.mark.parametrize(
    ("logprob", "rank", "expected"),
    [
        # Base's best are -1.0, -1.2, -2.0, -2.1, -4.0; the border is 0.25 wide.
        (-1.0, 1, True),  # 0.2 above the second: could be marginal
        (-1.2, 2, True),  # 0.2 below the first: could be unshifted
        (-2.0, 3, True),  # 0.1 above the fourth: could be shifted
        (-2.1, 4, True),  # 0.1 below the third: could be marginal
        (-4.0, 5, False),  # 2.0 below the third
    ],
)
def test_near_border_by_hand(logprob, rank, expected):
    assert near_border(logprob, rank, (-1.0, -1.2, -2.0, -2.1, -4.0), 0.25) is expected


@given(
    st.lists(st.integers(-300, 0), min_size=5, max_size=12, unique=True),
    st.data(),
    st.integers(1, 100),
)
def test_near_border_equals_trying_it(steps, data, width):
    # Values on a grid of 0.01 and a width between grid points, so that no comparison is a matter of rounding.
    values = sorted((step / 100 for step in steps), reverse=True)
    rank = data.draw(st.integers(1, len(values)))
    own, others = values[rank - 1], values[: rank - 1] + values[rank:]
    nats = width / 100 + 0.005
    moved = {classify(1 + sum(other > own + by for other in others)) for by in (-nats, 0, nats)}
    assert near_border(own, rank, tuple(values), nats) == (len(moved) > 1)


def test_border_widths():
    assert border_width("float32") == 1e-3
    assert border_width("bfloat16") == 0.25
