"""Ratings read from many stored texts at once are those that each text says."""

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from app.results.rating_reading import RatingsRead
from app.results.report.tables import SIDES

NAMES = st.sampled_from(["depth", "clarity", "tone 2", 'a": 3, "b', ": 4,", "größe", "back\\slash", "a\u2028b"])
RATED = st.dictionaries(st.sampled_from(SIDES), st.dictionaries(NAMES, st.none() | st.integers(1, 5)))
BATCHES = st.lists(st.lists(RATED, max_size=8), max_size=3)


def said(batches):
    return {
        (at, side, name): value
        for at, rated in enumerate(one for batch in batches for one in batch)
        for side, values in rated.items()
        for name, value in values.items()
        if value
    }


def read(batches, **style):
    reader = RatingsRead()
    for batch in batches:
        reader.add([json.dumps(rated, **style) for rated in batch])
    ratings = reader.whole()
    assert list(ratings.dimensions) == sorted(ratings.dimensions)
    where = zip(*np.nonzero(ratings.values), strict=True)
    return {
        (at, SIDES[side], ratings.dimensions[name]): int(ratings.values[at, side, name]) for at, side, name in where
    }


@given(BATCHES, st.booleans(), st.sampled_from([(", ", ": "), (",", ":"), (" , ", " : ")]))
def test_any_texts_are_read_as_they_are(batches, plain, separators):
    assert read(batches, ensure_ascii=plain, separators=separators) == said(batches)


def test_texts_of_one_length_in_different_forms_do_not_mix():
    forms = [{side: {one: 1, other: 5}} for side in ("left",) for one, other in (("ab", "cd"), ("cd", "ab"))]
    batch = [forms[at % 2] for at in range(40)] + [{"left": {"ab": 2, f"x{at % 10}": 3}} for at in range(40)]
    assert read([batch, batch[::-1]]) == said([batch, batch[::-1]])
