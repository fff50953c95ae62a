from hypothesis import given
from hypothesis import strategies as st

from app.find.columns import BY_NAME, COLUMNS, bound, words
from app.find.histogram import HEIGHT, WIDTH, histogram

NUMBERS = st.lists(st.floats(-50, 50), min_size=1, max_size=40)


@given(st.sampled_from(COLUMNS), NUMBERS, st.data())
def test_every_value_is_in_one_bar_and_every_hit_in_its_own(column, values, data):
    if column.scale == "share":
        values = [abs(value) / 50 for value in values]
    if column.whole:
        values = [float(round(abs(value))) for value in values]
    hits = data.draw(st.lists(st.sampled_from(values)))
    chart = histogram(column, values, hits)
    assert sum(bin_.count for bin_ in chart.bins) == len(values)
    assert sum(bin_.hits for bin_ in chart.bins) == len(hits)
    assert all(0 <= tick <= WIDTH for tick in chart.ticks)
    assert all(0 <= bin_.height <= HEIGHT for bin_ in chart.bins)
    assert bool(chart.ticks) == bool(hits)


def test_no_bar_of_a_signed_measure_mixes_the_signs():
    chart = histogram(BY_NAME["peak_logprob_difference"], [-3.0, -0.01, 0.01, 1.0], [])
    assert [bin_.count for bin_ in chart.bins if bin_.side == "low"][-1] == 1
    assert sum(bin_.count for bin_ in chart.bins if bin_.side == "low") == 2
    assert chart.zero == WIDTH / 2


def test_a_wide_range_is_divided_by_its_logarithm_with_zero_in_a_bar_of_its_own():
    chart = histogram(BY_NAME["mean_kl_tuned_base"], [0.0, 0.0, 0.01, 1.0, 10.0], [])
    assert chart.scale == "logarithmic"
    assert chart.bins[0].count == 2
    assert histogram(BY_NAME["mean_kl_tuned_base"], [1.0, 2.0], []).scale == "linear"


def test_nothing_gives_no_chart():
    assert histogram(COLUMNS[0], [], []) is None


def test_values_and_bounds_are_written_in_the_unit_people_use():
    share, kl, rank = BY_NAME["late_shift_share"], BY_NAME["mean_kl_tuned_base"], BY_NAME["max_base_rank"]
    assert (words(share, 0.125), words(kl, 0.5), words(rank, 12345), words(kl, None)) == (
        "12.5 %",
        "0.500 nats",
        "12,345",
        "none",
    )
    assert words(BY_NAME["peak_logprob_difference"], -2.5) == "\N{MINUS SIGN}2.500 nats"
    assert (bound(share, "12.5 %"), bound(kl, " 0.5 "), bound(kl, "")) == (0.125, 0.5, None)
