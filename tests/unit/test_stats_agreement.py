"""Alpha, kappa and pair agreement: published values, the krippendorff and statsmodels packages, what must hold."""

import time

import krippendorff as reference
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import norm, t
from statsmodels.stats.inter_rater import cohens_kappa, fleiss_kappa

from app.stats.agreement import LEVELS, krippendorff, pair_agreement
from app.stats.kappa import cohen, fleiss, fleiss_of, of_table, pairwise
from tests.unit.stats_studies import SEEDS

# Krippendorff's own example, four observers and twelve units, gaps included (2011, "Computing Krippendorff's alpha").
CODINGS = """
1 2 3 3 2 1 4 1 2 . . .
1 2 3 3 2 2 4 1 2 5 . .
. 3 3 3 2 3 4 2 2 5 1 3
1 2 3 3 2 4 4 1 2 5 1 .
"""
# Fleiss 1971: thirty patients, six diagnoses each (statsmodels keeps the table in its tests).
DIAGNOSES = """
444444 222555 233335 555555 222444 113333 333355 113334 114444 555555 144444 124444 222333 144444 224445
333335 111455 111112 224444 133555 555555 244444 224555 114444 144445 222224 111155 224444 133333 555555
"""
# Ten units, fourteen raters, five labels: the example of Wikipedia's article on Fleiss' kappa.
WIKIPEDIA = """
0 0 0 0 14
0 2 6 4 2
0 0 3 5 6
0 3 9 2 0
2 2 8 1 1
7 7 0 0 0
3 2 6 3 0
2 5 3 2 2
6 5 2 1 0
0 2 2 3 7
"""
SAS = [[0, 4, 1], [0, 8, 0], [0, 1, 5]]


def long_form(matrix):
    """Turn raters by units, NaN for missing, into rows."""
    annotators, units = np.nonzero(~np.isnan(matrix))
    return matrix[annotators, units], units, annotators


def codings():
    rows = [line.split() for line in CODINGS.split("\n")[1:-1]]
    return np.array([[np.nan if cell == "." else float(cell) for cell in row] for row in rows])


@st.composite
def matrices(draw):
    generator = np.random.default_rng(draw(SEEDS))
    shape = draw(st.integers(2, 5)), draw(st.integers(2, 14))
    truth = generator.integers(1, draw(st.integers(1, 5)) + 1, shape[1])
    noisy = generator.random(shape) < draw(st.sampled_from([0.0, 0.3, 1.0]))
    values = np.where(noisy, generator.integers(1, 6, shape), truth[None, :]).astype(float)
    values[generator.random(shape) < draw(st.sampled_from([0.0, 0.3, 0.8]))] = np.nan
    return values


@pytest.mark.parametrize(
    ("level", "published"),
    # 904 / 1216 by hand; the others as fast-krippendorff and evalica give them, published as 0.815, 0.849, 0.797.
    [("nominal", 904 / 1216), ("ordinal", 0.8153875), ("interval", 0.8491071), ("ratio", 0.7974028)],
)
def test_krippendorffs_own_example(level, published):
    values, units, _ = long_form(codings())
    found = krippendorff(values, units, level=level)
    assert found.alpha.value == pytest.approx(published, abs=5e-8)
    assert found.alpha.value == pytest.approx(
        reference.alpha(reliability_data=codings(), level_of_measurement=level), abs=1e-12
    )
    # The twelfth unit has one value and is left out: 40 values in 11 units.
    assert (found.n_pairable, found.units) == (40, 11)
    assert found.labels == ((1.0, 9), (2.0, 13), (3.0, 10), (4.0, 5), (5.0, 3))
    assert found.alpha.low < found.alpha.value < found.alpha.high


@settings(max_examples=200, deadline=None)
@given(matrices(), st.sampled_from(LEVELS))
def test_the_krippendorff_package_agrees(matrix, level):
    values, units, _ = long_form(matrix)
    found = krippendorff(values, units, level=level, draws=50)
    if found.alpha.value is None:
        assert found.alpha.reason
        paired = (~np.isnan(matrix)).sum(axis=0) >= 2
        kept = matrix[:, paired]
        assert paired.sum() <= 1 or len(np.unique(kept[~np.isnan(kept)])) == 1
        return
    theirs = reference.alpha(reliability_data=matrix, level_of_measurement=level)
    assert found.alpha.value == pytest.approx(theirs, abs=1e-9)
    assert found.alpha.value <= 1 + 1e-12


@settings(max_examples=100, deadline=None)
@given(matrices(), SEEDS)
def test_raters_and_labels_may_change_places(matrix, seed):
    generator = np.random.default_rng(seed)
    values, units, _ = long_form(matrix)
    turned = matrix[generator.permutation(len(matrix))][:, generator.permutation(matrix.shape[1])]
    again_values, again_units, _ = long_form(turned)
    for level in LEVELS:
        assert krippendorff(again_values, again_units, level=level, draws=30) == krippendorff(
            values, units, level=level, draws=30
        )
    names = np.append(0, generator.permutation(9) + 1)
    one = krippendorff(values, units, level="nominal", draws=2).alpha.value
    other = krippendorff(names[values.astype(int)], units, level="nominal", draws=2).alpha.value
    assert one is other is None or one == pytest.approx(other, abs=1e-12)


@pytest.mark.parametrize("level", LEVELS)
def test_bounds_are_those_of_alphas_of_drawn_units(level):
    # The package's alpha of 600 draws of 40 units, at the shares of draws that 40 units ask for.
    generator = np.random.default_rng(12)
    truth = generator.integers(1, 6, 40)
    matrix = np.where(generator.random((3, 40)) < 0.6, truth, generator.integers(1, 6, (3, 40))).astype(float)
    values, units, _ = long_form(matrix)
    ours = krippendorff(values, units, level=level).alpha
    drawn = [
        reference.alpha(reliability_data=matrix[:, generator.integers(0, 40, 40)], level_of_measurement=level)
        for _ in range(600)
    ]
    tail = norm.cdf(-np.sqrt(40 / 39) * t.ppf(0.975, 39))
    low, high = np.quantile(drawn, [tail, 1 - tail])
    # Bias and skewness move ours by a few hundredths, and 600 draws leave as much to chance.
    assert ours.low == pytest.approx(low, abs=0.06)
    assert ours.high == pytest.approx(high, abs=0.06)


def test_many_ordered_values_take_another_way_to_the_same_alpha():
    generator = np.random.default_rng(2)
    matrix = generator.normal(size=(1, 60)) + generator.normal(scale=0.5, size=(3, 60))
    values, units, _ = long_form(matrix)
    found = krippendorff(values, units, level="ordinal", draws=300)
    theirs = reference.alpha(reliability_data=matrix, level_of_measurement="ordinal")
    assert found.alpha.value == pytest.approx(theirs, abs=1e-9)
    # Ranks of ranks: interval alpha of the mid-ranks is the same number, and its interval nearly the same.
    ranks = np.argsort(np.argsort(values)).astype(float)
    beside = krippendorff(ranks, units, level="interval", draws=300).alpha
    assert found.alpha.value == pytest.approx(beside.value, abs=1e-9)
    assert found.alpha.low == pytest.approx(beside.low, abs=0.05)


def test_what_has_no_alpha_says_why():
    assert krippendorff([], [], level="nominal").alpha.reason == "no data"
    assert krippendorff([1, 2], [0, 1], level="nominal").alpha.reason.startswith("no unit has two values")
    one = krippendorff([1, 2, 2], [0, 0, 0], level="ordinal").alpha
    assert (one.value, one.reason[:8]) == (None, "one unit")
    same = krippendorff([3, 3, 3, 3], [0, 0, 1, 1], level="interval").alpha
    assert same.value is None
    assert same.reason.startswith("unanimous: every value is 3")
    # One annotator: every unit has one value.
    assert krippendorff([1, 2, 3], [0, 1, 2], level="ratio").alpha.value is None
    with pytest.raises(ValueError, match="values is nan in row 1"):
        krippendorff([1, float("nan")], [0, 0], level="nominal")
    with pytest.raises(ValueError, match="values is -1 in row 0; a ratio scale begins at 0"):
        krippendorff([-1, 2], [0, 0], level="ratio")
    with pytest.raises(ValueError, match="level is 'ordered'; give one of nominal"):
        krippendorff([1, 2], [0, 0], level="ordered")


def test_the_kappa_of_sas():
    plain = of_table(SAS)
    assert plain.kappa.value == pytest.approx(0.4842, abs=5e-5)
    assert plain.standard_error == pytest.approx(0.1380, abs=5e-5)
    assert (plain.kappa.low, plain.kappa.high) == (pytest.approx(0.2137, abs=5e-5), pytest.approx(0.7547, abs=5e-5))
    linear = of_table(SAS, weights="linear")
    assert linear.kappa.value == pytest.approx(0.4701, abs=5e-5)
    assert linear.standard_error == pytest.approx(0.1457, abs=5e-5)
    assert (linear.kappa.low, linear.kappa.high) == (pytest.approx(0.1845, abs=5e-5), pytest.approx(0.7558, abs=5e-5))
    assert of_table(SAS, weights="quadratic").kappa.value == pytest.approx(0.4502, abs=5e-5)


@settings(max_examples=200, deadline=None)
@given(SEEDS, st.integers(2, 5), st.integers(1, 60), st.sampled_from(["none", "linear", "quadratic"]))
def test_statsmodels_agrees_on_cohens_kappa(seed, levels, n, weights):
    generator = np.random.default_rng(seed)
    first = generator.integers(0, levels, n)
    second = np.where(generator.random(n) < 0.5, first, generator.integers(0, levels, n))
    found = cohen(first, second, weights=weights, scale=tuple(range(levels)))
    assume(found.kappa.value is not None)
    table = np.zeros((levels, levels))
    np.add.at(table, (first, second), 1)
    scheme = (None, None) if weights == "none" else (np.arange(levels), weights)
    with np.errstate(all="ignore"):
        theirs = cohens_kappa(table, weights=scheme[0], wt=scheme[1])
    assert found.kappa.value == pytest.approx(theirs.kappa, abs=1e-9)
    if found.standard_error is not None:
        assert found.standard_error == pytest.approx(theirs.std_kappa, abs=1e-9)
    swapped = cohen(second, first, weights=weights, scale=tuple(range(levels)))
    assert swapped.kappa.value == pytest.approx(found.kappa.value, abs=1e-12)


def test_each_pair_of_annotators_has_its_own_kappa():
    generator = np.random.default_rng(6)
    matrix = generator.integers(0, 3, (4, 50)).astype(float)
    matrix[generator.random((4, 50)) < 0.4] = np.nan
    values, units, annotators = long_form(matrix)
    found = {(one.first, one.second): one for one in pairwise(values, units, annotators)}
    assert len(found) == 6
    for (one, other), pair in found.items():
        both = ~np.isnan(matrix[one]) & ~np.isnan(matrix[other])
        assert pair.shared == both.sum()
        expected = cohen(matrix[one][both], matrix[other][both], scale=(0, 1, 2)).kappa
        assert pair.kappa.value == pytest.approx(expected.value, abs=1e-12)
    assert pairwise([1, 2], [0, 1], [0, 1]) == ()
    with pytest.raises(ValueError, match="annotator 3 judged unit 1 twice"):
        pairwise([1, 2], [1, 1], [3, 3])


def test_kappa_of_one_label_or_nothing_says_why():
    assert "one and the same label" in cohen([1, 1], [1, 1]).kappa.reason
    assert cohen([], []).kappa.reason == "no unit was judged by both"
    whole = cohen([1, 2, 1], [1, 2, 1])
    assert whole.kappa.value == 1
    assert whole.kappa.low is None
    assert "standard error at zero" in whole.kappa.reason
    with pytest.raises(ValueError, match="second is 9 in row 0, which is not on the scale"):
        cohen([1], [9], scale=(1, 2))


def test_fleiss_published_kappas():
    wikipedia = np.array([line.split() for line in WIKIPEDIA.split("\n")[1:-1]], dtype=int)
    assert fleiss_of(wikipedia).value == pytest.approx(0.210, abs=5e-4)
    rows = np.array([[int(digit) for digit in patient] for patient in DIAGNOSES.split()])
    found = fleiss(rows.ravel(), np.repeat(np.arange(30), 6))
    assert found.value == pytest.approx(0.4302445, abs=5e-8)
    assert found.low < found.value < found.high


@settings(max_examples=200, deadline=None)
@given(SEEDS, st.integers(2, 6), st.integers(2, 30))
def test_statsmodels_agrees_on_fleiss_kappa(seed, raters, units):
    generator = np.random.default_rng(seed)
    values = generator.integers(0, 4, (units, raters))
    found = fleiss(values.ravel(), np.repeat(np.arange(units), raters), draws=20)
    assume(found.value is not None)
    table = np.stack([(values == label).sum(axis=1) for label in range(4)], axis=1)
    assert found.value == pytest.approx(fleiss_kappa(table), abs=1e-9)


def test_fleiss_needs_equally_many():
    assert "units have 1 to 2 values" in fleiss([1, 2, 2], [0, 0, 1]).reason
    assert "no unit has two values" in fleiss([1, 2], [0, 1]).reason
    assert "unanimous" in fleiss([1, 1, 1, 1], [0, 0, 1, 1]).reason
    assert "one unit" in fleiss([1, 2], [0, 0]).reason
    assert fleiss([], []).reason == "no data"


def test_pairs_agree_strictly_and_relaxed():
    # Unit 0: win, win, tie: of 3 pairs 1 strict, 3 relaxed. Unit 1: win, loss: none. Unit 2 has one judgment.
    found = pair_agreement([1, 1, 0.5, 1, 0, 1], [0, 0, 0, 1, 1, 2])
    assert (found.pairs, found.units) == (4, 2)
    assert found.strict.value == pytest.approx(1 / 4)
    assert found.relaxed.value == pytest.approx(3 / 4)
    assert pair_agreement([1, 0], [0, 1]).strict.reason == "no unit has two judgments"
    assert pair_agreement([], []).relaxed.reason == "no data"


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    # Three raters who give the truth with chance 0.6 and else one of five labels; alpha of the population is 0.36.
    generator = np.random.default_rng(9)
    hits = 0
    units = np.tile(np.arange(60), 3)
    for _ in range(150):
        truth = generator.integers(0, 5, 60)
        values = np.where(generator.random((3, 60)) < 0.6, truth, generator.integers(0, 5, (3, 60))).ravel()
        found = krippendorff(values, units, level="nominal", draws=400).alpha
        hits += found.low <= 0.36 <= found.high
    assert 0.90 <= hits / 150 <= 0.99


def test_a_million_values_take_no_time():
    generator = np.random.default_rng(0)
    values, units = generator.integers(1, 6, 1_000_000), generator.integers(0, 300_000, 1_000_000)
    started = time.process_time()
    krippendorff(values, units, level="ordinal")
    assert time.process_time() - started < 6
