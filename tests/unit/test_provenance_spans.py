"""Verbatim spans against a search that tries everything, and by hand."""

import math
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.provenance.reading import read
from app.provenance.spans import verbatim_spans
from app.provenance.words import split
from tests.unit.provenance_sets import index_of

GLUE = st.sampled_from([" ", " ", " ", ", ", ". ", "\n", "! "])
WORDS = st.sampled_from(["one", "two", "Two", "red", "כן"])


@st.composite
def texts(draw):
    words = draw(st.lists(WORDS, max_size=14))
    return "".join(word + draw(GLUE) for word in words)


def held(passages, forms):
    """Which passages have these symbols in a row."""
    return [
        number
        for number, passage in enumerate(passages)
        if any(passage[at : at + len(forms)] == forms for at in range(len(passage) - len(forms) + 1))
    ]


@settings(max_examples=100)
@given(st.lists(texts(), min_size=1, max_size=5), texts(), st.integers(1, 4))
def test_spans_are_verbatim_maximal_and_complete(answers, response, least):
    with tempfile.TemporaryDirectory() as folder:
        index = index_of(Path(folder), answers)
        reading = read(index, response)
        spans = verbatim_spans(index, response, min_words=least)
        passages = [[symbol.form for symbol in split(answer)] for answer in answers]
        symbols = reading.symbols
        forms = [symbol.form for symbol in symbols]
        ranges = []
        for span in spans:
            inside = [at for at, symbol in enumerate(symbols) if span.start <= symbol.start < span.end]
            start, end = inside[0], inside[-1] + 1
            ranges.append((start, end))
            # Verbatim, at these characters, in these instances and no others; begins and ends with a word.
            assert response[span.start : span.end] == span.text
            assert symbols[start].weight
            assert symbols[end - 1].weight
            assert span.words == sum(symbol.weight for symbol in symbols[start:end]) / 2 >= least
            holding = held(passages, forms[start:end])
            assert list(span.passages) == holding
            assert span.instances == len(holding)
            assert [source.position for source in span.sources] == holding
            for source in span.sources:
                quote = answers[source.position][source.start : source.end]
                assert quote == source.quote
                assert [symbol.form for symbol in split(quote)] == forms[start:end]
                assert source.snippet in answers[source.position]
            # Maximal: one more word of the same sentence, on either side, stands nowhere.
            for at in range(end, len(symbols)):
                if symbols[at].weight and reading.segments[at] == reading.segments[end - 1]:
                    assert not held(passages, forms[start : at + 1])
                    break
            for at in range(start - 1, -1, -1):
                if symbols[at].weight and reading.segments[at] == reading.segments[start]:
                    assert not held(passages, forms[at:end])
                    break
        # No span inside another.
        assert not any(one != other and other[0] <= one[0] and one[1] <= other[1] for one in ranges for other in ranges)
        assert len(set(ranges)) == len(ranges)
        # None missed: every run of enough words of one sentence that stands in the set lies in a span.
        for start, first in enumerate(symbols):
            for end in range(start + 1, len(symbols) + 1):
                run = symbols[start:end]
                enough = sum(symbol.weight for symbol in run) >= 2 * least
                if first.weight and run[-1].weight and enough and reading.segments[start] == reading.segments[end - 1]:
                    covered = any(low <= start and end <= high for low, high in ranges)
                    assert covered or not held(passages, forms[start:end])


def test_rare_wording_comes_first_with_its_log_probability(tmp_path):
    index = index_of(tmp_path, ["the cat the cat the cat", "one odd bird sang"])
    # Ten words: the 3, cat 3, one odd bird sang 1 each.
    spans = verbatim_spans(index, "The cat the cat; then one odd bird sang", min_words=3)
    assert [span.text for span in spans] == ["one odd bird sang", "The cat the cat"]
    assert spans[0].logprob == pytest.approx(4 * math.log(1 / 10))
    assert spans[1].logprob == pytest.approx(4 * math.log(3 / 10))


def test_a_sentence_keeps_no_loose_ends(tmp_path):
    index = index_of(tmp_path, ["It burned on the pad. The crew of three died in the cabin."])
    copied = "It burned on the pad. The crew left."
    assert [span.text for span in verbatim_spans(index, copied, min_words=5)] == ["It burned on the pad"]
    headed = "Sadly on the pad. The crew of three died in the cabin."
    assert [span.text for span in verbatim_spans(index, headed, min_words=5)] == ["The crew of three died in the cabin"]
    whole = "It burned on the pad. The crew of three died in the cabin!"
    assert [span.text for span in verbatim_spans(index, whole, min_words=5)] == [
        "It burned on the pad. The crew of three died in the cabin"
    ]
    # An abbreviation or a decimal point ends no sentence without a space.
    dotted = index_of(tmp_path / "dotted", ["about 3.14 times the width of it"])
    assert [span.text for span in verbatim_spans(dotted, "is about 3.14 times the width", min_words=5)] == [
        "about 3.14 times the width"
    ]


def test_a_phrase_of_too_many_instances_is_a_set_phrase(tmp_path):
    index = index_of(tmp_path, [f"number {n} is a very good choice here" for n in range(30)] + ["x"] * 31)
    text = "this is a very good choice here"
    assert verbatim_spans(index, text, max_instances=29) == ()
    (span,) = verbatim_spans(index, text, max_instances=30)
    assert span.instances == 30
    assert [source.instance for source in span.sources] == [f"i{n}" for n in range(10)]


def test_few_very_common_words_alone_are_no_loan(tmp_path):
    # 40 answers; each word of "it is in the" stands in all of them, in a row in the last alone.
    answers = [f"it w{n} is x{n} in y{n} the z{n}" for n in range(39)] + ["it is in the it is in the box"]
    index = index_of(tmp_path, answers)
    assert verbatim_spans(index, "now it is in the air", min_words=4) == ()
    assert [span.text for span in verbatim_spans(index, "is in the box", min_words=4)] == ["is in the box"]
    # Twice as many are a loan all the same.
    assert [span.words for span in verbatim_spans(index, "it is in the it is in the air", min_words=4)] == [8]


def test_sources_name_turn_and_first_place(tmp_path):
    index = index_of(tmp_path, [("Hello there.", "We met by the old mill, by the old mill."), "By the old mill."])
    (span,) = verbatim_spans(index, "Meet me by the old mill", min_words=4)
    assert [(s.instance, s.turn, s.start, s.quote) for s in span.sources] == [
        ("i0", 1, 7, "by the old mill"),
        ("i1", 0, 0, "By the old mill"),
    ]


def test_context_is_cut_at_words(tmp_path):
    answer = "abcdefghi " * 30 + "here stands a phrase of note " + "jklmnopqr " * 30
    (span,) = verbatim_spans(index_of(tmp_path, [answer]), "Here stands a phrase of note")
    (source,) = span.sources
    assert source.before.startswith("abcdefghi ")
    assert source.after.endswith(" jklmnopqr")
    assert 60 <= len(source.before) <= 80
    assert 60 <= len(source.after) <= 80


@pytest.mark.parametrize(
    ("answer", "response", "found"),
    [
        ("הנה משפט אחד קצר מאוד בעברית", "אמרו: הנה משפט אחד קצר מאוד.", "הנה משפט אחד קצר מאוד"),
        ("Une phrase très élégante à dire ici", "UNE PHRASE TRE\u0300S E\u0301LE\u0301GANTE A\u0300 DIRE", None),
        ("Say it twice:\r\nnever or now\tand then", "say it twice:\nnever or now and then", None),
        ("東京都は日本の首都である。", "首都は東京都は日本の首都だ", "東京都は日本の首都"),
        ("great 👍🏽 work on the plan today", "Great 👍 work on the plan, really", "work on the plan"),
        ("ＦＵＬＬ width ｔｅｘｔ is still text", "full WIDTH text is still text", "full WIDTH text is still text"),
    ],
)
def test_other_scripts(tmp_path, answer, response, found):
    index = index_of(tmp_path, [answer])
    (span,) = verbatim_spans(index, response, min_words=4)
    assert span.text == (response if found is None else found)
    assert response[span.start : span.end] == span.text
    assert answer[span.sources[0].start : span.sources[0].end] == span.sources[0].quote


@pytest.mark.parametrize("answers", [[], [""], ["", "\n"], ["word"], ["..."]])
@pytest.mark.parametrize("response", ["", " ", "word", "one two three four five six", "...", "\ud800"])
def test_tiny_sets_and_responses_have_no_span(tmp_path, answers, response):
    assert verbatim_spans(index_of(tmp_path, answers), response) == ()


def test_a_whole_answer_of_two_thousand_words_is_one_span(tmp_path):
    answer = " ".join(f"w{n % 700}" for n in range(2000))
    (span,) = verbatim_spans(index_of(tmp_path, ["other text", answer, answer]), answer)
    assert (span.start, span.end, span.words, span.instances) == (0, len(answer), 2000, 2)
