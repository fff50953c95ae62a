"""Nearest instances: BM25 against the textbook, sub-words by hand, fusion and its reasons."""

import math
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.provenance.neighbours import WEIGHTS, nearest
from app.provenance.ranking import bm25, terms
from app.provenance.reading import read
from app.provenance.tokens import TokenRange, emphasis, place
from app.shift.classes import ShiftClass
from tests.unit.provenance_sets import index_of

SHIFTED, MARGINAL, UNSHIFTED = ShiftClass.SHIFTED, ShiftClass.MARGINAL, ShiftClass.UNSHIFTED
TEXTS = st.lists(st.sampled_from(["one", "two", "Two", "red", "blue", "כן", ",", "."]), max_size=12).map(" ".join)


def textbook(answers, weights, k1=1.2, b=0.75):
    """BM25 as the books write it, on lists; `weights` by query word."""
    passages = [[w for w in answer.lower().split() if w.isalnum()] for answer in answers]
    mean = max(sum(map(len, passages)) / len(passages), 1.0)
    scores = []
    for passage in passages:
        score = 0.0
        for word, weight in weights.items():
            holding = sum(word in other for other in passages)
            idf = math.log(1 + (len(passages) - holding + 0.5) / (holding + 0.5))
            tf = passage.count(word)
            score += weight * idf * tf * (k1 + 1) / (tf + k1 * (1 - b + b * len(passage) / mean))
        scores.append(score)
    return scores


@settings(max_examples=80)
@given(st.lists(TEXTS, min_size=1, max_size=6), TEXTS, st.data())
def test_bm25_is_the_textbook(answers, response, data):
    with tempfile.TemporaryDirectory() as folder:
        index = index_of(Path(folder), answers)
        reading = read(index, response)
        weights = data.draw(st.lists(st.sampled_from([1.0, 2.0, 3.0]), min_size=len(reading), max_size=len(reading)))
        by_word = {}
        for symbol, weight in zip(reading.symbols, weights, strict=True):
            if symbol.weight:
                by_word[symbol.form] = max(weight, by_word.get(symbol.form, 0))
        ranking = bm25(index, terms(index, reading, weights))
        assert ranking.scores == pytest.approx(textbook(answers, by_word), rel=1e-9, abs=1e-12)


def test_bm25_by_hand(tmp_path):
    index = index_of(tmp_path, ["red apple", "green apple apple", "blue sky"])
    found = {neighbour.instance: neighbour.bm25 for neighbour in nearest(index, "Apple, sky!")}
    # P = 3, mean length 7/3. idf(apple) = ln(1 + 1.5/2.5) = ln 1.6, idf(sky) = ln(1 + 2.5/1.5) = ln(8/3).
    # Length 2: k1 (1 - b + b 2/(7/3)) = 1.2 (0.25 + 4.5/7) = 1.0714286; length 3: 1.2 (0.25 + 6.75/7) = 1.4571429.
    assert found["i0"] == pytest.approx(math.log(1.6) * 2.2 / (1 + 1.2 * (0.25 + 4.5 / 7)), rel=1e-12)
    assert found["i1"] == pytest.approx(math.log(1.6) * 2 * 2.2 / (2 + 1.2 * (0.25 + 6.75 / 7)), rel=1e-12)
    assert found["i2"] == pytest.approx(math.log(8 / 3) * 2.2 / (1 + 1.2 * (0.25 + 4.5 / 7)), rel=1e-12)


def test_an_answer_equal_to_the_response_scores_its_own_share(tmp_path):
    text = "the quick brown fox jumps over it"
    index = index_of(tmp_path, [text, "another thing", text])
    first, second, *rest = nearest(index, text)
    assert (first.position, second.position, rest) == (0, 2, [])
    # bm25 is all of the ideal, the span covers every word, and nothing is left for parts of words.
    assert first.score == second.score == pytest.approx(WEIGHTS["bm25"] + WEIGHTS["span"])
    assert [(reason.kind, reason.rank) for reason in second.reasons] == [("bm25", 1), ("span", 1)]


def test_only_answers_are_searched(tmp_path):
    index = index_of(tmp_path, ["nothing of the kind", "nor this"])
    assert index.instance(0).instruction == "instruction 0"
    assert nearest(index, "instruction 0") == ()


def test_shifted_words_weigh_three_times(tmp_path):
    index = index_of(tmp_path, ["copper here", "silver here", "gold there"])
    response = "copper and silver"
    plain = nearest(index, response)
    assert plain[0].bm25 == plain[1].bm25
    assert [n.position for n in plain] == [0, 1]
    leaning = nearest(index, response, place(["copper", " and", " silver"], [MARGINAL, UNSHIFTED, SHIFTED]))
    assert [n.position for n in leaning] == [1, 0]
    assert leaning[0].bm25 == pytest.approx(3 * plain[1].bm25)
    assert leaning[1].bm25 == pytest.approx(2 * plain[0].bm25)


def test_a_word_takes_its_strongest_token(tmp_path):
    index = index_of(tmp_path, ["x"])
    symbols = read(index, "An ar-ma dillo").symbols
    tokens = place(
        ["An", " a", "r-", "ma d", "illo", ""], [UNSHIFTED, MARGINAL, UNSHIFTED, SHIFTED, UNSHIFTED, SHIFTED]
    )
    assert emphasis(symbols, tokens) == [1.0, 2.0, 1.0, 3.0, 3.0]
    assert emphasis(symbols, ()) == [1.0] * 5
    # A wide token reaches every word it covers, whatever the order of tokens.
    assert emphasis(symbols, (TokenRange(3, 14, SHIFTED), TokenRange(0, 14, MARGINAL))) == [2.0, 3.0, 3.0, 3.0, 3.0]


def test_parts_of_words_find_what_words_cannot(tmp_path):
    answers = [
        "They sailed to Zanthoria at dawn",
        "A plain tale of bread",
        "Zany ideas",
        *(f"filler {n}" for n in range(9)),
    ]
    index = index_of(tmp_path, answers)
    first, *_ = nearest(index, "The Zanthorians came")
    assert first.instance == "i0"
    assert first.bm25 == 0
    assert [(r.kind, r.rank, r.detail) for r in first.reasons] == [("subword", 1, "Zanthorians ~ Zanthoria")]
    (shared,) = first.shared
    assert (shared.kind, shared.text, shared.other) == ("part", "Zanthorians", "Zanthoria")
    assert [answers[0][start:end] for start, end in shared.answer] == ["Zanthoria"]


def test_with_tokens_only_the_parts_of_shifted_words_are_sought(tmp_path):
    index = index_of(tmp_path, ["Zanthoria", "Marlopia", *(f"filler {n}" for n in range(9))])
    tokens = place(["Zanthorians", " met", " Marlopians"], [UNSHIFTED, UNSHIFTED, SHIFTED])
    assert [n.instance for n in nearest(index, "Zanthorians met Marlopians", tokens)] == ["i1"]


def test_parts_are_token_ids_when_a_tokenizer_cuts_them(tmp_path, syllables):
    index = index_of(tmp_path, ["zan tho ria", "banana", *(f"filler {n}" for n in range(9))], syllables)
    # "zantho" is the tokens zan, tho; "zan tho ria" holds both as whole words, which are single tokens.
    assert {r.kind for n in nearest(index, "zantho") for r in n.reasons} == {"subword"}
    assert [n.instance for n in nearest(index, "zantho")] == ["i0"]


@pytest.fixture
def syllables():
    class Syllables:
        """Cuts a word every three characters; ids are the bytes of the piece, read as a number."""

        fingerprint = "syllables"

        def encode(self, text):
            body = text.removeprefix(" ")
            pieces = [body[at : at + 3] for at in range(0, len(body), 3)]
            pieces[0] = f" {pieces[0]}" if text.startswith(" ") else pieces[0]
            return tuple(int.from_bytes(piece.strip().encode()) for piece in pieces)

        def token_bytes(self, token_id):
            return token_id.to_bytes(8).lstrip(b"\0")

    return Syllables()


def test_shared_places_quote_both_texts(tmp_path):
    answers = ["Ｃｏｐｐｅｒ wires, copper pipes\r\nand 👩‍👩‍👧 silver"]
    response = "🙂 Copper is not e\u0301tain; silver is."
    (neighbour,) = nearest(index_of(tmp_path, answers), response)
    assert {shared.text for shared in neighbour.shared} == {"Copper", "silver"}
    for shared in neighbour.shared:
        assert all(response[start:end].lower() == shared.text.lower() for start, end in shared.response)
        assert {answers[0][start:end] for start, end in shared.answer} <= {"Ｃｏｐｐｅｒ", "copper", "silver"}
    copper = next(shared for shared in neighbour.shared if shared.text == "Copper")
    assert len(copper.answer) == 2


def test_an_instance_comes_once_with_its_nearest_turn(tmp_path):
    index = index_of(tmp_path, [("copper", "copper tin lead", "copper tin"), "tin", ""])
    first, second = nearest(index, "copper tin lead")
    assert (first.instance, first.turn) == ("i0", 1)
    assert second.instance == "i1"


@pytest.mark.parametrize("k", [1, 2, 5, 40])
def test_k_best_of_equals_come_in_the_sets_order(tmp_path, k):
    index = index_of(tmp_path, [("copper", "copper", "copper")] * 30)
    assert [n.position for n in nearest(index, "copper", k=k)] == list(range(min(k, 30)))


@pytest.mark.parametrize("answers", [[], [""], ["...", ""], ["word"]])
@pytest.mark.parametrize("response", ["", "?!", "nothing alike", "\ud800"])
def test_nothing_alike_is_no_neighbour(tmp_path, answers, response):
    assert nearest(index_of(tmp_path, answers), response) == ()
