"""Profiles, warnings, pace, disagreement: small cases worked out by hand, and what holds of every case."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.monitor.disagreement import disputed as disputed_in
from app.monitor.facts import GoldResult, Vote, is_right
from app.monitor.pace import hours_words, pace_of
from app.monitor.profile import Share, tail, warnings_of
from app.monitor.twins import Account
from app.monitor.twins import find_twins as find_twins_in
from tests.unit.monitor_reference import one_profile as profile_of
from tests.unit.monitor_reference import sheet

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ANSWERS = ("left", "right", "tie_good", "tie_bad", "cannot_judge")


def vote(number=0, preference="left", **over):
    values = {
        "presentation_id": f"p{number}",
        "annotator_id": "u1",
        "item_id": f"i{number}",
        "item_kind": "regular",
        "pair_id": "pair",
        "left_arm_id": "lft",
        "right_arm_id": "sft",
        "left_response_id": "short",
        "right_response_id": "long",
        "preference": preference,
        "active_ms": 40_000,
        "handed_at": NOW,
        "submitted_at": NOW + timedelta(minutes=number),
    }
    return Vote(**values | over)


def votes(answers, *, gap=timedelta(minutes=1), **over):
    return [vote(at, answer, submitted_at=NOW + at * gap, **over) for at, answer in enumerate(answers)]


LENGTHS = {"short": 10, "long": 20}


def disputed(given_):
    made = sheet(given_)
    return disputed_in(made, np.zeros(len(made.columns), dtype=bool), 100)[0]


def find_twins(accounts, given_):
    return find_twins_in(accounts, sheet(given_))


def test_a_profile_by_hand():
    given_ = [
        vote(0, "left", active_ms=10_000),
        vote(1, "right", active_ms=20_000),
        vote(2, "tie_good", active_ms=30_000),
        vote(3, "right", active_ms=60_000, flagged=True),
        vote(4, "cannot_judge", active_ms=1, recognised=True),
    ]
    profile = profile_of(given_, LENGTHS)
    assert profile.n == 4
    # left, right, right: one of three left; the longer response stands right, so two of three chose it.
    assert (profile.left, profile.longer) == (Share(1, 3), Share(2, 3))
    assert profile.ties == Share(1, 4)
    # left to right is a change, right to right is none.
    assert profile.changes == Share(1, 2)
    # Between 20 s and 30 s; the fastest tenth of four is one.
    assert (profile.median_ms, profile.fast_ms) == (25_000, 10_000)
    assert profile.gap_s == 60
    # Shares 1/4, 2/4, 1/4: 2 * 1/4 * 2 bits + 1/2 * 1 bit.
    assert profile.entropy == pytest.approx(1.5)
    assert (profile.skips, profile.flags, profile.recognised) == (1, 1, 1)


def test_gold_counts_in_the_order_of_work_alone_and_practice_nowhere():
    work = [
        vote(0, "left", item_kind="practice"),
        vote(1, "left"),
        vote(2, "right", item_kind="gold", flagged=True),
        vote(4, "left"),
    ]
    profile = profile_of(work, LENGTHS)
    assert (profile.n, profile.left, profile.flags) == (2, Share(2, 2), 0)
    # left, right, left: two changes; one minute and two minutes between submissions.
    assert (profile.changes, profile.gap_s) == (Share(2, 2), 90)


def test_a_profile_of_nothing_has_no_numbers():
    profile = profile_of([], {})
    assert (profile.n, profile.median_ms, profile.fast_ms, profile.gap_s, profile.entropy) == (
        0,
        None,
        None,
        None,
        None,
    )
    assert profile.left.value is None
    assert profile.left.interval is None
    assert warnings_of(profile, GoldResult()) == []


def test_responses_of_one_length_say_nothing_of_length():
    assert profile_of(votes(["left", "right"]), {"short": 5, "long": 5}).longer == Share(0, 0)


def test_an_interval_by_hand():
    low, high = Share(20, 20).interval
    # Wilson at 20 of 20: n / (n + z^2) = 20 / 23.8415.
    assert (low, high) == (pytest.approx(20 / (20 + 1.959963984540054**2)), 1.0)


def test_tails_by_hand():
    # Of 16 outcomes of four coins, 4 have three heads and 1 has four.
    assert tail(3, 4) == 5 / 16
    assert tail(0, 4) == 1
    assert tail(11, 11) == 1 / 2048


NO_GOLD = GoldResult()


def warned(answers, gold=NO_GOLD, **over):
    return " ".join(warnings_of(profile_of(votes(answers, **over), LENGTHS), gold))


def test_always_the_same_answer_is_striking():
    assert warned(["left"] * 8) == "Always answered A: 8 of 8."
    assert warned(["tie_bad"] * 9) == "Always answered tie, both bad: 9 of 9."
    assert warned(["left"] * 7) == ""


def test_nearly_always_one_side_is_striking():
    # 2 * (C(20,18) + C(20,19) + 1) / 2^20 = 2 * 211 / 1,048,576 = 0.0004; with 17 it is 0.0026.
    assert "Chose A in 18 of 20" in warned((["left"] * 9 + ["right"]) * 2)
    assert "Chose B in 18 of 20" in warned((["right"] * 9 + ["left"]) * 2)
    assert warned(["left"] * 9 + ["right"] * 3 + ["left"] * 8) == ""


def test_alternating_is_striking():
    # Ten changes of ten have a chance of 1/1024, eleven of eleven 1/2048.
    assert warned(["left", "right"] * 6) == "Strictly alternates between A and B: changed side 11 of 11 times."
    assert warned(["left", "right"] * 5) == ""


def test_speed_is_striking_by_the_servers_clock_and_by_active_time():
    mixed = ["left", "right", "right", "left", "tie_good"]
    assert "every 1.0 s" in warned(mixed, gap=timedelta(seconds=1))
    assert "1.5 s of active time" in warned(mixed, active_ms=1_500)
    assert warned(mixed[:4], gap=timedelta(seconds=1)) == ""


def test_gold_is_striking_from_two_on_and_a_half_wrong():
    mixed = ["left", "right", "right", "left", "tie_good"]
    assert warned(mixed, GoldResult(4, 2)) == "Gold: 2 of 4 answered otherwise than expected."
    assert warned(mixed, GoldResult(1, 0)) == ""
    assert warned(mixed, GoldResult(4, 3)) == ""


@pytest.mark.parametrize(
    ("preference", "left", "expected", "right"),
    [
        ("left", "good", "better", True),
        ("right", "good", "better", False),
        ("right", "bad", "better", True),
        ("tie_good", "good", "better", False),
        ("cannot_judge", "good", "better", False),
        ("tie_good", "good", "tie_good", True),
        ("tie_bad", "good", "tie_good", False),
        ("tie_bad", "good", "tie_bad", True),
        ("left", "good", "tie_bad", False),
    ],
)
def test_gold_is_right_for_the_arm_and_not_for_the_side(preference, left, expected, right):
    arms = {"left_arm_id": left, "right_arm_id": "bad" if left == "good" else "good"}
    one = vote(0, preference, item_kind="gold", expected=expected, better_arm_id="good", **arms)
    assert is_right(one) is right
    assert sheet([one, vote(1)]).right_answer.tolist() == [right, False]


@given(st.lists(st.sampled_from(ANSWERS), max_size=60))
def test_every_profile_keeps_its_bounds(answers):
    profile = profile_of(votes(answers), LENGTHS)
    assert profile.n + profile.skips == len(answers)
    assert sum(profile.answers.values()) == profile.n
    for share in (profile.left, profile.longer, profile.ties, profile.changes):
        assert 0 <= share.part <= share.whole
        if share.whole:
            low, high = share.interval
            assert 0 <= low <= share.value <= high <= 1
    assert profile.entropy is None or 0 <= profile.entropy <= 2 + 1e-12
    assert len(warnings_of(profile, GoldResult())) <= 2


@given(st.lists(st.sampled_from(ANSWERS), max_size=40))
def test_swapping_sides_swaps_what_is_said_of_them(answers):
    swap = {"left": "right", "right": "left"}
    one = profile_of(votes(answers), LENGTHS)
    other = profile_of(votes([swap.get(answer, answer) for answer in answers]), LENGTHS)
    assert one.left.part + other.left.part == one.left.whole == other.left.whole
    assert one.longer.part + other.longer.part == one.longer.whole
    assert one.changes == other.changes
    assert one.entropy == pytest.approx(other.entropy)


def test_pace_extends_the_last_hour():
    moments = [NOW - timedelta(minutes=minutes) for minutes in (10, 20, 30, 90)]
    pace = pace_of(moments, wanted=9, judged=0, now=NOW)
    # Three an hour, nine to go.
    assert (pace.last_hour, pace.last_day, pace.finish) == (3, 4, NOW + timedelta(hours=3))
    assert pace.words == "If the pace of the last hour holds: 3 an hour, 9 to go, 3 h."


def test_pace_falls_back_on_the_day_and_then_says_that_it_knows_nothing():
    day = [NOW - timedelta(hours=hours) for hours in range(2, 14)]
    pace = pace_of(day, wanted=6, judged=0, now=NOW)
    # Twelve in 24 hours are half a judgment an hour.
    assert (pace.last_hour, pace.last_day, pace.finish) == (0, 12, NOW + timedelta(hours=12))
    assert "pace of the last day holds: 0.5 an hour" in pace.words
    nothing = pace_of([NOW - timedelta(hours=24)], wanted=6, judged=0, now=NOW)
    assert (nothing.finish, nothing.words) == (None, "No judgment in the last day, so there is no estimate.")
    assert pace_of(day, wanted=12, judged=12, now=NOW).words == "Every judgment wanted is there."
    assert pace_of([], wanted=0, judged=0, now=NOW).words == "No judgment is wanted yet."
    far = pace_of([NOW], wanted=10**9, judged=0, now=NOW)
    assert far.finish == NOW + timedelta(days=3650)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59, "59 s"), (60, "1 min"), (3_599, "59 min"), (3_600, "1 h"), (11_100, "3 h 5 min"),
     (172_800, "2 days"), (180_000, "3 days"), (-5, "0 s")],
)  # fmt: skip
def test_spans_are_spelled_the_short_way(seconds, words):
    assert hours_words(timedelta(seconds=seconds)) == words


def case(*answers, item="i"):
    return [
        vote(at, answer, item_id=item, annotator_id=f"u{at}", presentation_id=f"{item}{at}")
        for at, answer in enumerate(answers)
    ]


def test_disagreement_by_hand():
    queue = disputed(
        [
            *case("left", "right", item="opposite"),  # one pair of people, apart: 1
            *case("left", "tie_good", item="half"),  # a half
            *case("left", "left", "right", item="third"),  # two of three pairs apart: 2/3
            *case("left", "left", item="same"),
            *case("tie_good", "tie_bad", item="ties"),  # ties are ties
            *case("left", item="alone"),
            *case("left", "cannot_judge", item="skip"),
        ]
    )
    assert [(one.item_id, one.score) for one in queue] == [
        ("opposite", 1.0),
        ("third", pytest.approx(2 / 3)),
        ("half", 0.5),
    ]
    assert queue[1].outcomes == {"lft": 2, "sft": 1}


def test_the_same_arm_from_another_side_is_agreement():
    first, second = case("left", "right")
    assert disputed([first, replace(second, left_arm_id="sft", right_arm_id="lft")]) == []


def test_practice_and_gold_are_not_disputed():
    assert disputed([replace(one, item_kind="gold") for one in case("left", "right")]) == []


@given(st.lists(st.sampled_from(ANSWERS), max_size=12))
def test_scores_lie_between_none_and_all(answers):
    for one in disputed(case(*answers)):
        assert 0 < one.score <= 1
        assert sum(one.outcomes.values()) == len(one.rows) >= 2
    reversed_ = disputed(case(*reversed(answers)))
    assert [one.score for one in reversed_] == [pytest.approx(one.score) for one in disputed(case(*answers))]


def account(number, **over):
    return Account(
        **{"annotator_id": f"u{number}", "pid": f"a{number}", "name": f"Person {number}", "email": f"p{number}@x.org"}
        | over
    )


def test_two_accounts_of_one_person_are_noticed():
    same_name = [account(1, name="Ann  Lee"), account(2, name="ann lee"), account(3)]
    assert [(pair.first, pair.second, pair.reasons) for pair in find_twins(same_name, [])] == [
        ("a1", "a2", ("the same name",))
    ]
    tagged = [account(1, email="ann.lee@x.org"), account(2, email="AnnLee+2@x.org"), account(3, email="annlee@y.org")]
    assert [(pair.first, pair.second) for pair in find_twins(tagged, [])] == [("a1", "a2")]


def test_the_same_answers_to_many_shared_items_are_noticed():
    people = [account(1), account(2), account(3)]
    answers = ["left", "right", "tie_good", "tie_bad"] * 3
    given_ = [
        replace(one, annotator_id=key, presentation_id=f"{key}{one.presentation_id}")
        for key in ("u1", "u2")
        for one in votes(answers[:10])
    ]
    (pair,) = find_twins(people, given_)
    assert pair.reasons == ("the same answer to all 10 items that both judged",)
    # One fewer is too few, and one other answer is enough to be two people.
    assert find_twins(people, given_[:-1]) == []
    assert find_twins(people, [*given_[:-1], replace(given_[-1], preference="tie_good")]) == []


def test_tails_are_probabilities():
    assert all(math.isclose(tail(k, 9) - tail(k + 1, 9), math.comb(9, k) / 512) for k in range(9))
