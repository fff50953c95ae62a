"""Effects beside a preference: statsmodels' logistic regression, arithmetic by hand."""

import time

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import assume, given, settings
from scipy.special import expit

from app.stats.controlled import controlled, normalised
from app.stats.effects import blinding_index, duplicates, leave_one_out, position_effect, speed
from app.stats.planning import more_judgments
from tests.unit.stats_studies import judgments


@settings(max_examples=200, deadline=None)
@given(judgments())
def test_position_agrees_with_pandas(study):
    left, _, score, items, annotators = study
    # `score` is the left side's; the first arm is number 0.
    frame = pd.DataFrame({"left": left == 0, "won": score, "mine": np.where(left == 0, score, 1 - score)})
    found = position_effect(frame["mine"], frame["left"], items, annotators, draws=50)
    assert found.left_rate.shown.value == pytest.approx(frame["won"].mean(), abs=1e-12)
    rates = frame.groupby("left")["mine"].mean()
    if len(rates) == 2:
        assert found.when_left.shown.value == pytest.approx(rates[True], abs=1e-12)
        assert found.when_right.shown.value == pytest.approx(rates[False], abs=1e-12)
        assert found.adjusted.shown.value == pytest.approx(rates.mean(), abs=1e-12)
        assert found.difference.shown.value == pytest.approx(rates[True] - rates[False], abs=1e-12)
    else:
        assert found.adjusted.shown.value is None
        assert "nothing tells side and preference apart" in found.adjusted.shown.reason


@settings(max_examples=200, deadline=None)
@given(judgments(arms=3))
@pytest.mark.filterwarnings("ignore")
def test_statsmodels_finds_the_same_coefficients_and_nearly_the_same_errors(study):
    left, right, score, items, annotators = study
    generator = np.random.default_rng(len(score))
    long, short = generator.poisson(100, len(score)) + 1.0, generator.poisson(100, len(score)) + 1.0
    found = controlled("abc", left, right, score, long, short, items, annotators)
    values = [one.shown.value for one in (*found.log_strengths, found.position, found.length)]
    assume(None not in values and max(map(abs, values)) < 5)
    design = np.zeros((len(score), 5))
    design[np.arange(len(score)), left] += 1
    design[np.arange(len(score)), right] -= 1
    design[:, 3], design[:, 4] = 1, normalised(long - short)
    columns = np.column_stack([design[:, 0] - design[:, 2], design[:, 1] - design[:, 2], design[:, 3:]])
    theirs = sm.GLM(score, columns, family=sm.families.Binomial()).fit(tol=1e-12, maxiter=200)
    assert values[0] == pytest.approx(theirs.params[0], abs=1e-5)
    assert values[1] == pytest.approx(theirs.params[1], abs=1e-5)
    assert values[3:] == pytest.approx(theirs.params[2:], abs=1e-5)
    assert sum(values[:3]) == pytest.approx(0, abs=1e-9)


def test_errors_are_those_of_leaving_out_clusters():
    # The jackknife refits; ours takes one Newton step. With forty clusters they hardly differ.
    generator = np.random.default_rng(3)
    items = np.repeat(np.arange(40), 5)
    left = generator.integers(0, 2, 200)
    apart = generator.normal(scale=50, size=200)
    score = (generator.random(200) < expit(0.3 + 0.5 * (1 - 2 * left) + 0.8 * np.tanh(apart / 50))).astype(float)
    found = controlled("ab", left, 1 - left, score, apart + 300, np.full(200, 300.0), items, np.arange(200) % 9)
    length = normalised(apart)
    columns = np.column_stack([2 * (1 - 2 * left), np.ones(200), length])
    fits = [
        sm.GLM(score[items != out], columns[items != out], family=sm.families.Binomial()).fit().params
        for out in range(40)
    ]
    errors = np.sqrt(39 / 40 * ((np.array(fits) - np.mean(fits, axis=0)) ** 2).sum(axis=0))
    halves = [
        (one.by_item.high - one.by_item.low) / 2 / 2.0226909
        for one in (found.log_strengths[0], found.position, found.length)
    ]
    assert halves == pytest.approx(errors, rel=0.03)
    assert found.win_rate.shown.value == pytest.approx(expit(2 * found.log_strengths[0].shown.value))
    assert found.longer.value == pytest.approx(np.where(apart > 0, score, 1 - score).mean())


def test_a_length_effect_is_taken_out_of_the_win_rate():
    # Both arms are equally good; the longer response wins three times in four, and the first arm is longer.
    n = 4_000
    generator = np.random.default_rng(1)
    left = generator.integers(0, 2, n)
    mine_longer = generator.random(n) < 0.9
    mine = np.where(mine_longer, 1.0, 0.0)
    mine = np.where(generator.random(n) < 0.25, 1 - mine, mine)
    lengths = np.where(mine_longer, 300.0, 200.0), np.where(mine_longer, 200.0, 300.0)
    left_long = np.where(left == 0, lengths[0], lengths[1])
    right_long = np.where(left == 0, lengths[1], lengths[0])
    score = np.where(left == 0, mine, 1 - mine)
    found = controlled("ab", left, 1 - left, score, left_long, right_long, np.arange(n) % 100, np.arange(n) % 20)
    assert mine.mean() == pytest.approx(0.7, abs=0.02)
    assert found.win_rate.shown.low < 0.5 < found.win_rate.shown.high
    assert found.longer.value == pytest.approx(0.75, abs=0.02)


def test_what_cannot_be_told_apart_is_left_out_and_named():
    score = np.tile([1.0, 0, 1, 0.5], 10)
    items, people = np.arange(40), np.arange(40) % 5
    side = np.arange(40) // 4 % 2
    even = controlled("ab", side, 1 - side, score, np.ones(40), np.ones(40), items, people)
    assert even.length.shown.reason.startswith("responses are equally long")
    assert even.position.shown.value is not None
    assert even.longer.reason == "responses are equally long in every judgment"
    fixed = controlled("ab", np.zeros(40, int), np.ones(40, int), score, np.arange(40.0), np.ones(40), items, people)
    assert fixed.position.shown.reason.startswith("too few arms changed sides")
    apart = controlled("abc", [0, 1], [1, 0], [1, 1], [1, 2], [3, 4], [0, 1], [0, 1])
    assert "disconnected" in apart.win_rate.shown.reason
    assert controlled("ab", [], [], [], [], [], [], []).length.shown.reason == "no data"
    three = np.arange(40) % 3
    many = controlled("abc", three, (three + 1) % 3, score, items * 1.0, np.ones(40), items, people)
    assert many.win_rate.shown.reason == "a single win rate exists for two arms, not for 3"
    # The longer always wins: no finite slope.
    long = np.where(score > 0.4, 9.0, 1.0)
    told = controlled("ab", side, 1 - side, np.rint(score), long, 10 - long, items, people)
    assert told.length.shown.value is None
    with pytest.raises(ValueError, match="an arm is numbered 2; there are 2"):
        controlled("ab", [2], [0], [1], [1], [1], [0], [0])


def test_bangs_index_by_hand():
    # Of 277 in one arm 82 guessed right and 25 wrong: 57 / 277, variance (p1 + p2 - (p1 - p2)^2) / n. Of 139 in the
    # other 29 right and 27 wrong: 2 / 139.
    treated = blinding_index([1] * 82 + [-1] * 25 + [0] * 170, np.arange(277))
    assert treated.index.value == pytest.approx(57 / 277, abs=1e-12)
    error = np.sqrt((107 / 277 - (57 / 277) ** 2) / 277)
    assert treated.index.low == pytest.approx(57 / 277 - 1.959964 * error, abs=1e-6)
    placebo = blinding_index([1] * 29 + [-1] * 27 + [0] * 83, np.arange(139))
    assert placebo.index.value == pytest.approx(0.0143885, abs=5e-8)
    assert (placebo.right, placebo.wrong, placebo.unsure) == (29, 27, 83)
    # One judgment per annotator: drawing annotators gives nearly the same interval.
    assert treated.by_annotator.low == pytest.approx(treated.index.low, abs=0.01)


def test_blinding_by_chance_is_zero_for_any_number_of_arms():
    # Three arms: one guess in three right.
    found = blinding_index([1, -1, -1] * 20, np.arange(60), arms=3)
    assert found.index.value == pytest.approx(0, abs=1e-12)
    assert blinding_index([1] * 5, np.arange(5)).index.reason == "all 5 guessed alike: the index has no variation"
    assert "none of 5 names an arm" in blinding_index([0] * 5, np.arange(5)).shown.reason
    assert blinding_index([], []).shown.reason == "no data"
    with pytest.raises(ValueError, match="verdicts is 2 in row 0"):
        blinding_index([2], [0])
    with pytest.raises(ValueError, match="arms is 1"):
        blinding_index([1], [0], arms=1)


def test_repeated_judgments_are_found_on_either_side():
    # Annotator 0 judges item 0 three times: arm 0 wins twice (once shown right), then a tie; annotator 1 once.
    found = duplicates([0, 0, 0, 1], [0, 0, 0, 0], [0, 1, 0, 0], [1, 0, 1, 1], [1, 0, 0.5, 1])
    assert (found.rows, found.groups, found.repeated) == (4, 1, 2)
    assert found.agreement.pairs == 3
    assert found.agreement.strict.value == pytest.approx(1 / 3)
    assert found.agreement.relaxed.value == 1
    none = duplicates([0, 1], [0, 0], [0, 0], [1, 1], [1, 0])
    assert (none.repeated, none.agreement.strict.reason) == (0, "no unit has two judgments")
    assert duplicates([], [], [], [], []).rows == 0


def test_the_faster_half_is_compared_with_the_slower():
    found = speed([1, 2, 3, 4, 5, 6], [1, 1, 1, 0, 0, 1], [0, 1, 2, 3, 4, 5], [0, 1, 0, 1, 0, 1])
    assert found.median_ms == 3.5
    assert found.faster.shown.value == 1
    assert found.slower.shown.value == pytest.approx(1 / 3)
    assert found.difference.shown.value == pytest.approx(2 / 3)
    assert speed([5, 5], [1, 0], [0, 1], [0, 1]).difference.shown.reason == "no judgment took longer than the median"
    assert speed([], [], [], []).faster.shown.reason == "no data"


def test_the_range_without_each_annotator_names_who_moves_it():
    # Annotator 4: 3 of 3; annotator 7: 0 of 1; annotator 9: 1 of 2. Without 7 it is 4/5, without 4 it is 1/3.
    found = leave_one_out([1, 1, 1, 0, 1, 0], [4, 4, 4, 7, 9, 9])
    assert (found.low, found.without_low) == (pytest.approx(1 / 3), 4)
    assert (found.high, found.without_high) == (pytest.approx(4 / 5), 7)
    assert leave_one_out([1, 0], [2, 2]).reason == "one annotator: nothing is left without them"
    assert leave_one_out([], []).reason == "no data"


def test_a_plan_says_what_the_variance_asks_for():
    # One judgment of each of 40 prompts, half of them won: the variance of a prompt is 0.25 * 40 / 39; +- 0.05 needs
    # 1.96^2 * 0.2564 / 0.0025 = 394 prompts, a few more for t.
    found = more_judgments(np.tile([1.0, 0.0], 20), np.arange(40))
    assert found.now == pytest.approx(2.0226909 * np.sqrt(0.25 / 39), abs=1e-6)
    assert found.prompts + 40 == pytest.approx(397, abs=2)
    assert found.by_prompts == found.prompts
    assert found.overlap_reason.startswith("every prompt was judged once")


def test_a_plan_holds_in_a_simulation():
    generator = np.random.default_rng(5)

    def study(prompts, each):
        own = np.repeat(generator.beta(3, 2, prompts), each)
        return (generator.random(prompts * each) < own).astype(float), np.repeat(np.arange(prompts), each)

    plan = more_judgments(*study(400, 3))
    reached = more_judgments(*study(400 + plan.prompts, 3))
    assert plan.now > 0.03
    assert reached.now <= 0.05 * 1.1
    narrow = more_judgments(*study(400, 3), half_width=0.01)
    assert narrow.by_overlap is None
    assert "400 prompts alone leave ±" in narrow.overlap_reason
    wide = more_judgments(*study(100, 3), half_width=0.055)
    assert wide.per_prompt >= 3
    assert more_judgments(*study(100, int(np.ceil(wide.per_prompt)))).now <= 0.055 * 1.25


def test_what_cannot_be_planned_says_why():
    assert more_judgments([], []).reason == "no data"
    assert more_judgments([1, 0], [0, 0]).reason.startswith("one prompt")
    assert more_judgments([1, 1], [0, 1]).reason.startswith("prompts do not vary yet")
    with pytest.raises(ValueError, match=r"half_width is 0; give a number between 0 and 0\.5"):
        more_judgments([1], [0], half_width=0)


def test_a_million_judgments_take_no_time():
    generator = np.random.default_rng(0)
    n = 1_000_000
    items, people, left = generator.integers(0, 40_000, n), generator.integers(0, 300, n), generator.integers(0, 2, n)
    score, long = generator.choice([0, 0.5, 1], n), generator.poisson(200, n) * 1.0
    started = time.process_time()
    controlled("ab", left, 1 - left, score, long, long[::-1], items, people)
    assert time.process_time() - started < 6
