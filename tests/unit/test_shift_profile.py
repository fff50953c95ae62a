"""Measures along a response, and KL added up."""

import math

from hypothesis import given
from hypothesis import strategies as st

from app.shift.measures import BY_NAME
from app.shift.profile import cumulative, profile
from tests.unit.test_shift_measures import token


def test_a_profile_has_a_place_for_every_token() -> None:
    tokens = [token(kl_tuned_base=0.25), None, token(kl_tuned_base=None), token(kl_tuned_base=1.0)]
    assert profile(tokens, BY_NAME["kl_tuned_base"]) == (0.25, None, None, 1.0)
    assert profile([], BY_NAME["kl_tuned_base"]) == ()


def test_sums_wait_for_the_first_value_and_pass_over_missing_ones() -> None:
    # 0.25; 0.25 + nothing; 0.25 + 1.0
    assert cumulative((None, 0.25, None, 1.0)) == (None, 0.25, 0.25, 1.25)
    assert cumulative(()) == ()
    assert cumulative((None,)) == (None,)


@given(st.lists(st.none() | st.floats(0, 50), max_size=300))
def test_the_last_sum_is_the_sum_of_what_is_known_and_none_falls(values: list[float | None]) -> None:
    sums = cumulative(values)
    known = [value for value in values if value is not None]
    assert len(sums) == len(values)
    rising = [number for number in sums if number is not None]
    assert rising == sorted(rising)
    if known:
        assert math.isclose(rising[-1], math.fsum(known), rel_tol=1e-12, abs_tol=1e-12)
