"""The pure parts behind the pages of provenance: marks, shared runs, selections, the fates of tokens."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.provenance.fates import fates
from app.provenance.index import Index, Instance, ensure_index
from app.provenance.marking import NEAR, SPAN, Mark, pieces
from app.provenance.pairwise import common_runs, common_words
from app.provenance.placed import place_tokens
from app.provenance.presence import units_of
from app.provenance.reading import read
from app.provenance.selection import find_selection
from app.provenance.spans import verbatim_spans
from app.provenance.tokens import TokenRange, place
from app.provenance.view import p_value, percent, words
from app.shift.classes import ShiftClass

MOON = "Apollo 11 landed Neil Armstrong and Buzz Aldrin on the Moon on 20 July 1969."
ANSWERS = (MOON, "The tide turns because the Moon pulls.", "Bread rises because yeast makes gas.", "Neil wrote a song.")
WORDS = st.lists(st.sampled_from(["the", "Moon", "moon", "tide", "a", ",", "é", "日", "\n"]), max_size=12).map(" ".join)
CLASSES = st.sampled_from(list(ShiftClass))


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    instances = [Instance(f"i{at}", "?", (answer,)) for at, answer in enumerate(ANSWERS)]
    root: Path = tmp_path_factory.mktemp("indexes")
    return ensure_index(root, "0" * 64, lambda: instances)


def test_marks_cut_a_text_where_they_begin_and_end() -> None:
    marks = [Mark(0, 5, SPAN, 1), Mark(3, 8, SPAN, 2), Mark(4, 10, NEAR), Mark(20, 30)]
    assert [(piece.text, piece.css, piece.numbers) for piece in pieces("abcdefghijkl", marks)] == [
        ("abc", "from-span", ()),
        ("de", "from-spans", (1,)),
        ("fgh", "from-span", (2,)),
        ("ij", "from-near", ()),
        ("kl", "", ()),
    ]


@given(st.text(max_size=30), st.lists(st.tuples(st.integers(-2, 32), st.integers(-2, 32)), max_size=8))
def test_pieces_joined_are_the_text(text: str, ranges: list[tuple[int, int]]) -> None:
    assert "".join(piece.text for piece in pieces(text, [Mark(*one, number=1) for one in ranges])) == text


def test_runs_are_longest_first_and_numbered_in_the_order_of_the_response() -> None:
    other = 'In July, apollo  11 landed. "Neil Armstrong and Buzz Aldrin" on the moon again, and on 20 July 1969 too.'
    runs = common_runs(MOON, other)
    assert [(MOON[run.start : run.end], other[run.other_start : run.other_end], run.words) for run in runs] == [
        ("Apollo 11 landed", "apollo  11 landed", 3),
        ("Neil Armstrong and Buzz Aldrin", "Neil Armstrong and Buzz Aldrin", 5),
        ("on the Moon", "on the moon", 3),
        ("on 20 July 1969", "on 20 July 1969", 4),
    ]
    assert common_runs(MOON, "on the Moon landed Neil") != ()
    assert common_runs(MOON, "") == common_runs("", MOON) == ()


@given(WORDS, WORDS)
def test_a_run_is_the_same_words_on_both_sides_and_no_word_is_in_two(one: str, other: str) -> None:
    end = 0
    for run in common_runs(one, other, min_words=1):
        assert run.start >= end
        end = run.end
        mine, theirs = (
            " ".join(text.split()).casefold()
            for text in (one[run.start : run.end], other[run.other_start : run.other_end])
        )
        assert mine == theirs


def test_common_words_are_found_whatever_their_case() -> None:
    assert common_words("The Moon, the tide", "a moon") == {"moon": ([(4, 8)], [(2, 6)])}


def test_a_selection_is_widened_to_whole_words_and_counted(index: Index) -> None:
    text = "They say the MOON  pulls."
    found = find_selection(index, text, text.index("OON"), text.index("ulls"))
    assert (found.text, found.words) == ("MOON  pulls", 2)
    assert (found.exact.places, found.exact.instances) == (1, 1)
    assert found.exact.sources[0].quote == "Moon pulls"
    # "the Moon" stands in two answers; the first has "on the Moon on", the second "because the Moon".
    twice = find_selection(index, text, text.index("the"), text.index("MOON") + 4)
    assert (twice.exact.places, twice.exact.instances) == (2, 2)
    assert [source.position for source in twice.exact.sources] == [0, 1]


def test_a_selection_found_nowhere_has_its_longest_part(index: Index) -> None:
    text = "Cheese, because yeast makes gas and Neil Armstrong sings"
    found = find_selection(index, text, 0, len(text))
    assert found.exact is None
    assert (found.longest.text, found.longest.words) == ("because yeast makes gas", 4)
    assert text[found.longest.start : found.longest.end] == found.longest.text
    nothing = find_selection(index, "Жёлтый кувшин", 0, 6)
    assert (nothing.text, nothing.exact, nothing.longest) == ("Жёлтый", None, None)
    assert find_selection(index, "a ... b", 1, 2).text == ""


@given(st.data(), WORDS)
def test_any_selection_has_an_answer(index: Index, data: st.DataObject, text: str) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    found = find_selection(index, text, start, end)
    assert text[found.start : found.end] == found.text
    part = found.exact or found.longest
    if part:
        assert found.start <= part.start < part.end <= found.end
        assert part.places >= part.instances >= 1


def test_each_token_has_one_fate(index: Index) -> None:
    texts = ("We", " say", " Neil", " Arm", "strong", " and", " Buzz", " Aldrin", " on", " yeast", ".")
    classes = (*[ShiftClass.UNSHIFTED] * 2, *[ShiftClass.SHIFTED] * 7, ShiftClass.MARGINAL, ShiftClass.SHIFTED)
    tokens, text = place(texts, classes), "".join(texts)
    spans = verbatim_spans(index, text)
    assert [span.text for span in spans] == ["Neil Armstrong and Buzz Aldrin on"]
    found = fates(index, text, tokens, spans, [2])
    # Seven tokens in the span; "yeast" in answer 2; "We" and "say" in neither; the full stop holds no word.
    assert (found.verbatim.shifted, found.verbatim.n) == (7, 7)
    assert (found.near.marginal, found.near.n) == (1, 1)
    assert (found.nowhere.unshifted, found.nowhere.n) == (2, 2)


@given(st.lists(st.tuples(st.sampled_from(["the", " Mo", "on", "", ",", " ", "日", "本", "é"]), CLASSES), max_size=12))
def test_the_fates_count_the_tokens_that_hold_a_word(index: Index, drawn: list[tuple[str, ShiftClass]]) -> None:
    texts = [text for text, _ in drawn]
    tokens = place(texts, [shift for _, shift in drawn])
    text = "".join(texts)
    assert fates(index, text, tokens, (), [0]).n == len(units_of(read(index, text), tokens))


def test_tokens_without_a_class_keep_their_place() -> None:
    placed = place_tokens(("a", "", "bc"), (ShiftClass.SHIFTED, None, None))
    assert placed.ranges == (TokenRange(0, 1, ShiftClass.SHIFTED),)
    assert (placed.ends, placed.counts((0, 1, 2)).n) == ((1, 1, 3), 1)
    assert (placed.indices(0, 2), placed.indices(1, 3), placed.indices(0, 1)) == ((0, 1, 2), (2,), (0,))


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        (percent(0.0), "0 %"),
        (percent(1.0), "100 %"),
        (percent(0.624), "62 %"),
        (percent(0.004), "0.4 %"),
        (percent(0.996), "99.6 %"),
        (p_value(0.0049), "= 0.005"),
        (p_value(0.0004), "< 0.001"),
        (p_value(None), ""),
        (words(1), "1 word"),
        (words(2.5), "2.5 words"),
    ],
)
def test_numbers_are_written_as_people_read_them(written: str, wanted: str) -> None:
    assert written == wanted
