"""Instances beside spans: what is retrieved, how decoys are drawn, that neither place nor length tells them."""

import hashlib
import hmac
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.judging.evidence_draw import (
    NEAREST,
    VERBATIM,
    DrawKey,
    Retrieval,
    answer_lengths,
    place,
    retrieve,
)
from tests.unit.provenance_sets import index_of

ANSWERS = (
    "Whales breathe air through a blowhole on top.",
    "Bread rises because yeast eats sugar and makes gas.",
    "In winter the yeast eats sugar more slowly than in summer.",
    "Yeast is a fungus that bakers keep in the cold.",
    "Chess began in India long ago.",
    "Copper conducts heat very well.",
    "Glass is made of molten sand.",
    "Owls hunt at night by sound.",
    "Paper was first made in China.",
    "Salt lowers the freezing point of water.",
    "Rivers carry silt down to the sea.",
    "A kettle boils water with a heated coil.",
)
TEXT = "Bread is easy: yeast eats sugar, and an owl looks on. Copper is a metal, and a kettle is made of it."
# A rank measure of 0.5 is chance. With 900 instances of each kind its standard error is 0.014.
TOLERANCE = 0.05
SPANS = 300


def key(**over):
    return DrawKey(**({"seed": "seed-1", "presentation_id": "p1", "side": "left", "start": 0, "end": 5} | over))


def where(text, words):
    start = text.index(words)
    return start, start + len(words)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return index_of(tmp_path_factory.mktemp("small"), ANSWERS)


def test_instances_that_hold_the_words_come_first_then_the_nearest(small):
    found = retrieve(small, TEXT, *where(TEXT, "yeast eats sugar"), k=4)
    origins = [(one.position, one.origin) for one in found.shown]
    assert {position for position, origin in origins[:2]} == {1, 2}
    assert [origin for _, origin in origins] == [VERBATIM, VERBATIM, NEAREST, NEAREST]
    assert origins[2] == (3, NEAREST)
    near = [one.score for one in found.shown[2:]]
    assert near == sorted(near, reverse=True)
    assert all(one.score > 0 for one in found.shown)


def test_of_those_that_hold_the_words_the_nearest_come_first(small):
    for words, best in (("In winter yeast eats sugar", 2), ("Bread rises as yeast eats sugar and makes gas", 1)):
        found = retrieve(small, words, *where(words, "yeast eats sugar"), k=1)
        assert [(one.position, one.origin) for one in found.shown] == [(best, VERBATIM)]
        assert {1, 2} <= found.related


def test_the_words_of_the_span_weigh_more_than_those_around_it(small):
    text = "Rivers and glass and owls like hot copper kettles."
    for words, best in (("Rivers", 10), ("glass", 6), ("owls like", 7), ("hot copper", 5)):
        found = retrieve(small, text, *where(text, words), k=1)
        assert [one.position for one in found.shown] == [best]
    # Where the words of the span stand nowhere, those around it are all there is.
    found = retrieve(small, text, *where(text, "hot"), k=1)
    assert found.shown[0].origin == NEAREST


def test_words_in_more_than_fifty_instances_are_a_set_phrase(tmp_path):
    answers = tuple(f"As an aside number{at}, it depends." for at in range(60))
    index = index_of(tmp_path, answers)
    found = retrieve(index, "Well, it depends on number7 alone.", *where("Well, it depends", "it depends"), k=3)
    assert {one.origin for one in found.shown} == {NEAREST}
    assert found.shown[0].position == 7


def test_a_long_response_is_searched_around_the_span_only(small):
    far = "Owls hunt at night by sound. " + "x " * 400
    text = far + "Copper conducts heat very well."
    found = retrieve(small, text, *where(text, "conducts heat"), k=3)
    assert 7 not in {one.position for one in found.shown}
    assert found.shown[0].position == 5


def test_what_is_shown_fills_up_with_decoys_that_were_not_retrieved(small):
    start, end = where(TEXT, "yeast eats sugar")
    found = retrieve(small, TEXT, start, end, k=3)
    drawn = place(small, found, key(start=start, end=end), wanted=6, before={})
    assert [one.place for one in drawn] == [1, 2, 3, 4, 5, 6]
    assert {one.position for one in drawn if not one.is_decoy} == {one.position for one in found.shown}
    decoys = [one for one in drawn if one.is_decoy]
    assert len(decoys) == 3
    assert not {one.position for one in decoys} & found.related
    assert all((one.origin, one.score) == ("", None) for one in decoys)
    assert drawn == place(small, found, key(start=start, end=end), wanted=6, before={})


def test_the_number_shown_does_not_tell_how_many_were_found(small):
    nothing = retrieve(small, "Zzz qqq.", 0, 3, k=3)
    assert nothing.shown == ()
    drawn = place(small, nothing, key(), wanted=6, before={})
    assert len(drawn) == 6
    assert all(one.is_decoy for one in drawn)
    assert len(place(small, nothing, key(), wanted=40, before={})) == len(ANSWERS)


def test_an_answer_that_stands_twice_in_a_set_is_no_decoy_of_itself(tmp_path):
    index = index_of(tmp_path, (*ANSWERS, *[ANSWERS[1]] * 70))
    found = Retrieval(retrieve(index, TEXT, *where(TEXT, "sugar"), k=1).shown, frozenset({1}))
    drawn = place(index, found, key(), wanted=8, before={})
    texts = [index.instance(one.position).answers for one in drawn]
    assert len(set(texts)) == len(texts) == 8


def test_who_has_the_seed_can_draw_the_order_and_the_decoys_again(small):
    def hashed(what, position):
        message = json.dumps([what, "p1", "left", 0, 5, position], separators=(",", ":"))
        return hmac.new(b"seed-1", message.encode(), hashlib.sha256).hexdigest()

    nothing = Retrieval((), frozenset({4, 9}))
    drawn = place(small, nothing, key(), wanted=5, before={})
    free = [position for position in range(len(ANSWERS)) if position not in {4, 9}]
    decoys = sorted(free, key=lambda position: hashed("decoy", position))[:5]
    assert [one.position for one in drawn] == sorted(decoys, key=lambda position: hashed("place", position))


keys = st.text(min_size=1, max_size=20)


@given(seed=keys, presentation=keys, before=st.dictionaries(st.integers(0, 11), st.booleans()), k=st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_a_draw_never_repeats_an_instance_and_never_makes_a_decoy_of_a_retrieved_one(
    small, seed, presentation, before, k
):
    start, end = where(TEXT, "yeast eats sugar")
    found = retrieve(small, TEXT, start, end, k=k)
    drawn = place(small, found, key(seed=seed, presentation_id=presentation), wanted=k + 2, before=before)
    positions = [one.position for one in drawn]
    assert len(set(positions)) == len(positions) <= k + 2
    retrieved = {position for position, is_decoy in before.items() if not is_decoy}
    assert not {one.position for one in drawn if one.is_decoy} & (found.related | retrieved)


def test_decoys_come_back_as_often_as_retrieved_instances_do(small):
    found = retrieve(small, TEXT, *where(TEXT, "yeast eats sugar"), k=3)
    first = place(small, found, key(), wanted=6, before={})
    before = {one.position: one.is_decoy for one in first}
    wider = retrieve(small, TEXT, *where(TEXT, "yeast eats sugar,"), k=3)
    again = place(small, wider, key(end=6), wanted=6, before=before)
    assert {one.position for one in again} == {one.position for one in first}
    other = retrieve(small, TEXT, *where(TEXT, "Copper is a metal"), k=3)
    third = place(small, other, key(start=50, end=67), wanted=6, before=before)
    back = [one.is_decoy for one in third if one.position in before]
    assert back.count(True) == min(back.count(False), 3)


def test_decoys_are_drawn_evenly(small):
    counts = np.zeros(len(ANSWERS))
    nothing = Retrieval((), frozenset())
    for at in range(1_200):
        (one,) = place(small, nothing, key(presentation_id=f"p{at}"), wanted=1, before={})
        counts[one.position] += 1
    # Chi-square with 11 degrees of freedom: 31.3 is passed by chance once in a thousand.
    assert ((counts - 100) ** 2 / 100).sum() < 31.3


def auc(values, labels):
    """The chance that a decoy has the larger value, ties counting half."""
    values, labels = np.asarray(values, float), np.asarray(labels, bool)
    above = (values[labels][:, None] > values[~labels][None, :]).mean()
    return above + (values[labels][:, None] == values[~labels][None, :]).mean() / 2


def test_neither_place_nor_length_tells_a_decoy_beyond_chance(tmp_path):
    generator = np.random.default_rng(7)
    vocabulary = np.array([f"word{at}" for at in range(3_000)])
    popularity = 1 / np.arange(1, 3_001)
    popularity /= popularity.sum()
    # Lengths as in real tuning sets: most answers short, some very long.
    lengths = np.clip(generator.lognormal(3.5, 0.9, size=2_000), 3, 600).astype(int)
    answers = [" ".join(generator.choice(vocabulary, size=length, p=popularity)) for length in lengths]
    index = index_of(tmp_path, answers)
    sizes = answer_lengths(index)
    assert sizes.tolist() == [len(answer) for answer in answers]
    places, seen, labels = [], [], []
    for at in range(SPANS):
        text = " ".join(generator.choice(vocabulary, size=60, p=popularity))
        start, end = where(text, " ".join(text.split()[30:33]))
        found = retrieve(index, text, start, end, k=3)
        drawn = place(index, found, key(presentation_id=f"p{at}", start=start, end=end), wanted=6, before={})
        places += [one.place for one in drawn]
        seen += [int(sizes[one.position]) for one in drawn]
        labels += [one.is_decoy for one in drawn]
    assert labels.count(True) == labels.count(False) == 3 * SPANS
    assert abs(auc(places, labels) - 0.5) < TOLERANCE
    assert abs(auc(seen, labels) - 0.5) < TOLERANCE
    # Each length against the others beside the same span, which is what an annotator sees.
    ranks = np.argsort(np.argsort(np.asarray(seen).reshape(-1, 6), axis=1), axis=1).ravel()
    assert abs(auc(ranks, labels) - 0.5) < TOLERANCE
    # The measure would notice: among all instances, the retrieved ones are of another length.
    other = generator.choice(sizes, size=3 * SPANS)
    retrieved = [size for size, is_decoy in zip(seen, labels, strict=True) if not is_decoy]
    assert abs(auc([*other, *retrieved], [True] * len(other) + [False] * len(retrieved)) - 0.5) > TOLERANCE
