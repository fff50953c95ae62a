"""Second implementations of what stands beside a preference, each on 200 random studies: loops, pandas, scipy."""

from itertools import combinations
from statistics import mean

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, t
from statsmodels.stats.anova import anova_lm

from app.stats.agreement import pair_agreement
from app.stats.effects import blinding_index, duplicates, leave_one_out, speed
from app.stats.planning import more_judgments
from tests.unit.stats_studies import SEEDS, judgments

FEW = 20


def agreeing(groups):
    """Count pairs within groups of scores: all, equal, and not opposite."""
    pairs = [pair for scores in groups for pair in combinations(scores, 2)]
    return len(pairs), sum(a == b for a, b in pairs), sum({a, b} != {0, 1} for a, b in pairs)


def check(found, groups):
    n, strict, relaxed = agreeing(groups)
    assert found.pairs == n
    if not n:
        assert found.strict.value is None
        assert found.relaxed.value is None
        return
    assert found.strict.value == pytest.approx(strict / n, abs=1e-12)
    assert found.relaxed.value == pytest.approx(relaxed / n, abs=1e-12)


@settings(max_examples=200, deadline=None)
@given(judgments())
def test_pair_agreement_is_that_of_all_pairs(study):
    _, _, score, items, _ = study
    groups = pd.DataFrame({"score": score, "item": items}).groupby("item")["score"].apply(list)
    check(pair_agreement(score, items, draws=FEW), groups)


@settings(max_examples=200, deadline=None)
@given(judgments(arms=3))
def test_repeats_are_those_a_dictionary_finds(study):
    left, right, score, items, annotators = study
    seen = {}
    for one, other, said, item, who in zip(left, right, score, items, annotators, strict=True):
        upright = said if one < other else 1 - said
        seen.setdefault((who, item, frozenset((int(one), int(other)))), []).append(upright)
    found = duplicates(annotators, items, left, right, score, draws=FEW)
    assert found.rows == len(score)
    assert found.groups == sum(len(said) > 1 for said in seen.values())
    assert found.repeated == sum(len(said) - 1 for said in seen.values())
    check(found.agreement, seen.values())


@settings(max_examples=200, deadline=None)
@given(judgments(), SEEDS)
def test_the_halves_of_speed_are_those_of_pandas(study, seed):
    _, _, score, items, annotators = study
    taken = np.random.default_rng(seed).integers(0, 30, len(score)) * 1000
    found = speed(taken, score, items, annotators, draws=FEW)
    frame = pd.DataFrame({"taken": taken, "score": score})
    assert found.median_ms == frame["taken"].median()
    assert found.tenth_ms == pytest.approx(frame["taken"].quantile(0.1))
    assert found.ninetieth_ms == pytest.approx(frame["taken"].quantile(0.9))
    fast, slow = (frame[where]["score"] for where in (taken <= found.median_ms, taken > found.median_ms))
    if slow.empty:
        assert found.difference.shown.value is None
        return
    assert found.faster.shown.value == pytest.approx(fast.mean(), abs=1e-12)
    assert found.slower.shown.value == pytest.approx(slow.mean(), abs=1e-12)
    assert found.difference.shown.value == pytest.approx(fast.mean() - slow.mean(), abs=1e-12)


@settings(max_examples=200, deadline=None)
@given(judgments())
def test_leaving_one_annotator_out_is_doing_so(study):
    _, _, score, _, annotators = study
    found = leave_one_out(score, annotators)
    people = sorted(set(annotators.tolist()))
    if len(people) < 2:
        assert found.low is None
        return
    rates = {who: mean(s for s, a in zip(score, annotators, strict=True) if a != who) for who in people}
    assert found.low == pytest.approx(min(rates.values()), abs=1e-12)
    assert found.high == pytest.approx(max(rates.values()), abs=1e-12)
    assert rates[found.without_low] == pytest.approx(found.low, abs=1e-12)
    assert rates[found.without_high] == pytest.approx(found.high, abs=1e-12)


@settings(max_examples=200, deadline=None)
@given(SEEDS, st.integers(1, 60), st.integers(3, 6))
def test_the_blinding_index_is_a_mean_of_fair_points(seed, n, arms):
    draw = np.random.default_rng(seed)
    verdicts, shown = draw.choice([-1, 0, 1], n), draw.integers(1, 3, n)
    found = blinding_index(verdicts, draw.integers(0, 5, n), arms=arms, shown=shown, draws=FEW)
    # A bet at fair odds: by chance it wins nothing.
    points = [{1: 1.0, 0: 0.0, -1: -s / (arms - s)}[int(v)] for v, s in zip(verdicts, shown, strict=True)]
    assert found.index.value == pytest.approx(mean(points), abs=1e-12)
    assert (found.right, found.wrong) == ((verdicts == 1).sum(), (verdicts == -1).sum())
    error = np.sqrt(np.var(points) / n)
    if error > 1e-9:
        assert found.index.low == pytest.approx(max(-1, mean(points) - norm.ppf(0.975) * error), abs=1e-9)
        assert found.index.high == pytest.approx(min(1, mean(points) + norm.ppf(0.975) * error), abs=1e-9)


def test_a_guess_that_cannot_be_wrong_is_refused():
    with pytest.raises(ValueError, match="row 1: 2 of 2 arms make the guess right; none can be wrong"):
        blinding_index([0, 1], [0, 1], shown=2)


@settings(max_examples=200, deadline=None)
@given(judgments(), st.sampled_from([0.02, 0.05, 0.1, 0.3]))
def test_a_plan_is_that_of_an_analysis_of_variance(study, half_width):
    _, _, score, items, _ = study
    found = more_judgments(score, items, half_width=half_width)
    frame = pd.DataFrame({"score": score, "item": items})
    groups = frame.groupby("item")["score"]
    sums, sizes = groups.sum(), groups.size()
    prompts, n, rate = len(sizes), len(frame), frame["score"].mean()
    apart = sums - rate * sizes
    if prompts < 2 or apart.abs().max() < 1e-12:
        assert found.now is None
        assert found.reason
        return
    each = float((apart**2).sum() * prompts**2 / (prompts - 1) / n**2)
    assert found.now == pytest.approx(t.ppf(0.975, prompts - 1) * np.sqrt(each / prompts), rel=1e-9)
    # The least number that is enough: it is, and one fewer is not.
    enough = found.prompts + prompts
    reached = [t.ppf(0.975, k - 1) * np.sqrt(each / k) if k > 1 else 9 for k in (enough - 1, enough)]
    assert reached[1] <= half_width + 1e-9
    assert not found.prompts or reached[0] > half_width - 1e-9
    if n == prompts:
        assert found.by_overlap is None
        return
    table = anova_lm(smf.ols("score ~ C(item)", frame).fit())
    within = table.loc["Residual", "mean_sq"]
    usual = (n - (sizes**2).sum() / n) / (prompts - 1)
    between = max(0.0, (table.loc["C(item)", "mean_sq"] - within) / usual)
    room = prompts * (half_width / t.ppf(0.975, prompts - 1)) ** 2 - between
    if abs(room) < 1e-9:
        return
    assert (found.by_overlap is None) == (room < 0)
    if room > 0:
        assert found.per_prompt == pytest.approx(max(within / room, n / prompts), rel=1e-6)
