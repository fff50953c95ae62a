"""Bradley-Terry against textbooks, evalica's food data, an optimiser of scipy, and what must hold of any data."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from app.stats import bt_fit
from app.stats.bradley_terry import average_win_rates, bradley_terry, elo, p_rank, soft, win_table
from tests.unit.stats_studies import SEEDS, judgments

# Agresti, Categorical Data Analysis, 2nd ed., table 10.10: American League 1987. Wins at home and away of each ordered
# pair of teams, home team first, teams as listed.
TEAMS = ("Milwaukee", "Detroit", "Toronto", "New York", "Boston", "Cleveland", "Baltimore")
GAMES = """
4-3 4-2 4-3 6-1 4-2 6-0
3-3 4-2 4-3 6-0 6-1 4-3
2-5 4-3 2-4 4-3 4-2 6-0
3-3 5-1 2-5 4-3 4-2 6-1
5-1 2-5 3-3 4-2 5-2 6-0
2-5 3-3 3-4 4-3 4-2 2-4
2-5 1-5 1-6 2-4 1-6 3-4
"""
# evalica's food.csv: thirty comparisons, left, right, winner by letters (Burger, pAsta, piZza, Sushi, Tacos; = tie).
FOOD = ("Burger", "Pasta", "Pizza", "Sushi", "Tacos")
FOOD_ROWS = """
ZSl BAr TZl STr BZl ASr TBl ZA= SBr ATl BSr TZl SA= BTl ZBr ATr BSr TAl ZTr SBl AZr BSr TAl ZSl SBr ATr TZl BAr STl ZBr
"""


def baseball():
    """Home teams stand left: wins of the left team, wins of the right team, `[7, 7]` each."""
    left_wins, right_wins = np.zeros((7, 7)), np.zeros((7, 7))
    for home, line in enumerate(GAMES.split("\n")[1:-1]):
        away = [at for at in range(7) if at != home]
        for at, game in zip(away, line.split(), strict=True):
            left_wins[home, at], right_wins[home, at] = map(int, game.split("-"))
    return left_wins, right_wins


def food():
    at = {"B": 0, "A": 1, "Z": 2, "S": 3, "T": 4}
    rows = FOOD_ROWS.split()
    score = [{"l": 1.0, "=": 0.5, "r": 0.0}[row[2]] for row in rows]
    return [at[row[0]] for row in rows], [at[row[1]] for row in rows], score


def slow_fit(left_wins, right_wins, *, position):
    """Maximise the likelihood with a general optimiser, cell by cell."""
    arms = len(left_wins)

    def cost(free):
        strengths, place = np.append(free[:-1], 0.0), free[-1] if position else 0.0
        edge = strengths[:, None] - strengths[None, :] + place
        return float((left_wins * np.logaddexp(0, -edge) + right_wins * np.logaddexp(0, edge)).sum())

    free = minimize(cost, np.zeros(arms), method="BFGS", options={"gtol": 1e-9}).x
    strengths = np.append(free[:-1], 0.0)
    return strengths - strengths.mean(), free[-1]


def test_baseball_of_1987_without_home_advantage():
    left_wins, right_wins = baseball()
    assert (left_wins + right_wins + (left_wins + right_wins).T)[np.triu_indices(7, 1)].tolist() == [13.0] * 21
    log = bt_fit.fit(left_wins[None], right_wins[None], position=False)[0][0]
    # Logits against Baltimore, and their standard errors.
    assert (log - log[6])[:6] == pytest.approx([1.5814, 1.4364, 1.2945, 1.2476, 1.1077, 0.6839], abs=5e-5)
    spread = bt_fit.covariance(log, 0.0, left_wins + right_wins, with_position=False)
    errors = [np.sqrt(spread[at, at] + spread[6, 6] - 2 * spread[at, 6]) for at in range(6)]
    assert (round(errors[0], 3), round(errors[5], 3)) == (0.343, 0.332)
    assert [round(error, 1) for error in errors] == [0.3] * 6


def test_baseball_of_1987_with_home_advantage():
    # Agresti's table 10.11, column 5, and BradleyTerry2's at.home = 0.302.
    log, place = bt_fit.fit(*(table[None] for table in baseball()), position=True)
    assert place[0] == pytest.approx(0.302, abs=5e-4)
    assert np.sort(soft(log[0])) == pytest.approx([0.044, 0.088, 0.137, 0.157, 0.164, 0.190, 0.220], abs=5e-4)


def test_food_as_evalica_has_it():
    left, right, score = food()
    found = bradley_terry(FOOD, left, right, score, np.arange(30), draws=200)
    strengths = {name: one.value for name, one in zip(FOOD, found.strengths, strict=True)}
    # evalica stops at 1e-6; the maximum itself is given to more digits here.
    assert strengths == pytest.approx(
        {
            "Tacos": 0.43428982771223773,
            "Sushi": 0.19060028489839073,
            "Burger": 0.14797665121689418,
            "Pasta": 0.1281534106031957,
            "Pizza": 0.09897982556928168,
        },
        abs=1e-9,
    )
    assert sum(strengths.values()) == pytest.approx(1, abs=1e-12)
    assert sum(one.value for one in found.log_strengths) == pytest.approx(0, abs=1e-12)
    ratings = dict(zip(FOOD, elo(5, left, right, score), strict=True))
    assert ratings["Tacos"] == pytest.approx(1013.3587771887543, abs=1e-9)
    assert ratings["Pizza"] == pytest.approx(992.325764574259, abs=1e-9)
    # evalica's win rate is the mean over opponents; of Tacos 1/2, 4/5, 4/4 and 1/2.
    table = win_table(np.array(left), np.array(right), np.array(score), 5)
    assert average_win_rates(table) == pytest.approx((0.4583333333, 0.425, 0.4375, 0.4791666667, 0.7), abs=1e-9)
    # Some draws of so few comparisons are separated; they are regularised and counted.
    assert 0 < found.regularised < 20


@settings(max_examples=200, deadline=None)
@given(judgments(arms=4), st.booleans())
def test_an_optimiser_of_scipy_finds_the_same_maximum(study, position):
    left, right, score, _, _ = study
    left_wins, right_wins = np.zeros((4, 4)), np.zeros((4, 4))
    np.add.at(left_wins, (left, right), score)
    np.add.at(right_wins, (left, right), 1 - score)
    log, place = bt_fit.fit(left_wins[None], right_wins[None], position=position)
    graph = bt_fit.graph_of(left_wins + right_wins.T)
    if not position:
        assert np.isfinite(log).all() == graph.fits
    assume(np.isfinite(log).all() and np.abs(log).max() < 6)
    theirs, their_place = slow_fit(left_wins, right_wins, position=position)
    assert log[0] == pytest.approx(theirs, abs=2e-4)
    if position:
        assert place[0] == pytest.approx(their_place, abs=2e-4)


@settings(max_examples=200, deadline=None)
@given(judgments(arms=4))
def test_it_refuses_exactly_when_wins_do_not_lead_from_every_arm_to_every_other(study):
    left, right, score, items, _ = study
    table = win_table(left, right, score, 4)
    reach = (table > 0) | np.eye(4, dtype=bool)
    for over in range(4):
        reach |= reach[:, over : over + 1] & reach[over : over + 1, :]
    found = bradley_terry("abcd", left, right, score, items, draws=20)
    assert (found.reason == "") == bool(reach.all())
    assert all((one.value is None) == bool(found.reason) for one in found.strengths)


@settings(max_examples=100, deadline=None)
@given(judgments(arms=3), SEEDS)
def test_names_and_the_order_of_rows_do_not_matter_and_sides_mirror(study, seed):
    left, right, score, items, _ = study
    found = bradley_terry("abc", left, right, score, items, draws=50)
    assume(not found.reason)
    turn = np.random.default_rng(seed).permutation(3)
    names = ["", "", ""]
    for old, new in enumerate(turn):
        names[new] = "abc"[old]
    renamed = bradley_terry(names, turn[left], turn[right], score, items, draws=50)
    for old, new in enumerate(turn):
        assert renamed.strengths[new].value == pytest.approx(found.strengths[old].value, abs=1e-9)
    shuffled = np.random.default_rng(seed).permutation(len(left))
    again = bradley_terry("abc", left[shuffled], right[shuffled], score[shuffled], items[shuffled], draws=50)
    assert again == found
    mirrored = bradley_terry("abc", right, left, 1 - score, items, draws=50)
    assert [one.value for one in mirrored.strengths] == pytest.approx([one.value for one in found.strengths], abs=1e-9)
    if found.position.value is not None:
        assert mirrored.position.value == pytest.approx(-found.position.value, abs=1e-7)


@settings(max_examples=100, deadline=None)
@given(judgments(arms=3))
def test_a_win_more_makes_an_arm_stronger(study):
    left, right, score, items, _ = study
    found = bradley_terry("abc", left, right, score, items, draws=2)
    assume(not found.reason)
    more = [np.append(left, 0), np.append(right, 1), np.append(score, 1.0), np.append(items, 0)]
    after = bradley_terry("abc", *more, draws=2)
    assert after.strengths[0].value > found.strengths[0].value
    assert after.strengths[1].value < found.strengths[1].value


@settings(max_examples=100, deadline=None)
@given(judgments(arms=4))
def test_a_table_of_wins_and_its_mirror_hold_every_judgment(study):
    left, right, score, _, _ = study
    table = win_table(left, right, score, 4)
    met = table + table.T
    assert np.array_equal(met, met.T)
    assert met.sum() == 2 * len(left)


def test_what_cannot_be_fitted_is_told_in_words_and_lists():
    apart = bradley_terry(["base", "lft", "sft", "x"], [0, 1, 2, 3], [1, 0, 3, 2], [1, 1, 1, 0], [0, 1, 2, 3])
    assert apart.reason == "disconnected: no comparison links {base, lft} and {sft, x}"
    assert apart.parts == (("base", "lft"), ("sft", "x"))
    assert apart.strengths[0].value is None
    won = bradley_terry(["base", "lft", "sft"], [0, 1, 2], [1, 2, 0], [0, 1, 0], [0, 1, 2])
    assert won.undefeated == ("lft",)
    assert won.winless == ("sft",)
    assert won.reason == (
        "separated: lft never lost to the others and sft never won against the others, so no finite strength tells how "
        "far apart they are"
    )
    unseen = bradley_terry(["a", "b", "c"], [0, 1], [1, 0], [1, 1], [0, 1])
    assert unseen.parts == (("a", "b"), ("c",))
    assert bradley_terry(["a", "b"], [], [], [], []).reason == "no data"
    with pytest.raises(ValueError, match="row 1 compares b with itself"):
        bradley_terry(["a", "b"], [0, 1], [1, 1], [1, 1], [0, 1])
    with pytest.raises(ValueError, match="left is 2 in row 0; the 2 arms are numbered from 0"):
        bradley_terry(["a", "b"], [2], [1], [1], [0])


def test_ties_alone_make_everyone_equal():
    found = bradley_terry(["a", "b"], [0, 1, 0], [1, 0, 1], [0.5, 0.5, 0.5], [0, 1, 2])
    assert [one.value for one in found.strengths] == [0.5, 0.5]
    assert found.strengths[0].reason.startswith("no variation between the 3 prompts")
    assert found.p_rank == ((0.5, 0.5), (0.5, 0.5))


def test_position_needs_arms_that_change_sides():
    left, right = np.zeros(40, int), np.ones(40, int)
    score = np.tile([1.0, 1, 0, 0.5], 10)
    fixed = bradley_terry(["a", "b"], left, right, score, np.arange(40), draws=50)
    assert fixed.position.value is None
    assert "too few arms changed sides" in fixed.position.reason
    assert fixed.adjusted == ()
    assert fixed.strengths[0].value == pytest.approx(25 / 40, abs=1e-9)
    # 30 of 40 for the left, whoever stands there: the strengths are equal, position is log 3.
    turned = np.arange(40) % 2
    score = np.tile([1.0, 1, 1, 1, 1, 1, 0, 0], 5)
    found = bradley_terry(["a", "b"], turned, 1 - turned, score, np.arange(40))
    assert found.position.value == pytest.approx(np.log(3), abs=1e-9)
    assert found.position.low < np.log(3) < found.position.high
    assert found.adjusted == pytest.approx((0, 0), abs=1e-9)


def test_ranks_are_shares_of_draws():
    assert p_rank(np.array([[1.0, 0.0], [2.0, 1.0], [0.0, 1.0], [3.0, 3.0]])) == ((0.625, 0.375), (0.375, 0.625))
    assert p_rank(np.zeros((0, 2))) == ()


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    # Prompts favour arms by normal effects of their own; the truth is the maximum over very many prompts.
    generator = np.random.default_rng(11)
    truth, n = np.array([0.5, 0.0, -0.5]), 120
    prompts = np.repeat(np.arange(40), 3)

    def study(count, item):
        left = generator.integers(0, 3, count)
        right = (left + generator.integers(1, 3, count)) % 3
        own = truth + generator.normal(scale=0.5, size=(item.max() + 1, 3))
        edge = own[item, left] - own[item, right]
        return left, right, (generator.random(count) < 1 / (1 + np.exp(-edge))).astype(float), item

    many = study(600_000, np.repeat(np.arange(200_000), 3))
    true = [one.value for one in bradley_terry("abc", *many, draws=2).log_strengths]
    hits = 0
    for _ in range(100):
        found = bradley_terry("abc", *study(n, prompts), draws=400)
        hits += sum(one.low <= value <= one.high for one, value in zip(found.log_strengths, true, strict=True))
    assert 0.90 <= hits / 300 <= 0.99
