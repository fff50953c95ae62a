import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.shift.aggregate import aggregate
from app.shift.lexicon import Category
from app.shift.summary import summarise
from app.shift.trace import TokenShift

OPENING, CONTENT = Category.INITIATION, Category.CONTENT


def token(rank=1, *, base=-1.0, tuned=-0.5, kl=0.0, kl_back=0.0, entropy=1.0, tuned_entropy=0.5, tops=((), ())):
    return TokenShift(
        id=7,
        base_rank=rank,
        base_logprob=base,
        tuned_rank=1,
        tuned_logprob=tuned,
        kl_tuned_base=kl,
        kl_base_tuned=kl_back,
        ties=0,
        near_border=False,
        base_entropy=entropy,
        tuned_entropy=tuned_entropy,
        top_base=tuple((id_, -1.0) for id_ in tops[0]),
        top_tuned=tuple((id_, -1.0) for id_ in tops[1]),
    )


def test_every_number_of_a_small_response_is_the_one_computed_by_hand():
    tokens = [
        token(9, base=-6.0, tuned=-1.0, kl=2.0, kl_back=4.0, tops=((1, 2), (2, 3))),  # difference +5, overlap 1/3
        token(1, base=-0.5, tuned=-8.5, kl=0.0, kl_back=1.0, tops=((1, 2), (1, 2))),  # difference -8, overlap 1
        token(2, base=-1.0, tuned=-1.0, kl=0.5, kl_back=0.0),  # difference 0, nothing stored to overlap
        token(4, base=-3.0, tuned=-1.5, kl=1.5, kl_back=1.0, entropy=3.0),  # difference +1.5
    ]
    found = aggregate(tokens, [OPENING, CONTENT, CONTENT, CONTENT])
    # Four tokens: the first 5 % are ceil(0.2) = 1.
    assert (found.n, found.unshifted, found.marginal, found.shifted) == (4, 1, 1, 2)
    assert (found.first5_n, found.first5_marginal, found.first5_shifted) == (1, 0, 1)
    # Shifted are tokens 0 and 3; only 3 stands at or after 4 / 2.
    assert found.late_shift_share == 0.5
    assert found.first_shift_at == 0.0
    assert found.max_base_rank == 9
    assert found.mean_logprob_difference == pytest.approx((5 - 8 + 0 + 1.5) / 4)
    assert found.peak_logprob_difference == -8.0
    assert found.mean_kl_tuned_base == pytest.approx(1.0)
    assert found.max_kl_tuned_base == 2.0
    assert found.last95_kl_tuned_base == pytest.approx((0 + 0.5 + 1.5) / 3)
    assert found.mean_kl_base_tuned == pytest.approx(1.5)
    assert found.max_kl_base_tuned == 4.0
    assert found.last95_kl_base_tuned == pytest.approx(2 / 3)
    assert found.mean_base_entropy == pytest.approx(1.5)
    assert found.mean_tuned_entropy == 0.5
    assert found.mean_surprisal == pytest.approx((1 + 8.5 + 1 + 1.5) / 4)
    assert found.mean_top_k_overlap == pytest.approx((1 / 3 + 1) / 2)
    assert found.content_shifted == 1


def test_the_second_half_begins_at_the_middle_token_and_positions_are_shares():
    # Of 5 tokens the second half is 3 and 4 (2·2 < 5 <= 2·3).
    found = aggregate([token(), token(), token(9), token(9), token(9)])
    assert found.late_shift_share == pytest.approx(2 / 3)
    assert found.first_shift_at == pytest.approx(2 / 5)
    assert found.content_shifted is None


def test_what_does_not_exist_is_none_and_never_zero():
    bare = aggregate([token(base=None, kl=None, kl_back=None, entropy=None, tuned_entropy=None)])
    assert (bare.late_shift_share, bare.first_shift_at) == (None, None)
    assert (bare.mean_logprob_difference, bare.peak_logprob_difference) == (None, None)
    assert (bare.mean_kl_tuned_base, bare.max_kl_tuned_base, bare.last95_kl_tuned_base) == (None, None, None)
    assert (bare.mean_base_entropy, bare.mean_tuned_entropy, bare.mean_top_k_overlap) == (None, None, None)
    empty = aggregate([], [])
    assert (empty.n, empty.first5_n, empty.max_base_rank, empty.mean_surprisal) == (0, 0, None, None)
    assert empty.content_shifted == 0


def test_an_infinite_logprob_leaves_the_others_their_mean():
    found = aggregate([token(base=-2.0, tuned=-1.0), token(tuned=-math.inf)])
    assert found.mean_logprob_difference == 1.0
    assert found.peak_logprob_difference == 1.0
    assert found.mean_surprisal == 1.0


@given(st.lists(st.tuples(st.integers(1, 60), st.floats(0, 9), st.floats(-9, 0)), max_size=60))
def test_it_agrees_with_the_summary_and_its_own_bounds(rows):
    tokens = [token(rank, base=base, kl=kl) for rank, kl, base in rows]
    found, summary = aggregate(tokens), summarise(tokens)
    assert found.unshifted + found.marginal + found.shifted == found.n == len(rows)
    assert found.first5_n == summary.first5.n
    assert found.shifted - found.first5_shifted == summary.last95.shifted
    assert (found.first_shift_at is None) == (found.shifted == 0)
    if tokens:
        assert abs(found.peak_logprob_difference) >= abs(found.mean_logprob_difference) - 1e-9
        assert found.max_kl_tuned_base >= found.mean_kl_tuned_base - 1e-9
