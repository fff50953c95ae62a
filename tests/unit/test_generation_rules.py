"""What is said of a run's speed and of the time it will take follows from its clock alone."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.studies.generation_rules import (
    LOST_AFTER,
    Pace,
    is_lost,
    pace,
    rate_words,
    reasons_in_words,
    time_words,
    utc,
)

BEGAN = datetime(2026, 3, 1, 12, tzinfo=UTC)
seconds = st.floats(0.001, 10_000_000)
counts = st.integers(1, 100_000)


def paced(ended, total, elapsed):
    return pace(ended=ended, total=total, began=BEGAN, now=BEGAN + timedelta(seconds=elapsed))


def test_ten_in_a_minute_leave_three_minutes_for_thirty():
    assert paced(10, 40, 60) == Pace(per_minute=10, seconds_left=180)


@pytest.mark.parametrize(("ended", "elapsed"), [(0, 60), (3, 0), (3, -60)])
def test_without_a_first_response_or_with_a_clock_set_back_nothing_is_claimed(ended, elapsed):
    assert paced(ended, 40, elapsed) == Pace(None, None)


@given(total=counts, share=st.floats(0, 1), elapsed=seconds)
def test_the_rest_takes_as_long_for_each_as_the_first_did(total, share, elapsed):
    ended = max(1, round(total * share))
    found = paced(ended, total, elapsed)
    took = (BEGAN + timedelta(seconds=elapsed) - BEGAN).total_seconds()
    assert found.per_minute * took == pytest.approx(60 * ended)
    assert found.seconds_left * ended == pytest.approx((total - ended) * took)


@given(total=st.integers(2, 10_000), elapsed=seconds, data=st.data())
def test_at_one_moment_more_done_never_means_more_time_left(total, elapsed, data):
    fewer = data.draw(st.integers(1, total - 1))
    more = data.draw(st.integers(fewer, total + 5))
    left = [paced(ended, total, elapsed).seconds_left for ended in (fewer, more)]
    assert left[0] >= left[1] >= 0


@given(st.one_of(st.none(), st.floats(0, 10**9)))
def test_times_are_words_without_sixty_minutes_or_twenty_four_hours_left_over(value):
    words = time_words(value).split()
    numbers = dict(zip(words[2::2], map(int, words[1::2]), strict=False)) if words[0] == "about" else {}
    assert numbers.get("min", 0) < (60 if "h" in numbers else 61)
    assert numbers.get("h", 0) < (24 if "d" in numbers else 25)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "no estimate yet"),
        (0, "less than a minute"),
        (59.9, "less than a minute"),
        (60, "about 1 min"),
        (3_599, "about 60 min"),
        (3_600, "about 1 h 0 min"),
        (7_500, "about 2 h 5 min"),
        (90_000, "about 1 d 1 h"),
    ],
)
def test_a_time_is_said_as_people_would(value, words):
    assert time_words(value) == words


def test_a_rate_below_one_a_minute_is_told_by_the_hour():
    assert rate_words(Pace(12.34, 1)) == "12.3 a minute"
    assert rate_words(Pace(0.5, 1)) == "30.0 an hour"
    assert rate_words(Pace(None, None)) == "not known yet"


def test_a_run_is_lost_when_nobody_gave_a_sign_of_life_or_the_clock_was_wrong():
    assert not is_lost(BEGAN, BEGAN + LOST_AFTER)
    assert is_lost(BEGAN, BEGAN + LOST_AFTER + timedelta(seconds=1))
    assert is_lost(BEGAN + timedelta(days=1), BEGAN)
    assert utc(BEGAN.replace(tzinfo=None)) == utc(BEGAN) == BEGAN


def test_each_reason_is_said_once_the_most_frequent_first():
    assert reasons_in_words(["a.", "b.", "b.", "c.", "d.", "e."]) == "b. (2 times) a. c. And 2 other reasons."
    assert reasons_in_words(["a.", "b.", "c.", "d."]) == "a. b. c. And 1 other reason."
    assert reasons_in_words(["a."]) == "a."
