"""The borrowed summary: the permutation test against exact chances, and a reason wherever there is no number."""

import math
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.provenance.borrowed import borrowed, chance, draw
from app.provenance.presence import holders, units_of
from app.provenance.reading import read
from app.provenance.tokens import TokenRange, place
from app.shift.classes import ShiftClass
from tests.unit.provenance_sets import index_of

SHIFTED, MARGINAL, UNSHIFTED = ShiftClass.SHIFTED, ShiftClass.MARGINAL, ShiftClass.UNSHIFTED


def scored(text, shift=SHIFTED):
    pieces = text.split(" ")
    return place([pieces[0], *(f" {piece}" for piece in pieces[1:])], [shift] * len(pieces))


@given(st.integers(1, 60), st.data())
def test_chance_is_hypergeometric(total, data):
    holding, drawn = data.draw(st.integers(0, total)), data.draw(st.integers(0, total))
    exact = 1 - math.comb(total - holding, drawn) / math.comb(total, drawn)
    assert chance(total, np.array([holding]), drawn) == pytest.approx([exact], abs=1e-12)


def test_chance_by_hand():
    # 1 - C(7,2)/C(10,2) = 1 - 21/45
    assert chance(10, np.array([3]), 2) == pytest.approx([24 / 45])


@pytest.mark.parametrize(("total", "size"), [(5, 4), (30, 3), (2000, 10)])
def test_draws_are_without_replacement_and_even(total, size):
    sets = draw(total, size, draws=4000, seed=1)
    assert sets.shape == (4000, size)
    assert (np.diff(np.sort(sets), axis=1) > 0).all()
    # Each of the first instances is in a draw with chance size/total; six standard errors.
    share = size / total
    seen = (sets < 2).sum() / 2 / 4000
    assert abs(seen - share) < 6 * math.sqrt(share * (1 - share) / 4000)
    assert (sets == draw(total, size, draws=4000, seed=1)).all()


@settings(max_examples=25)
@given(st.data())
def test_the_mean_of_the_draws_is_the_exact_expectation(data):
    letters = st.lists(st.sampled_from(list("abcdefgh")), max_size=4).map(" ".join)
    answers = data.draw(st.lists(letters, min_size=4, max_size=12))
    response = data.draw(st.lists(st.sampled_from(list("abcdefghxy")), min_size=1, max_size=10).map(" ".join))
    k = data.draw(st.integers(1, len(answers) - 1))
    draws = 2000
    with tempfile.TemporaryDirectory() as folder:
        index = index_of(Path(folder), answers)
        rate = borrowed(index, response, scored(response), range(k), draws=draws, seed=3).shifted
    words, sets = response.split(), [set(answer.split()) for answer in answers]
    holding = [sum(word in one for one in sets) for word in words]
    exact = [1 - math.comb(len(sets) - d, k) / math.comb(len(sets), k) for d in holding]
    assert rate.expected == pytest.approx(sum(exact) / len(exact))
    found = sum(any(word in sets[at] for at in range(k)) for word in words)
    assert (rate.tokens, rate.found, rate.share) == (len(words), found, found / len(words))
    # The same draws, counted here: the mean within five standard errors, and p by its definition.
    counts = np.array(
        [sum(any(word in sets[at] for at in row) for word in words) for row in draw(len(sets), k, draws=draws, seed=3)]
    )
    spread = counts.std() / len(words) / math.sqrt(draws)
    assert abs(counts.mean() / len(words) - rate.expected) <= 5 * spread + 1e-12
    assert rate.p == (1 + int((counts >= found).sum())) / (draws + 1)


def test_classes_are_counted_apart(tmp_path):
    index = index_of(tmp_path, ["alpha beta", "gamma", "delta", "epsilon"])
    text = "alpha gamma, delta!"
    tokens = place(["alpha", " gamma", ",", " delta", "!"], [SHIFTED, MARGINAL, SHIFTED, UNSHIFTED, SHIFTED])
    found = borrowed(index, text, tokens, [0])
    # Marks hold no word, so they are no token of any rate.
    assert (found.shifted.tokens, found.shifted.share, found.shifted.expected) == (1, 1.0, 0.25)
    assert (found.moved.tokens, found.moved.share, found.moved.expected) == (2, 0.5, 0.25)
    assert (found.unshifted.tokens, found.unshifted.share) == (1, 0.0)
    assert (found.neighbours, found.instances, found.draws, found.seed) == (1, 4, 200, 0)


def test_content_leaves_out_common_words(tmp_path):
    index = index_of(tmp_path, [f"the w{n}" for n in range(30)])
    found = borrowed(index, "the w3", scored("the w3"), [0, 1])
    assert (found.shifted.tokens, found.shifted.share) == (2, 0.5)
    assert (found.shifted_content.tokens, found.shifted_content.share) == (1, 0.0)
    assert found.shifted_content.expected == pytest.approx(2 / 30)


def test_part_of_a_word_is_held_by_words_with_the_part(tmp_path):
    index = index_of(tmp_path, ["the supermarket", "a market", "no mark", "superb"])
    text = "hypermarket mar"
    tokens = place(["hyper", "market", " mar"], [SHIFTED] * 3)
    hyper, market, mar = units_of(read(index, text), tokens)
    assert (market.form, market.part, mar.part) == ("hypermarket", (5, 11), None)
    assert set(holders(index, hyper).tolist()) == set()
    assert set(holders(index, market).tolist()) == {0, 1}
    assert set(holders(index, mar).tolist()) == set()


def test_a_token_over_two_words_counts_for_the_longer(tmp_path):
    index = index_of(tmp_path, ["x"])
    units = units_of(read(index, "to supper"), [TokenRange(0, 9, SHIFTED)])
    assert [unit.form for unit in units] == ["supper"]


def test_all_turns_of_an_instance_are_its_answers(tmp_path):
    index = index_of(tmp_path, [("alpha", "beta"), "gamma", "delta"])
    assert borrowed(index, "beta", scored("beta"), [0]).shifted.found == 1


@pytest.mark.parametrize(
    ("text", "tokens", "positions", "reason"),
    [
        ("", (), [0], "The response is empty."),
        (" \n", (), [0], "The response is empty."),
        ("alpha", (), [0], "no token classes"),
        ("alpha", scored("alpha"), [], "No instance"),
        ("alpha", scored("alpha"), [0, 1, 2], "3 instances, too few to draw 3"),
        ("alpha", scored("alpha", UNSHIFTED), [0], "no shifted token"),
        ("!!", scored("!!"), [0], "no shifted token"),
    ],
)
def test_without_a_number_there_is_a_reason(tmp_path, text, tokens, positions, reason):
    rate = borrowed(index_of(tmp_path, ["alpha", "beta", "gamma"]), text, tokens, positions).shifted
    assert (rate.share, rate.expected, rate.p) == (None, None, None)
    assert reason in rate.reason
