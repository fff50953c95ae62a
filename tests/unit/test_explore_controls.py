"""How tokens are shown: the query string, links, spelling, and what panels and columns make of it."""

import json

import pytest
from bs4 import BeautifulSoup

from app.shift.classes import Thresholds
from app.shift.measures import BY_NAME, MEASURES
from app.tokens.controls import MAX_PINS, Shown, shown_from
from app.tokens.links import Links, comparison_links, response_links
from app.tokens.measures_json import measures_json
from app.tokens.panel import panel_view, pinned_views
from app.tokens.spelling import begun, spelled, visible
from app.tokens.view import column_view, marks_for, token_views
from app.web.templates import fragment
from models import RunState
from tests.unit.test_explore_view import answer, shift


def test_a_query_string_and_what_it_shows_are_one() -> None:
    query = {"measure": "surprisal", "unshifted": "2", "marginal": "9", "mode": "tokenizer", "chart": "cumulative"}
    shown = shown_from(query | {"pin": "0-12,1-30,0-12"})
    assert shown == Shown(
        BY_NAME["surprisal"], Thresholds(2, 9), "tokenizer", "cumulative", pins=((0, 12), (1, 30)), problem=""
    )
    assert shown.query == "measure=surprisal&unshifted=2&marginal=9&mode=tokenizer&chart=cumulative&pin=0-12,1-30"
    assert shown_from({}) == Shown()
    assert Shown().query == ""


@pytest.mark.parametrize(
    ("unshifted", "marginal", "said"),
    [
        ("3", "3", "must be above the largest unshifted one; 3 is not above 3"),
        ("9", "2", "2 is not above 9"),
        ("0", "3", "largest unshifted rank must be a whole number from 1"),
        ("1", "1.5", "largest marginal rank must be a whole number"),
        ("-1", "3", "whole number"),
        ("x", "", "whole number"),
        ("\u0663", "4", "whole number"),
        ("1", "9999999", "whole number from 1 to 1,000,000"),
        ("1", "9" * 5000, "whole number"),
    ],
)
def test_impossible_thresholds_are_refused_in_words(unshifted: str, marginal: str, said: str) -> None:
    shown = shown_from({"unshifted": unshifted, "marginal": marginal})
    assert said in shown.problem
    assert shown.thresholds == Thresholds()


@pytest.mark.parametrize(
    "query", [{"measure": "x"}, {"mode": "x"}, {"pin": "a-b,1,-1-2"}, {"chart": "x"}, {"unshifted": " "}]
)
def test_words_nobody_knows_mean_the_usual(query: dict[str, str]) -> None:
    assert shown_from(query).query in {"", "pin=1-2"}


def test_no_link_pins_a_thousand_tokens() -> None:
    assert len(shown_from({"pin": ",".join(f"0-{n}" for n in range(1000))}).pins) == MAX_PINS


def test_the_words_of_the_legend_follow_the_thresholds() -> None:
    assert [mark.meaning for mark in marks_for(Thresholds(1, 2))[:3]] == [
        "base rank 1",
        "base rank 2",
        "base rank above 2",
    ]
    assert [mark.meaning for mark in marks_for(Thresholds(10, 1000))[:3]] == [
        "base rank 1 to 10",
        "base rank 11 to 1,000",
        "base rank above 1,000",
    ]


def test_thresholds_and_measures_colour_a_column() -> None:
    said = answer((8, " ", shift(8, 3)), (8, " ", shift(8, 12)), (8, " ", None))
    wide = column_view(said, shown=Shown(thresholds=Thresholds(3, 12)))
    assert [token.css for token in wide.tokens] == ["shift-unshifted", "shift-marginal", "shift-pending"]
    assert [segment.count for segment in wide.bars[0].segments] == [1, 1, 0]
    ranked = column_view(said, shown=Shown(measure=BY_NAME["base_rank"]))
    assert [token.css for token in ranked.tokens] == ["heat-1", "heat-3", "shift-pending"]
    unknown = column_view(answer((8, " ", shift(8))), shown=Shown(measure=BY_NAME["base_entropy"]))
    assert unknown.tokens[0].css == "heat-missing"
    # While tokens arrive they show their class; other colours come when all are there.
    running = column_view(answer((8, " ", shift(8, 3)), state=RunState.RUNNING), shown=Shown(BY_NAME["base_rank"]))
    assert running.tokens[0].css == "shift-marginal"


def test_links_exist_when_what_they_lead_to_does() -> None:
    live = answer((8, " ", shift(8)))
    assert comparison_links("c", live, ("base", "lft")) == Links("/explore/c/responses/0/tokens/{i}")
    stored = answer((8, " ", shift(8)), response_id="r", run={"base_prompt": "plain"})
    links = comparison_links("c", stored, ("base", "sft", "lft"))
    assert links.measures == "/responses/r/measures?checkpoint=lft&base_prompt=plain"
    assert (links.fork, links.page, links.choices, links.chosen) == (
        "/responses/r/fork",
        "/responses/r",
        ("lft", "base", "sft"),
        2,
    )
    pending = answer((8, " ", None), response_id="r", checkpoint="a b")
    links = response_links(pending, base_prompt="same_ids")
    assert links.panel == "/responses/r/tokens/{i}?checkpoint=a+b&base_prompt=same_ids"
    # Nothing is scored, and no checkpoint could go on.
    assert (links.measures, links.fork) == ("", "")


@pytest.mark.parametrize(
    ("raws", "bytes_"),
    [
        ([], b""),
        ([b"a"], b""),
        ([b"a", b"\xe2"], b"\xe2"),
        ([b"\xe2", b"\x98"], b"\xe2\x98"),
        ([b"\xe2", b"\x98", b"\x95"], b""),
        ([b"\xf0\x9f", b"\x99"], b"\xf0\x9f\x99"),
        ([b"\xf0", b"\x9f", b"\x99", b"\x82"], b""),
        ([b"\x98"], b""),
    ],
)
def test_a_character_that_has_begun_is_known(raws: list[bytes], bytes_: bytes) -> None:
    assert begun(raws) == bytes_


def test_alternatives_are_read_after_what_stands_before_them() -> None:
    # Token 5 began the cup; 6 completes it, and so would an alternative with another last byte.
    top = ((6, -0.5), (20, -1.0), (21, -2.0), (8, -3.0))
    names = {5: b"\xe2\x98", 6: b"\x95", 20: b"\x83", 21: b"\xff", 8: b" "}
    said = answer((5, "", shift(5)), (6, "☕", shift(6, top_base=top, top_tuned=top)), name=names.get)
    panel = panel_view(said, 1)
    assert {row.id: (row.text, row.hex) for row in panel.rows} == {
        6: ("☕", "95"),
        20: ("☃", "83"),
        21: ("·ff", "ff"),
        8: ("␣", "20"),
    }
    assert panel.text == "☕·95"
    assert visible(b"\x83", 20) == "·83"
    assert spelled("", b"\xe2\x98", 5) == "·e2 98"
    assert spelled("", b"<|end|>", 7) == "<|end|>"


def test_alternatives_that_look_alike_are_told_apart_by_id() -> None:
    top = ((8, -0.5), (9, -1.0), (10, -2.0))
    names = {8: b"a", 9: b"a", 10: b"b"}
    panel = panel_view(answer((8, "a", shift(8, top_base=top, top_tuned=top)), name=names.get), 0)
    assert [(row.id, row.twin) for row in panel.rows] == [(8, True), (9, True), (10, False)]
    soup = BeautifulSoup(fragment("explore/_panel.html", panel=panel), "html.parser")
    assert len(soup.select(".token-twin")) == 2


@pytest.mark.parametrize(
    ("top_base", "said"),
    [
        (((8, -0.5), (92, -0.9)), "its first choice was id 92 (id 92), base rank 2: marginal"),
        (((8, -0.5), (92, -0.5)), "its first choice was id 92 (id 92), base rank 1: unshifted"),
        (((8, -0.5), (90, -0.9)), "its first choice was id 92 (id 92), below base's first 2"),
        (tuple((n, -0.5) for n in range(4)), "its first choice was id 92 (id 92), below base's first 4: shifted"),
    ],
)
def test_another_first_choice_of_the_tuned_model_is_said_with_its_class(top_base, said: str) -> None:
    drawn = shift(8, tuned_rank=3, top_base=top_base, top_tuned=((92, -0.1), (8, -2.0)))
    facts = {name: (value, note) for name, value, note in panel_view(answer((8, " ", drawn)), 0).facts}
    assert facts["Rank under tuned"] == ("3", said)
    assert token_views(answer((8, " ", drawn)), [0])[0].passed_over
    assert not token_views(answer((8, " ", shift(8))), [0])[0].passed_over


def test_a_panel_says_the_class_under_the_thresholds_asked_for() -> None:
    said = answer((8, " ", shift(8, 3, near_border=True)))
    usual, wide = panel_view(said, 0), panel_view(said, 0, shown=Shown(thresholds=Thresholds(3, 4)))
    assert (usual.mark.name, usual.near_border) == ("marginal", True)
    # Nearness to a border was found for the usual borders.
    assert (wide.mark.name, wide.mark.meaning, wide.near_border) == ("unshifted", "base rank 1 to 3", False)


def test_only_pins_that_exist_are_shown() -> None:
    answers = [answer((8, " ", shift(8))), answer((8, " ", shift(8)), position=1)]
    shown = Shown(pins=((1, 0), (0, 5), (7, 0), (0, 0)))
    panels = pinned_views(answers, [Links(), Links()], shown)
    assert [(panel.position, panel.index) for panel in panels] == [(1, 0), (0, 0)]


def test_the_json_of_measures_has_a_place_for_every_token() -> None:
    said = answer((8, " ", shift(8, 12)), (8, " ", None), (8, " ", shift(8, kl_tuned_base=1 / 3)), response_id="r")
    found = json.loads(json.dumps(measures_json(said, base_prompt="plain"), allow_nan=False))
    assert (found["response_id"], found["n"], found["base_prompt"], found["kl_kind"]) == (
        "r",
        3,
        "plain",
        "lower_bound",
    )
    assert list(found["measures"]) == [measure.name for measure in MEASURES]
    assert found["measures"]["base_rank"] == {"values": [12, None, 1], "levels": [3, None, 0]}
    assert found["measures"]["kl_tuned_base"]["values"] == [0.5, None, 0.333333]
    # 0.5, nothing, 0.5 + 1/3
    assert found["cumulative"]["kl_tuned_base"] == [0.5, 0.5, 0.833333]
