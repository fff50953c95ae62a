"""Rank, ties, KL, entropy and top-k: by hand, against naive definitions, and as properties."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from app.shift.distributions import distribution, entropy, kl_divergence, log_softmax, ranks, ties, top_k

LOGITS = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 4), st.integers(2, 200)),
    elements=st.floats(-30, 30, width=32),
)
# Few distinct values, so that ties are the rule.
TIED = hnp.arrays(
    np.float32, st.tuples(st.integers(1, 4), st.integers(2, 200)), elements=st.sampled_from([-1.0, 0.0, 0.5, 2.0])
)


def logits_of(*probabilities: float) -> np.ndarray:
    return np.log(np.array([probabilities], dtype=np.float64))


def test_log_softmax_by_hand():
    # e^0 : e^ln2 : e^ln5 = 1 : 2 : 5, so the probabilities are 1/8, 2/8, 5/8.
    result = log_softmax(np.array([[0.0, math.log(2), math.log(5)]]))
    assert np.exp(result[0]) == pytest.approx([0.125, 0.25, 0.625], abs=1e-15)


def test_log_softmax_survives_large_logits_and_missing_ids():
    result = log_softmax(np.array([[1000.0, 1000.0, -np.inf]], dtype=np.float32))
    assert result[0, :2] == pytest.approx([-math.log(2)] * 2)
    assert result[0, 2] == -np.inf


def test_rank_is_one_plus_strictly_greater():
    scores = np.array([[0.1, 0.7, 0.7, 0.9]] * 4)
    targets = np.array([0, 1, 2, 3])
    # 0.9 has nothing above it; both 0.7 have only 0.9 above; 0.1 has three above.
    assert ranks(scores, targets).tolist() == [4, 2, 2, 1]
    # Each 0.7 shares its value with one other id.
    assert ties(scores, targets).tolist() == [0, 1, 1, 0]


def test_kl_by_hand_in_both_directions():
    p, q = distribution(logits_of(0.5, 0.5)), distribution(logits_of(0.9, 0.1))
    # KL(p||q) = 0.5 ln(0.5/0.9) + 0.5 ln(0.5/0.1) = 0.5 (-0.587787) + 0.5 (1.609438) = 0.510826
    assert kl_divergence(p, q) == pytest.approx([0.5108256237659907], abs=1e-12)
    # KL(q||p) = 0.9 ln(0.9/0.5) + 0.1 ln(0.1/0.5) = 0.9 (0.587787) + 0.1 (-1.609438) = 0.368064
    assert kl_divergence(q, p) == pytest.approx([0.3680642071684971], abs=1e-12)


def test_kl_where_one_side_has_no_mass():
    wide, narrow = distribution(logits_of(0.5, 0.25, 0.25)), distribution(np.array([[0.0, 0.0, -np.inf]]))
    # The wide one puts a quarter where the narrow one has nothing: infinite. The other way round is finite:
    # 0.5 ln(0.5/0.5) + 0.5 ln(0.5/0.25) = 0.5 ln 2.
    assert kl_divergence(wide, narrow) == [np.inf]
    assert kl_divergence(narrow, wide) == pytest.approx([0.5 * math.log(2)], abs=1e-12)
    assert kl_divergence(narrow, narrow) == [0.0]


@pytest.mark.parametrize("width", [49_152, 49_153, 49_407])
def test_kl_over_a_whole_vocabulary_in_float32_is_exact_to_a_few_millionths(width):
    draw = np.random.default_rng(width)
    tuned, base = (draw.normal(scale=3, size=(8, width)).astype(np.float32) for _ in range(2))
    base[np.arange(8), tuned.argmax(axis=-1)] -= 30
    p, q = distribution(tuned), distribution(base)
    gap = log_softmax(tuned.astype(np.float64)) - log_softmax(base.astype(np.float64))
    expected = (np.exp(log_softmax(tuned.astype(np.float64))) * gap).sum(axis=-1)
    # Added up in one float32 sum, these were up to 1e-3 off with some processors' kernels.
    assert kl_divergence(p, q) == pytest.approx(expected, abs=2e-5)


def test_entropy_by_hand():
    # Four equal outcomes: ln 4. One certain outcome among impossible ones: 0.
    assert entropy(distribution(np.zeros((1, 4)))) == pytest.approx([math.log(4)], abs=1e-12)
    assert entropy(distribution(np.array([[3.0, -np.inf, -np.inf]]))) == [0.0]


@given(LOGITS)
def test_kl_of_a_distribution_with_itself_is_exactly_zero(logits):
    p = distribution(logits)
    assert (kl_divergence(p, p) == 0).all()


@given(LOGITS, st.integers(0, 2**32 - 1))
def test_kl_is_never_negative_and_equals_the_naive_sum(logits, seed):
    other = np.random.default_rng(seed).normal(size=logits.shape).astype(np.float32) * 4
    measured = kl_divergence(distribution(logits), distribution(other))
    assert (measured >= 0).all()
    for row in range(len(logits)):
        log_p, log_q = ([float(x) - naive_log_sum(values[row]) for x in values[row]] for values in (logits, other))
        exact = math.fsum(math.exp(a) * (a - b) for a, b in zip(log_p, log_q, strict=True))
        assert measured[row] == pytest.approx(exact, abs=2e-5, rel=1e-5)


def naive_log_sum(row: np.ndarray) -> float:
    largest = float(row.max())
    return largest + math.log(math.fsum(math.exp(float(x) - largest) for x in row))


@given(LOGITS)
def test_entropy_lies_between_zero_and_the_uniform_one(logits):
    measured = entropy(distribution(logits))
    assert (measured >= -1e-6).all()
    assert (measured <= math.log(logits.shape[1]) + 1e-5).all()


@given(TIED, st.data())
def test_rank_and_ties_equal_a_naive_sort(scores, data):
    targets = np.array([data.draw(st.integers(0, scores.shape[1] - 1)) for _ in scores])
    measured, tied = ranks(scores, targets), ties(scores, targets)
    for row, target, rank, ties_here in zip(scores, targets, measured, tied, strict=True):
        descending = sorted(row.tolist(), reverse=True)
        assert rank == descending.index(row[target]) + 1
        assert ties_here == descending.count(row[target]) - 1


@given(st.one_of(LOGITS, TIED), st.integers(1, 250))
def test_top_k_equals_a_full_sort_with_ties_by_id(scores, k):
    picked = top_k(scores, k)
    assert picked.shape == (len(scores), min(k, scores.shape[1]))
    for row, ids in zip(scores, picked, strict=True):
        expected = sorted(range(len(row)), key=lambda token: (-row[token], token))[:k]
        assert ids.tolist() == expected


def test_top_k_finds_neighbours_of_one_block():
    # The k largest sit side by side, so one block holds all of them and the block maxima say little.
    scores = np.zeros((1, 1000), dtype=np.float32)
    scores[0, 500:520] = np.arange(20, 0, -1)
    assert top_k(scores, 20)[0].tolist() == list(range(500, 520))
