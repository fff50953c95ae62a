import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.shift.lexicon import (
    FORMAT_CLASSES,
    OPENING_TOKENS,
    Category,
    LexiconWords,
    Problem,
    categorise,
    from_dict,
    read_entries,
    shipped,
)

WORDS = from_dict(
    {
        "initiation": ["Sure", "of course", "here is", "I"],
        "style": ["the", "is", "however", "in other words", "it"],
        "format": ["{digits}", "{punctuation}", "{symbols}", "{spaces}", "{line breaks}", "{no text}"],
    }
)


def of(*texts, words=WORDS):
    return "".join(category.value[0] for category in categorise(texts, words))


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        # A word cut into pieces is one word; a lone capital or curly apostrophe changes nothing.
        (["S", "ure", ",", " the", " ket", "tle", " boil", "s"], "iifscccc"),
        (["SURE"], "i"),
        (["It\u2019s", " hot"], "sc"),
        # A phrase needs all of its words with only white space between: here "Of" is no function word of this list.
        (["Of", " course", "!"], "iif"),
        (["Of", ",", " course"], "cfc"),
        (["In", " other", " words", ",", " tea"], "sssfc"),
        # Layout: Markdown, list numbers, line breaks, white space.
        (["**", "Tea", "**", "\n\n", "1", ".", " ", "|", "---"], "fcffffff" + "f"),
        (["a1", "2"], "cf"),
        # A fragment goes with the character it is part of; at the end there is nothing for it to be part of.
        (["", "", "☕", ""], "ffff"),
        (["", "é", ""], "ccf"),
        ([], ""),
    ],
)
def test_every_token_gets_the_category_of_its_word(texts, expected):
    assert of(*texts) == expected


def test_initiation_counts_only_at_the_beginning():
    filler = [" tea"] * (OPENING_TOKENS - 1)
    assert of(*filler, " sure", " sure") == "c" * (OPENING_TOKENS - 1) + "ic"
    # "is" alone is style; within the opening "here is" takes both of its words.
    assert of("Here", " is", " tea", " is") == "iics"
    assert of(*filler, " tea", " here", " is").endswith("cs")


def test_a_phrase_that_begins_in_the_opening_keeps_its_end():
    filler = [" tea"] * (OPENING_TOKENS - 1)
    assert of(*filler, " here", " is") == "c" * (OPENING_TOKENS - 1) + "ii"


def test_the_format_list_decides_what_format_is():
    bare = from_dict({"initiation": [], "style": [], "format": ["{digits}", "=>"]})
    assert of("1", ",", " =>", "\n", "", words=bare) == "fcfcc"


@given(st.lists(st.text(max_size=8), max_size=30))
def test_there_is_one_category_per_token_whatever_the_text(texts):
    assert len(categorise(texts, WORDS)) == len(texts)
    assert len(categorise(texts, shipped())) == len(texts)


@given(st.text(max_size=60), st.data())
def test_where_a_word_is_cut_does_not_matter(text, data):
    cut = data.draw(st.integers(0, len(text)))
    whole = dict(zip(range(len(text)), categorise(list(text), _no_opening()), strict=True))
    pieces = [text[:cut], text[cut:]]
    for piece, category, start in zip(pieces, categorise(pieces, _no_opening()), (0, cut), strict=True):
        letters = [at for at in range(start, start + len(piece)) if text[at].isalpha()]
        if letters:
            assert category == whole[letters[0]]


def _no_opening():
    # The opening is counted in tokens, and the two cuts have different tokens.
    return LexiconWords(frozenset(), WORDS.style, WORDS.format)


def test_the_shipped_lexicon_is_valid_and_knows_the_usual_openings():
    written = {Category(name): "\n".join(entries) for name, entries in shipped().as_dict().items()}
    assert read_entries(written) == shipped()
    assert of("Certain", "ly", "!", " Here", " are", " three", words=shipped()) == "iifiic"
    assert of("As", " an", " AI", " language", " model", ",", " I", words=shipped()) == "iiiiifi"
    assert set(shipped().format) == set(FORMAT_CLASSES)


def test_the_file_holds_no_entry_twice():
    from app.shift import lexicon  # noqa: PLC0415

    for entries in tomllib.loads(lexicon._SHIPPED.read_text()).values():
        assert len(entries) == len(set(entries))


def test_the_version_follows_the_entries_and_not_their_order():
    again = from_dict({name: list(reversed(entries)) for name, entries in WORDS.as_dict().items()})
    assert again.sha256 == WORDS.sha256
    assert from_dict({**WORDS.as_dict(), "style": ["the"]}).sha256 != WORDS.sha256


def test_every_unusable_line_is_named():
    found = read_entries(
        {
            Category.INITIATION: "sure\n\nas an ai!\n" + "x" * 61,
            Category.STYLE: "the\n4ever",
            Category.FORMAT: "{digits}\n{letters}\nnote:\n=>",
        }
    )
    assert isinstance(found, list)
    assert [(problem.category, problem.line) for problem in found] == [
        ("initiation", 3),
        ("initiation", 4),
        ("style", 2),
        ("format", 2),
        ("format", 3),
    ]
    assert isinstance(found[0], Problem)
    assert "'as an ai!' is not a word" in found[0].message
    assert "{line breaks}" in found[3].message
    assert "has letters" in found[4].message
