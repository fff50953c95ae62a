"""Searching a tuning set: what is typed is never an operator, and what is marked is what was found."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.tuning_sets.words import Part, build_words, count, excerpt, find, parse, parts

ROWS = [
    (0, "Why does a kettle boil?", "Heat makes the water boil."),
    (1, "Name a river.", "The Rhône, near Orléans."),
    (4, "What boils?", "A kettle; and AND or NOT."),
    (9, "Weiß", "Straße nach Köln"),
]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "words" / "set.words"
    build_words(path, ROWS)
    return path


@pytest.mark.parametrize(
    ("typed", "positions"),
    [
        ("kettle", (0, 4)),
        ("KETTLE boil", (0, 4)),
        ("boil", (0, 4)),
        ("boils", (4,)),
        ('"boil"', (0,)),
        ('"water boil"', (0,)),
        ('"boil water"', ()),
        ("rhone orleans", (1,)),
        ("koln", (9,)),
        ("kettle river", ()),
        ("AND", (4,)),
        ("NOT kettle", (4,)),
        ("kett*", (0, 4)),
        ("instruction:kettle", ()),
    ],
)
def test_words_are_found_by_their_beginning_and_phrases_as_they_stand(file, typed, positions):
    query = parse(typed)
    assert find(file, query, limit=10) == positions
    assert count(file, query) == len(positions)


def test_pages_go_on_where_the_last_one_ended(file):
    query = parse("boil")
    assert find(file, query, limit=1) == (0,)
    assert find(file, query, limit=1, after=0) == (4,)
    assert find(file, query, limit=1, before=4) == (0,)
    assert find(file, query, limit=5, before=0) == ()


@given(typed=st.text(max_size=40))
def test_nothing_typed_is_an_error(tmp_path_factory, typed):
    path = tmp_path_factory.getbasetemp() / "any.words"
    if not path.exists():
        build_words(path, ROWS)
    query = parse(typed)
    if query.match:
        assert set(find(path, query, limit=10)) <= {0, 1, 4, 9}


@given(text=st.text(max_size=60), typed=st.text(max_size=12), letters=st.booleans())
def test_the_parts_of_a_text_are_the_text(text, typed, letters):
    query = parse(typed)
    assert "".join(part.text for part in parts(text, query, letters=letters)) == text
    assert all(part.text for part in parts(text, query, letters=letters))
    excerpt(text, query, letters=letters)


def test_hits_are_marked_without_case_and_accents():
    assert parts("The Rhône rises", parse("rhon")) == (
        Part("The ", hit=False),
        Part("Rhône", hit=True),
        Part(" rises", hit=False),
    )
    assert [part.text for part in parts("a+b A+B ab", parse("a+b"), letters=True) if part.hit] == ["a+b", "A+B"]


def test_an_excerpt_stands_around_the_first_hit():
    text = "word " * 100 + "kettle " + "word " * 100
    shown = excerpt(text, parse("kettle"))
    assert "kettle" in shown
    assert shown.startswith("… ")
    assert shown.endswith(" …")
    # 220 characters and both marks.
    assert len(shown) <= 224
    assert excerpt("short\n text", parse("")) == "short text"
