"""The table of measures: values by hand, levels by their edges, colours that black text can be read on."""

import itertools
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.settings import ROOT
from app.shift.measures import BY_NAME, MEASURES, css_class, edges, legend, level, value, words
from app.shift.trace import TokenShift

NAMES = [
    "shift_class",
    "base_rank",
    "logprob_difference",
    "kl_tuned_base",
    "kl_base_tuned",
    "base_entropy",
    "tuned_entropy",
    "surprisal",
    "top_k_overlap",
]


def token(**over: object) -> TokenShift:
    values = {
        "id": 5,
        "base_rank": 12,
        "base_logprob": -3.5,
        "tuned_rank": 1,
        "tuned_logprob": -0.25,
        "kl_tuned_base": 0.5,
        "kl_base_tuned": 0.75,
        "ties": 0,
        "near_border": False,
        "base_entropy": 2.0,
        "tuned_entropy": 1.0,
        "top_base": tuple((number, -1.0) for number in range(10)),
        "top_tuned": tuple((number, -1.0) for number in range(4, 14)),
    }
    return TokenShift(**(values | over))


def test_every_measure_of_a_token_by_hand() -> None:
    assert [measure.name for measure in MEASURES] == NAMES
    assert {name: value(BY_NAME[name], token()) for name in NAMES} == {
        "shift_class": 2.0,
        "base_rank": 12.0,
        # The tuned -0.25 less the base's -3.5.
        "logprob_difference": 3.25,
        "kl_tuned_base": 0.5,
        "kl_base_tuned": 0.75,
        "base_entropy": 2.0,
        "tuned_entropy": 1.0,
        "surprisal": 0.25,
        # 0..9 and 4..13 share 4..9: 6 of 14.
        "top_k_overlap": 6 / 14,
    }


def test_overlap_looks_at_ten_of_longer_lists() -> None:
    base = tuple((number, -1.0) for number in range(100))
    tuned = tuple((number, -1.0) for number in range(99, -1, -1))
    assert value(BY_NAME["top_k_overlap"], token(top_base=base, top_tuned=tuned)) == 0


@pytest.mark.parametrize(
    ("name", "over"),
    [
        ("logprob_difference", {"base_logprob": None}),
        ("kl_tuned_base", {"kl_tuned_base": None}),
        ("base_entropy", {"base_entropy": None}),
        ("top_k_overlap", {"top_base": ()}),
    ],
)
def test_what_does_not_exist_is_missing_and_never_zero(name: str, over: dict[str, object]) -> None:
    measure = BY_NAME[name]
    missing = value(measure, token(**over))
    assert missing is None
    assert level(measure, missing) is None
    assert css_class(measure, None) == "heat-missing"
    assert words(measure, None) == measure.missing == legend(measure)[-1].words != ""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # Half decades from 1: 1, 3.2, 10, 32, 100, 316, 1,000, 3,162.
        ("base_rank", {1: 0, 2: 1, 3: 1, 4: 2, 10: 2, 11: 3, 31: 3, 32: 4, 100: 4, 1_000: 6, 3_163: 8, 49_152: 8}),
        # Doubling from 0.05.
        ("kl_tuned_base", {0.0: 0, 0.05: 0, 0.051: 1, 0.1: 1, 0.2: 2, 0.21: 3, 1.6: 5, 1.7: 6, 6.4: 7, 6.5: 8, 60: 8}),
        # Doubling from 0.5, both ways.
        ("logprob_difference", {0: 0, 0.5: 0, -0.5: 0, 0.6: 1, -0.6: -1, 1.1: 2, -2.1: -3, 4.1: 4, -99: -4}),
        # Steps of 0.5.
        ("surprisal", {0.0: 0, 0.01: 1, 0.5: 1, 0.51: 2, 3.5: 7, 3.51: 8, 50: 8}),
        # Eighths, darker towards 0.
        ("top_k_overlap", {1.0: 0, 0.99: 1, 0.875: 1, 0.5: 4, 0.25: 6, 0.0: 8}),
        ("shift_class", {0: 0, 1: 1, 2: 2}),
    ],
)
def test_a_level_holds_what_is_above_its_edge(name: str, expected: dict[float, int]) -> None:
    assert {number: level(BY_NAME[name], number) for number in expected} == expected


@given(st.sampled_from(MEASURES[1:]), st.floats(-100, 100), st.floats(-100, 100))
def test_levels_keep_the_order_of_values(measure, one: float, other: float) -> None:
    low, high = sorted((one, other))
    if measure.scale == "unit":
        low, high = (min(1, abs(number) / 100) for number in (low, high))
        low, high = max(low, high), min(low, high)
    elif not measure.diverging:
        low, high = sorted((abs(low), abs(high)))
    first, last = level(measure, low), level(measure, high)
    assert first is not None
    assert last is not None
    assert first <= last
    assert {first, last} <= set(range(-4, 5) if measure.diverging else range(9))


@pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: measure.name)
def test_the_legend_says_every_level_once_and_the_page_has_its_colour(measure) -> None:
    styles = "".join((ROOT / "static" / name).read_text() for name in ("app.css", "explore.css", "explore-tokens.css"))
    steps = legend(measure)
    assert len({step.words for step in steps}) == len({step.css for step in steps}) == len(steps)
    plain = {"heat-0", "shift-unshifted"}
    assert all(f".{step.css} {{" in styles for step in steps if step.css not in plain)
    assert list(edges(measure)) == sorted(edges(measure))


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2)."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_black_text_is_readable_on_every_level_and_levels_get_darker() -> None:
    styles = (ROOT / "static" / "explore-tokens.css").read_text()
    colours = dict(re.findall(r"^ +\.((?:heat|div)-\w+) \{ background: (#\w{6}); \}$", styles, re.MULTILINE))
    assert len(colours) == 16
    for start in ("heat-", "div-p", "div-n"):
        ramp = [(luminance(colours[name]) + 0.05) / 0.05 for name in sorted(colours) if name.startswith(start)]
        assert min(ramp) >= 7
        assert all(lighter / darker > 1.1 for lighter, darker in itertools.pairwise(ramp))


@pytest.mark.parametrize(
    ("name", "number", "kind", "said"),
    [
        ("base_rank", 12_345.0, "exact", "12,345"),
        ("kl_tuned_base", 0.5, "exact", "0.500 nats"),
        ("kl_tuned_base", 0.5, "lower_bound", "≥ 0.500 nats"),
        ("surprisal", 0.5, "lower_bound", "0.500 nats"),
        ("logprob_difference", 1.5, "exact", "+1.500 nats"),
        ("logprob_difference", -1.5, "exact", "\N{MINUS SIGN}1.500 nats"),
        ("top_k_overlap", 6 / 14, "exact", "0.43"),
        ("shift_class", 1.0, "exact", "marginal"),
    ],
)
def test_values_are_written_with_sign_unit_and_bound(name: str, number: float, kind, said: str) -> None:
    assert words(BY_NAME[name], number, kind) == said


def test_edges_are_even_in_their_own_scale() -> None:
    ratios = [after / before for before, after in itertools.pairwise(edges(BY_NAME["base_rank"]))]
    assert all(math.isclose(ratio, math.sqrt(10), rel_tol=1e-9) for ratio in ratios)
