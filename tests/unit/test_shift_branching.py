"""Heals, diverges or partly: examples worked by hand, and what must hold for any two continuations."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.shift.branching import (
    HEALED_AT,
    MAX_WINDOW,
    REJOIN_RUN,
    Agreement,
    Continuation,
    Rejoin,
    Verdict,
    agreement,
    compare,
    find_rejoin,
    lcs_length,
)

EOS = 0
IDS = st.lists(st.integers(0, 6), max_size=24).map(tuple)
SIDES = st.builds(Continuation, IDS, st.booleans())
WINDOWS = st.integers(1, 40)


def said(text: str, *, ended: bool = False) -> Continuation:
    """One id per character; an answer that ended has its end-of-sequence id."""
    return Continuation((*map(ord, text), *([EOS] if ended else [])), ended)


def test_an_inserted_word_heals():
    # original   abcdefghijkl   branch   Xabcdefghijkl: both are cut off, the original first, after 12 ids.
    # Window 12: abcdefghijkl against Xabcdefghijk share abcdefghijk, 11 ids; 2 * 11 / (12 + 12) = 11/12.
    # From id 1 of the branch and id 0 of the original all 12 ids agree.
    found = compare(said("abcdefghijkl"), said("Xabcdefghijkl"), window=32)
    assert found.verdict is Verdict.HEALS
    assert found.agreement == Agreement(shared=11, original=12, branch=12)
    assert found.agreement.share == pytest.approx(11 / 12)
    assert found.rejoin == Rejoin(branch=1, original=0)
    assert found.after == Agreement(shared=12, original=12, branch=12)


def test_other_words_diverge():
    # abcdefghij and zyxwcvuteq share c and e in that order: 2 * 2 / 20 = 0.2, below one half.
    found = compare(said("abcdefghij"), said("zyxwcvuteq"))
    assert (found.verdict, found.rejoin, found.after) == (Verdict.DIVERGES, None, None)
    assert found.agreement.share == pytest.approx(0.2)


def test_half_of_the_words_without_a_run_is_partly():
    # abcdefgh against aXcXeXgX share a c e g: 2 * 4 / 16 = 0.5, not below one half; no run of eight.
    found = compare(said("abcdefgh"), said("aXcXeXgX"))
    assert (found.verdict, found.agreement.share, found.rejoin) == (Verdict.PARTLY, 0.5, None)


def test_rejoining_and_leaving_again_is_partly():
    # Eight ids agree, then none of the next twelve: after = 2 * 8 / (20 + 20) = 0.4.
    found = compare(said("abcdefghijklmnopqrst"), said("abcdefgh" + "X" * 12))
    assert (found.verdict, found.rejoin) == (Verdict.PARTLY, Rejoin(0, 0))
    assert found.after.share == pytest.approx(0.4)


def test_the_run_has_exactly_eight_ids():
    original = said("abcdefghijklmnop")
    assert find_rejoin(original, said("XX" + "abcdefgX" + "YYYYYY"), window=32) is None
    assert find_rejoin(original, said("XX" + "abcdefgh" + "YYYYYY"), window=32) == Rejoin(branch=2, original=0)
    assert REJOIN_RUN == 8


def test_a_rejoin_beyond_the_window_does_not_count():
    original, late = said("abcdefghijkl"), said("X" * 5 + "abcdefghijkl")
    assert find_rejoin(original, late, window=5) is None
    assert find_rejoin(original, late, window=6) == Rejoin(branch=5, original=0)


def test_the_nearest_offset_wins_where_the_original_repeats_itself():
    # The branch's run from 2 on occurs in the original at 0 and at 8; |0 - 2| = 2 is nearer than |8 - 2| = 6.
    assert find_rejoin(said("abcdefghabcdefgh"), said("XXabcdefghY"), window=32) == Rejoin(branch=2, original=0)


def test_a_cut_branch_is_compared_as_far_as_it_goes():
    # Ten ids of the branch, all as in the original, then max tokens: nothing is known to differ.
    found = compare(said("abcdefghijklmnop", ended=True), said("abcdefghij"))
    assert (found.verdict, found.agreement) == (Verdict.HEALS, Agreement(10, 10, 10))


def test_a_branch_that_goes_on_where_the_original_ended_differs_there():
    # abcd + end against abcdefghijkl: shared abcd; 2 * 4 / (5 + 12) = 8/17.
    found = compare(said("abcd", ended=True), said("abcdefghijkl"))
    assert found.agreement == Agreement(4, 5, 12)
    assert found.verdict is Verdict.DIVERGES


def test_short_answers_that_end_alike_heal_and_a_shared_full_stop_is_not_enough():
    # cd. + end is a run of four that reaches both ends; the longer side has 6 ids, and 4 >= 3.
    assert compare(said("bcd.", ended=True), said("XYcd.", ended=True)).rejoin == Rejoin(branch=2, original=1)
    # . + end is a run of two; the longer side has 6 ids, and 2 < 3.
    assert compare(said("abcd.", ended=True), said("wxyz.", ended=True)).rejoin is None


@pytest.mark.parametrize(("original", "branch"), [("", "abc"), ("abc", ""), ("", "")])
def test_nothing_to_compare_is_said_so(original, branch):
    found = compare(said(original), said(branch))
    assert (found.verdict, found.agreement, found.rejoin) == (Verdict.UNKNOWN, None, None)


def brute_force_lcs(left, right) -> int:
    for size in range(min(len(left), len(right)), 0, -1):
        chosen = set(itertools.combinations(left, size))
        if any(some in chosen for some in itertools.combinations(right, size)):
            return size
    return 0


@given(st.lists(st.integers(0, 3), max_size=8), st.lists(st.integers(0, 3), max_size=8))
def test_the_subsequence_is_the_longest(left, right):
    assert lcs_length(left, right) == brute_force_lcs(left, right) == lcs_length(right, left)


@given(SIDES, SIDES, WINDOWS)
def test_agreement_is_a_share_and_symmetric(original, branch, window):
    there, back = agreement(original, branch, window=window), agreement(branch, original, window=window)
    if there is None:
        assert back is None
        return
    assert 0 <= there.share <= 1
    assert there.share == back.share
    assert max(there.original, there.branch) <= window


@given(SIDES.filter(lambda side: side.ids), WINDOWS)
def test_the_same_continuation_agrees_wholly_and_heals_where_a_run_fits(side, window):
    found = compare(side, side, window=window)
    assert found.agreement.share == 1
    assert found.verdict is (Verdict.HEALS if len(side.ids) >= REJOIN_RUN or side.ended else Verdict.PARTLY)


@given(SIDES, SIDES, WINDOWS)
def test_a_rejoin_is_what_it_says(original, branch, window):
    found = find_rejoin(original, branch, window=window)
    if found is None:
        return
    assert found.branch < window
    assert found.original < window
    ours, theirs = original.ids[found.original :], branch.ids[found.branch :]
    run = next((n for n, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), min(len(ours), len(theirs)))
    assert run >= REJOIN_RUN or (original.ended and branch.ended and len(ours) == len(theirs) == run)


@given(st.lists(st.integers(1, 9), min_size=16, max_size=40), st.lists(st.integers(10, 19), max_size=6))
def test_words_put_in_before_the_same_continuation_heal(ids, inserted):
    found = compare(Continuation(tuple(ids), False), Continuation((*inserted, *ids), False), window=MAX_WINDOW)
    assert found.verdict is Verdict.HEALS
    assert found.after.share >= HEALED_AT
