"""Win rates and ties, against pandas, statsmodels and arithmetic by hand."""

import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from statsmodels.stats.proportion import proportion_confint

from app.stats.preference import davidson, mean_preference, strength, ties_three_ways, win_rate, without_ties
from app.stats.wilson import wilson
from tests.unit.stats_studies import judgments


@settings(max_examples=200, deadline=None)
@given(judgments())
def test_a_second_implementation_agrees(study):
    _, _, score, items, annotators = study
    found = win_rate(score, items, annotators, draws=200)
    frame = pd.DataFrame({"score": score, "item": items})
    assert found.shown.value == pytest.approx(frame["score"].mean(), abs=1e-12)
    assert (found.wins, found.ties, found.losses) == tuple((score == at).sum() for at in (1, 0.5, 0))
    low, high = proportion_confint(frame["score"].sum(), len(frame), method="wilson")
    assert found.wilson.low == pytest.approx(low, abs=1e-9)
    assert found.wilson.high == pytest.approx(high, abs=1e-9)
    means = mean_preference(score)
    assert means.win_rate == pytest.approx(100 * frame["score"].mean(), abs=1e-9)
    if len(frame) > 1:
        assert means.standard_error == pytest.approx(100 * frame["score"].sem(), abs=1e-9)
    decisive = frame[frame["score"] != 0.5]
    dropped = without_ties(score, items, annotators, draws=200)
    if decisive.empty:
        assert dropped.shown.value is None
        assert "every judgment is a tie" in dropped.shown.reason
    else:
        assert dropped.shown.value == pytest.approx(decisive["score"].mean(), abs=1e-12)
        assert dropped.shown.n == len(decisive)


@settings(max_examples=200, deadline=None)
@given(judgments())
def test_swapping_the_arms_mirrors_the_rate_and_the_order_of_rows_changes_nothing(study):
    _, _, score, items, annotators = study
    found = win_rate(score, items, annotators, draws=100)
    mirrored = win_rate(1 - score, items, annotators, draws=100)
    assert mirrored.shown.value == pytest.approx(1 - found.shown.value, abs=1e-12)
    assert mirrored.wilson.low == pytest.approx(1 - found.wilson.high, abs=1e-12)
    shuffled = np.random.default_rng(0).permutation(len(score))
    assert win_rate(score[shuffled], items[shuffled] + 7, annotators[shuffled], draws=100) == found


def test_wilsons_published_bounds():
    # 2 of 10 and 0 of 10, by the formula; also R's binom.confint(2, 10, methods = "wilson").
    assert wilson(2, 10) == (pytest.approx(0.056682, abs=5e-7), pytest.approx(0.509838, abs=5e-7))
    assert wilson(0, 10) == (0.0, pytest.approx(0.277533, abs=5e-7))


def test_the_wider_interval_is_shown_and_named():
    # Ten prompts of opposite answers, each answered alike by both annotators: prompts vary, annotators do not.
    score = np.repeat([1.0, 0.0], 10)
    prompts, people = np.repeat(np.arange(10), 2), np.tile([0, 1], 10)
    found = win_rate(score, prompts, people)
    assert found.by_annotator.low is None
    assert found.by_annotator.reason.startswith("no variation between the 2 annotators")
    assert found.shown_by == "prompt"
    assert found.shown == found.by_item
    # And turned round: the annotators differ, the prompts do not.
    turned = win_rate(score, people, prompts)
    assert turned.shown_by == "annotator"
    assert turned.shown == turned.by_annotator


def test_each_way_to_have_no_interval_has_its_own_words():
    nobody = win_rate([], [], [])
    assert (nobody.shown.value, nobody.shown.reason, nobody.shown_by) == (None, "no data", "")
    lone = win_rate([1, 0, 1], [0, 0, 0], [0, 1, 2])
    assert lone.by_item.reason == "one prompt: its own variation says nothing of other prompts"
    assert lone.shown_by == "annotator"
    same = win_rate([1, 1, 1], [0, 1, 2], [0, 0, 0])
    assert same.by_item.reason.startswith("no variation between the 3 prompts")
    assert same.by_annotator.reason.startswith("one annotator")
    assert same.shown_by == "wilson"
    # Three of three: Wilson's lower bound is 3 / (3 + 1.96^2) = 0.4385, not 1.
    assert same.shown.low == pytest.approx(3 / (3 + 1.959963984540054**2))


def test_davidson_is_exact_for_two_arms():
    # 6 wins, 3 losses, 4 ties: p1 / p2 = 2, so 2/3; nu = 4 / sqrt(18).
    score = [1.0] * 6 + [0.0] * 3 + [0.5] * 4
    found = davidson(score, np.arange(13), np.arange(13) % 3)
    assert found.win_rate.value == pytest.approx(2 / 3, abs=1e-12)
    assert found.tie.value == pytest.approx(4 / np.sqrt(18), abs=1e-12)
    assert found.win_rate.low < 2 / 3 < found.win_rate.high
    assert "never lost" in davidson([1, 1, 0.5], [0, 1, 2], [0, 1, 2]).win_rate.reason
    assert "never won" in davidson([0, 0.5], [0, 1], [0, 1]).tie.reason
    assert "every judgment is a tie" in davidson([0.5, 0.5], [0, 1], [0, 1]).win_rate.reason


def test_ties_are_read_three_ways_from_the_same_judgments():
    score = [1.0] * 6 + [0.0] * 3 + [0.5] * 4
    found = ties_three_ways(score, np.arange(13), np.arange(13))
    assert found.half.shown.value == pytest.approx(8 / 13)
    assert found.dropped.shown.value == pytest.approx(6 / 9)
    assert found.davidson.win_rate.value == pytest.approx(6 / 9)


def test_strength_is_counted_from_the_strongest_loss_to_the_strongest_win():
    found = strength([3, -1, 0, 0, 2], [0, 1, 2, 3, 4], [0, 0, 0, 1, 1])
    assert found.counts == (0, 0, 1, 2, 0, 1, 1)
    assert found.mean.shown.value == pytest.approx(0.8)
    with pytest.raises(ValueError, match="signed is 4 in row 1; give a whole number from -3 to 3"):
        strength([1, 4], [0, 1], [0, 1])


def test_one_judgment_has_no_standard_error():
    found = mean_preference([1])
    assert (found.win_rate, found.standard_error, found.reason) == (100, None, "one judgment has no standard error")
    assert mean_preference([]).reason == "no data"


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    # 200 studies of 40 prompts x 3 judgments, prompts' own rates Beta(3.5, 1.5) around 0.7; three sd are 4.6 points.
    generator = np.random.default_rng(3)
    prompts = np.repeat(np.arange(40), 3)
    hits = 0
    for _ in range(200):
        own = generator.beta(3.5, 1.5, 40)[prompts]
        found = win_rate((generator.random(120) < own).astype(float), prompts, np.arange(120) % 25, draws=500).by_item
        hits += found.low <= 0.7 <= found.high
    assert 0.90 <= hits / 200 <= 0.99


def test_a_million_judgments_take_no_time():
    generator = np.random.default_rng(0)
    n = 1_000_000
    score, items, people = (
        generator.choice([0, 0.5, 1], n),
        generator.integers(0, 40_000, n),
        generator.integers(0, 300, n),
    )
    win_rate(score[:9], items[:9], people[:9])
    started = time.process_time()
    win_rate(score, items, people)
    assert time.process_time() - started < 4
