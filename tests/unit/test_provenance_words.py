"""What a symbol is, what folding forgets, and that offsets always point into the text as it was given."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.provenance.words import CHARACTER, MARK, WORD, bounds, fold, split, surfaces, visible, weigh

# One character of every kind the splitter treats apart, so that short texts meet their borders.
KINDS = st.sampled_from(
    list(
        "ab 'A1_.,\u2019\u2018é\u0301\u200d\u200cم中ガｶ\uff9e👩👍🏽\ufe0fאבไย\u3000\xa0\n\r\x00\x1c\u2028٣…“\u00ad①½日"
    )
)


def forms(text):
    return [symbol.form for symbol in split(text)]


@given(st.text(KINDS) | st.text())
def test_the_fast_way_to_split_is_the_exact_one(text):
    exact = [visible(text)[start:end] for start, end in bounds(text)]
    assert surfaces(text) == exact
    assert [visible(text)[s.start : s.end] for s in split(text)] == exact


@given(st.text(KINDS) | st.text())
def test_symbols_are_in_order_and_leave_out_only_space_and_lone_marks(text):
    places = bounds(text)
    assert all(start < end for start, end in places)
    assert all(before[1] <= after[0] for before, after in pairwise(places))
    kept = {at for start, end in places for at in range(start, end)}
    assert not any(
        char.isalnum() for at, char in enumerate(text) if at not in kept and not 0xFF9E <= ord(char) <= 0xFF9F
    )


@given(st.text())
def test_folding_twice_is_folding_once(text):
    for form in forms(text):
        assert fold(form) == form


def test_words_marks_and_apostrophes():
    assert forms("Don't stop, 'now'!") == ["don't", "stop", ",", "'", "now", "'", "!"]
    assert forms("snake_case well-known 3.14") == [
        *("snake", "_", "case"), *("well", "-", "known"), *("3", ".", "14"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Apollo", "APOLLO"),
        ("Ａｐｏｌｌｏ", "apollo"),  # full width
        ("caf\u00e9", "cafe\u0301"),  # precomposed, combining
        ("don\u2019t", "don't"),  # curly apostrophe
        ("Straße", "STRASSE"),
        ("ﬁre", "fire"),  # ligature
        ("hy\u00adphen", "hyphen"),  # soft hyphen
        ("ｶﾞ", "ガ"),  # half width with its sound mark
        ("한국", "\u1112\u1161\u11ab\u1100\u116e\u11a8"),  # jamo
        ("می\u200cخواهم", "میخواهم"),  # zero-width non-joiner
    ],
)
def test_differences_that_make_no_difference(one, other):
    assert forms(one) == forms(other)


def test_scripts_without_spaces_are_split_by_character():
    assert forms("東京 is 大") == ["東", "京", "is", "大"]
    assert [symbol.weight for symbol in split("東京 is. 大")] == [CHARACTER, CHARACTER, WORD, MARK, CHARACTER]
    # The vowel sign belongs to its consonant.
    assert [text for text in ["กี"] for _ in split(text)] == ["กี"]


def test_offsets_are_code_points_on_mixed_text():
    text = "👩‍👩‍👧 שלום,\r\n\u200fעולם 👍🏽 naïve e\u0301te\u0301"
    quotes = [text[symbol.start : symbol.end] for symbol in split(text)]
    assert "שלום" in quotes
    assert "e\u0301te\u0301" in quotes
    assert "👍🏽" in quotes
    assert "".join(quotes).replace("\u200f", "") == "".join(text.split()).replace("\u200f", "")


def test_half_a_surrogate_pair_keeps_offsets():
    text = "a \ud800 b"
    assert [(symbol.start, symbol.end) for symbol in split(text)] == [(0, 1), (2, 3), (4, 5)]
    assert visible(text) == "a \ufffd b"


def test_weights():
    assert [weigh(form) for form in ("a", "1", "中", ",", "", "👍")] == [WORD, WORD, CHARACTER, MARK, MARK, MARK]
