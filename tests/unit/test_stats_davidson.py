"""Davidson's model for several arms: an optimiser of scipy finds the same maximum; what has none is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from scipy.optimize import linprog, minimize

from app.stats.davidson import davidson_arms
from app.stats.preference import davidson
from tests.unit.stats_studies import judgments


def log_likelihood(at, left, right, scores):
    """The model as Davidson writes it, judgment by judgment."""
    p, nu = np.exp(at[:-1]), np.exp(at[-1])
    tied = nu * np.sqrt(p[left] * p[right])
    whole = p[left] + p[right] + tied
    said = np.where(scores == 1, p[left], np.where(scores == 0, p[right], tied))
    return float(np.log(said / whole).sum())


def finite(arms, left, right, scores):
    """No direction keeps every answer at least as likely as those not given, by a programme written per judgment."""
    rows = []
    for one, other, said in zip(left, right, scores, strict=True):
        outcomes = np.zeros((3, arms + 1))
        outcomes[0, one] = outcomes[2, other] = 1
        outcomes[1, [one, other]], outcomes[1, -1] = 0.5, 1
        given_ = {1.0: 0, 0.5: 1, 0.0: 2}[float(said)]
        rows += [outcomes[given_] - outcomes[at] for at in range(3) if at != given_]
    rows = np.array(rows)
    bounds = [(-1, 1)] * (arms + 1)
    best = -linprog(-rows.sum(axis=0), A_ub=-rows, b_ub=np.zeros(len(rows)), bounds=bounds).fun
    return best < 1e-7


def linked(arms, left, right):
    group = list(range(arms))
    for _ in range(arms):
        for one, other in zip(left, right, strict=True):
            group[one] = group[other] = min(group[one], group[other])
    return len(set(group)) == 1


@settings(max_examples=200, deadline=None)
@given(judgments(arms=4))
def test_an_optimiser_of_scipy_finds_the_same_maximum(study):
    left, right, scores, items, _ = study
    found = davidson_arms("abcd", left, right, scores, items)
    exists = linked(4, left, right) and finite(4, left, right, scores)
    assert (found.reason == "") == exists, found.reason
    if not exists:
        assert found.tie.value is None
        return
    ours = np.array([one.value for one in found.log_strengths] + [np.log(found.tie.value)])
    assert ours[:-1].sum() == pytest.approx(0, abs=1e-9)
    theirs = minimize(
        lambda at: -log_likelihood(at, left, right, scores), np.zeros(5), method="BFGS", options={"gtol": 1e-7}
    )
    best = log_likelihood(ours, left, right, scores)
    assert best >= -theirs.fun - 1e-9 * abs(theirs.fun)
    spread = theirs.x[:-1] - theirs.x[:-1].mean()
    if max(abs(ours).max(), abs(theirs.x).max()) < 6:
        assert ours == pytest.approx(np.append(spread, theirs.x[-1]), abs=2e-3)


@settings(max_examples=100, deadline=None)
@given(judgments())
def test_of_two_arms_it_is_the_closed_form(study):
    left, right, scores, items, annotators = study
    found = davidson_arms("ab", left, right, scores, items)
    alone = davidson(np.where(left == 0, scores, 1 - scores), items, annotators, draws=20)
    if found.reason:
        return
    share = 1 / (1 + np.exp(found.log_strengths[1].value - found.log_strengths[0].value))
    assert share == pytest.approx(alone.win_rate.value, abs=1e-9)
    assert found.tie.value == pytest.approx(alone.tie.value, rel=1e-9)


def test_what_has_no_maximum_is_told_in_words():
    assert davidson_arms("ab", [], [], [], []).reason == "no data"
    assert davidson_arms("abcd", [0, 2], [1, 3], [0.5, 1], [0, 1]).reason.startswith(
        "disconnected: no comparison links"
    )
    assert davidson_arms("ab", [0, 0], [1, 1], [1, 0], [0, 1]).reason.startswith("no judgment is a tie")
    assert davidson_arms("ab", [0, 0], [1, 1], [0.5, 0.5], [0, 1]).reason.startswith("every judgment is a tie")
    told = davidson_arms("ab", [0, 0], [1, 1], [1, 0.5], [0, 1]).reason
    assert told == (
        "separated: a never lost to the others and b never won against the others, so no finite strength tells how far "
        "apart they are"
    )


def test_a_single_prompt_has_no_interval():
    found = davidson_arms("ab", [0, 0, 0], [1, 1, 1], [1, 0, 0.5], [0, 0, 0])
    assert found.log_strengths[0].value == pytest.approx(0, abs=1e-9)
    assert found.tie.value == pytest.approx(1)
    assert found.tie.low is None
    assert found.tie.reason.startswith("one prompt")


def drawn(draw, prompts):
    """Three arms, all pairs judged once on each prompt, whose strengths vary from prompt to prompt."""
    prompt, left = np.repeat(np.arange(prompts), 3), np.tile([0, 1, 2], prompts)
    right = (left + 1) % 3
    own = np.array([0.5, 0.0, -0.5]) + draw.normal(scale=0.5, size=(prompts, 3))
    one, other = np.exp(own[prompt, left]), np.exp(own[prompt, right])
    tie = 0.7 * np.sqrt(one * other)
    at = draw.random(len(left)) * (one + other + tie)
    return left, right, np.where(at < one, 1.0, np.where(at < one + tie, 0.5, 0.0)), prompt


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    draw = np.random.default_rng(4)
    truth, studies = davidson_arms("abc", *drawn(draw, 100_000)), 400
    found = [davidson_arms("abc", *drawn(draw, 40)) for _ in range(studies)]
    hits = sum(one.log_strengths[0].low <= truth.log_strengths[0].value <= one.log_strengths[0].high for one in found)
    ties = sum(one.tie.low <= truth.tie.value <= one.tie.high for one in found)
    assert 0.92 <= hits / studies <= 0.98
    assert 0.92 <= ties / studies <= 0.98
