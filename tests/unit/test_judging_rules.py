"""What a judgment must hold, and that offsets are code points of the stored text and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidInputError
from app.judging.forms import read_form, read_json
from app.judging.rules import (
    BadSpanError,
    Given,
    MarkedSpan,
    anchor_spans,
    missing_answers,
    ordered_ratings,
    unasked_answer,
)
from app.studies.questions import Dimension, EvidenceQuestion, Questions

FIVE = Questions()
DIMENSION_NAMES = FIVE.names

HARD = [
    "plain words",
    "🍞 bread 👩‍🍳 bakes",
    "e\u0301te\u0301 in Ame\u0301lie",  # combining accents
    "שלום עולם and مرحبا",
    "one\r\ntwo\r\nthree",
    "tab\tand\u00a0blank\u200b.",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 🇩🇪 flags",
]
storable = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"))


def span(text, start, end, **over):
    values = {
        "side": "left",
        "start": start,
        "end": end,
        "quote": text[start:end],
        "type": "other",
        "severity": "minor",
    }
    return MarkedSpan(**(values | over))


@pytest.mark.parametrize("text", HARD)
def test_every_stretch_of_a_hard_text_is_anchored_exactly(text):
    for start in range(len(text)):
        for end in range(start + 1, len(text) + 1):
            (anchored,) = anchor_spans([span(text, start, end)], {"left": text}, {"left": text})
            assert text[anchored.start : anchored.end] == anchored.quote
            assert text[: anchored.start].endswith(anchored.prefix)
            assert text[anchored.end :].startswith(anchored.suffix)


@given(text=storable.filter(len), data=st.data())
def test_prefix_quote_and_suffix_stand_together_in_the_text(text, data):
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    (anchored,) = anchor_spans([span(text, start, end)], {"left": text}, {"left": text})
    around = anchored.prefix + anchored.quote + anchored.suffix
    at = start - len(anchored.prefix)
    assert text[at : at + len(around)] == around
    assert len(anchored.prefix) == min(32, start)
    assert len(anchored.suffix) == min(32, len(text) - end)


def test_utf_16_offsets_are_refused_where_they_differ():
    text = "🍞 bread"
    # In UTF-16 the word starts at 3; in code points at 2.
    with pytest.raises(BadSpanError, match="Span 1 does not quote the response"):
        anchor_spans([span(text, 3, 7, quote="bread"[:4])], {"left": text}, {"left": text})
    assert anchor_spans([span(text, 2, 7)], {"left": text}, {"left": text})[0].quote == "bread"


@pytest.mark.parametrize(("start", "end"), [(0, 0), (3, 2), (-1, 2), (0, 99), (11, 12)])
def test_a_span_outside_the_text_names_itself(start, end):
    good = span("plain words", 0, 5)
    bad = span("plain words", start, end, quote="x")
    with pytest.raises(BadSpanError, match=r"Span 2 .* 11 characters"):
        anchor_spans([good, bad], {"left": "plain words"}, {"left": "plain words"})


def test_overlapping_spans_are_fine():
    text = "one two three"
    assert (
        len(anchor_spans([span(text, 0, 7), span(text, 4, 13), span(text, 4, 7)], {"left": text}, {"left": text})) == 3
    )


def test_a_span_over_hidden_characters_quotes_the_stored_ones():
    stored, shown = "I am Zebra, hello", "I am █████, hello"
    (anchored,) = anchor_spans([span(shown, 3, 12)], {"left": shown}, {"left": stored})
    assert (anchored.quote, anchored.prefix, anchored.suffix) == ("m Zebra, ", "I a", "hello")
    (after,) = anchor_spans([span(shown, 12, 17)], {"left": shown}, {"left": stored})
    assert (after.quote, after.prefix) == ("hello", "I am Zebra, ")
    with pytest.raises(BadSpanError, match="does not quote"):
        anchor_spans([span(stored, 5, 10)], {"left": shown}, {"left": stored})


FULL = {side: dict.fromkeys(DIMENSION_NAMES, 3) for side in ("left", "right")}
OWN = Questions(
    dimensions=(Dimension("tone", "Tone of voice", tuple("abcde")), Dimension("sci", "SI units", tuple("abcde"))),
    acceptability=True,
)  # fmt: skip


def test_all_ten_ratings_and_a_preference_are_needed():
    assert missing_answers(FIVE, Given(preference="left", ratings=FULL)) == []
    assert missing_answers(FIVE, Given(ratings=FULL)) == ["which response is better"]
    assert len(missing_answers(FIVE, Given())) == 11
    without = {"left": FULL["left"], "right": {"clarity": 3}}
    assert missing_answers(FIVE, Given(preference="left", ratings=without)) == [
        "helpfulness of B",
        "factuality of B",
        "depth of B",
        "engagement of B",
    ]


def test_what_is_missing_follows_the_studys_own_questions_in_page_order():
    assert missing_answers(OWN, Given()) == [
        "tone of voice of A",
        "SI units of A",
        "whether A is acceptable",
        "tone of voice of B",
        "SI units of B",
        "whether B is acceptable",
        "which response is better",
    ]
    some = Given(preference="tie_bad", ratings={"right": {"tone": 1, "sci": 5}}, acceptability={"left": False})
    assert missing_answers(OWN, some) == ["tone of voice of A", "SI units of A", "whether B is acceptable"]
    assert missing_answers(Questions(dimensions=(), strength=True), Given(preference="left")) == []


def test_who_cannot_judge_owes_a_reason_only():
    assert missing_answers(OWN, Given(preference="cannot_judge", skip_reason="not my field")) == []
    assert missing_answers(OWN, Given(preference="cannot_judge", skip_reason="  ")) == ["why you cannot judge"]


EVERYTHING = Questions(strength=True, acceptability=True, evidence=EvidenceQuestion("set"), recognised="item")
BARE = Questions(dimensions=(), spans=False, recognised="")


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (Given(ratings={"left": {"depth": 3}}), "ratings.left.depth"),
        (Given(preference="left", strength=2), "strength"),
        (Given(acceptability={"right": True}), "acceptability"),
        (Given(spans=1), "spans"),
        (Given(verdicts=1), "evidence"),
        (Given(recognised=True), "recognised_model"),
    ],
)
def test_an_answer_nobody_asked_for_is_named(given, named):
    assert unasked_answer(EVERYTHING, given) == ""
    assert unasked_answer(BARE, given).startswith(f"{named}: ")


@pytest.mark.parametrize("preference", [None, "tie_good", "tie_bad", "cannot_judge"])
def test_strength_goes_with_a_preferred_side_only(preference):
    assert unasked_answer(EVERYTHING, Given(preference=preference, strength=1)).startswith("strength: ")
    assert unasked_answer(EVERYTHING, Given(preference="right", strength=3)) == ""


def test_a_dimension_the_study_does_not_rate_is_named_with_those_it_does():
    told = unasked_answer(OWN, Given(ratings={"right": {"charm": 3}}))
    assert told == "ratings.right.charm: this study does not rate it. It rates: tone, sci."


def test_ratings_are_kept_in_one_order():
    mixed = {"right": {"depth": 1, "clarity": 2}, "left": {"engagement": 3}}
    assert ordered_ratings(FIVE.names, mixed) == {"left": {"engagement": 3}, "right": {"clarity": 2, "depth": 1}}
    assert list(ordered_ratings(FIVE.names, mixed)["right"]) == ["clarity", "depth"]


SPAN = '"side":"left","start":0,"end":1,"quote":"x","type":"other","severity":"minor"'
BASE = '"idempotency_key":"attempt-1","base_revision":0'


@pytest.mark.parametrize(
    "value", ["0", "6", "3.5", '"5"', "true", "null", "[5]", "1e400", "-1", "99999999999999999999"]
)
def test_a_rating_is_a_whole_number_from_1_to_5_and_never_coerced(value):
    with pytest.raises(InvalidInputError, match=r"ratings\.left\.depth|cannot be read|the answer"):
        read_json(f'{{{BASE},"ratings":{{"left":{{"depth":{value}}}}}}}'.encode())


@pytest.mark.parametrize(
    "extra",
    [
        '"model_left":"x"',
        '"excluded":true',
        '"role":"owner"',
        '"created_at":"2020-01-01"',
        '"annotator_id":"a"',
        '"ratings":{"left":{"":3}}',
        '"acceptability":{"left":1}',
        '"acceptability":{"middle":true}',
        '"strength":0',
        '"strength":4',
        '"strength":"2"',
        '"strength":true',
        '"reading":{"left":1.5}',
        '"reading":{"left":NaN}',
        '"reading":{"left":true}',
        '"reading":{"first_view_ms":1.5}',
        '"reading":{"middle":0.5}',
        '"edit_reason":3',
        f'"recognised_guess":"{"x" * 201}"',
        '"ratings":{"middle":{}}',
        '"preference":"model"',
        '"flagged":1',
        '"comment":"a\\u0000b"',
        '"base_revision":1',
        '"active_ms":-1',
        '"spans":[{"side":"left","start":0,"end":1,"quote":"x","type":"other","severity":"awful"}]',
        '"spans":[{"side":"left","start":"0","end":1,"quote":"x","type":"other","severity":"minor"}]',
        f'"spans":[{{{SPAN},"evidence":[{{"id":"0123456789abcdef","verdict":"stolen"}}]}}]',
        f'"spans":[{{{SPAN},"evidence":[{{"id":"x","verdict":"similar"}}]}}]',
        f'"spans":[{{{SPAN},"evidence":[{{"id":"0123456789abcdef","verdict":"similar","is_decoy":true}}]}}]',
        f'"spans":[{{{SPAN},"no_evidence":"yes"}}]',
        '"spans":[{"side":"left","start":0,"end":1,"quote":"x","type":"other","severity":"minor","is_decoy":true}]',
    ],
)
def test_unknown_and_ill_typed_fields_are_refused_by_name(extra):
    with pytest.raises(InvalidInputError) as refused:
        read_json(f"{{{BASE},{extra}}}".encode())
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"null", b"\xff", b"[" * 100_000, b'{"a":' * 100_000])
def test_what_is_no_answer_is_refused_in_words(body):
    with pytest.raises(InvalidInputError):
        read_json(body)


def test_a_plain_form_says_the_same_as_json():
    ratings = {f"{side}_{name}": "4" for side in ("left", "right") for name in DIMENSION_NAMES}
    fields = {"idempotency_key": "attempt-1", "base_revision": "2", "preference": "tie_bad", "flagged": "on"} | ratings
    fields |= {"left_acceptable": "yes", "right_acceptable": "no", "strength": "", "edit_reason": "a slip"}
    answer = read_form(fields.items())
    assert answer.base_revision == 2
    assert answer.preference == "tie_bad"
    assert answer.flagged is True
    assert answer.recognised_model is False
    assert answer.spans is None
    assert answer.acceptable() == {"left": True, "right": False}
    assert (answer.strength, answer.edit_reason) == (None, "a slip")
    assert answer.by_side() == {side: dict.fromkeys(DIMENSION_NAMES, 4) for side in ("left", "right")}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("left_depth", "5.0"),
        ("left_depth", "９"),
        ("left_depth", ""),
        ("left_depth", "7"),
        ("flagged", "1"),
        ("model", "x"),
        ("left_acceptable", "1"),
        ("strength", "much"),
        ("strength", "4"),
    ],
)
def test_a_plain_form_is_as_strict_as_json(name, value):
    fields = {"idempotency_key": "attempt-1", "base_revision": "0", name: value}
    with pytest.raises(InvalidInputError, match=name.removeprefix("left_")):
        read_form(fields.items())


def test_a_field_sent_twice_is_refused():
    with pytest.raises(InvalidInputError, match="twice"):
        read_form([("left_depth", "5"), ("left_depth", "1")])
    with pytest.raises(InvalidInputError, match="twice"):
        read_json(f'{{{BASE},"comment":"a","comment":"b"}}'.encode())
