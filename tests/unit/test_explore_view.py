"""What the page is given: words for every state, safe text, honest numbers."""

import html
import math
import re

import pytest
from bs4 import BeautifulSoup

from app.shift.trace import TokenShift
from app.tokens.answer import Answer
from app.tokens.panel import panel_view, percent
from app.tokens.spelling import visible
from app.tokens.view import MARKS, column_view, token_views
from app.web.templates import fragment
from models import RunState

BYTES = {1: b"<script>alert(1)</script>", 2: b'<img src=x hx-get="/x" onerror=y>', 3: b"\r\n", 4: "\u202e".encode()}
BYTES |= {5: b"\xe2\x98", 6: b"\x95", 7: b"<|end|>", 8: b" ", 9: b"", 10: b"\n\n"}


def shift(token: int, rank: int = 1, **over: object) -> TokenShift:
    top = ((token, -0.5), (90, -1.5), (91, -3.0))
    values = {
        "id": token,
        "base_rank": rank,
        "base_logprob": -0.5,
        "tuned_rank": 1,
        "tuned_logprob": -0.25,
        "kl_tuned_base": 0.5,
        "kl_base_tuned": 0.25,
        "ties": 0,
        "near_border": False,
        "base_entropy": None,
        "tuned_entropy": None,
        "top_base": top,
        "top_tuned": ((token, -0.25), (92, -2.0)),
    }
    return TokenShift(**(values | over))


def answer(*tokens: tuple[int, str, TokenShift | None], **over: object) -> Answer:
    ids, texts, shifts = zip(*tokens, strict=True) if tokens else ((), (), ())
    values = {"position": 0, "checkpoint": "lft", "role": "lft", "reference": "base", "state": RunState.DONE}
    values |= {"name": BYTES.get, "ids": ids, "texts": texts, "shifts": shifts, "finish": "stop"}
    return Answer(**(values | over))


def test_hostile_tokens_are_text_and_their_texts_joined_are_the_response() -> None:
    said = answer(*((token, BYTES[token].decode(), shift(token)) for token in (1, 2, 3, 4)))
    for name, context in (
        ("explore/_spans.html", {"tokens": token_views(said, range(4))}),
        ("explore/_column.html", {"column": column_view(said)}),
    ):
        markup = fragment(name, **context)
        soup = BeautifulSoup(markup, "html.parser")
        assert not soup.select("script, img, [hx-get], [onerror]")
        # The parser folds white space, so the text is read from the markup.
        assert html.unescape("".join(re.findall(r"<span [^>]*data-i[^>]*>([^<]*)</span>", markup))) == said.text
    panel = BeautifulSoup(fragment("explore/_panel.html", panel=panel_view(said, 1)), "html.parser")
    assert not panel.select("script, img, [hx-get], [onerror]")
    assert panel.select_one(".token-text").get_text() == '<img␣src=x␣hx-get="/x"␣onerror=y>'


def test_what_cannot_be_seen_is_drawn_or_spoken() -> None:
    said = answer(
        (5, "", shift(5)), (6, "☕", shift(6, 2)), (8, " ", shift(8, 7)), (10, "\n\n", None), (7, "", shift(7))
    )
    views = token_views(said, range(5))
    assert [view.ghost for view in views] == ["·", "", "", "⏎", "<|end|>"]
    # Where the text says it all, nothing is repeated.
    assert [view.spoken for view in views] == ["part of a character", "", "space", "line break line break", "<|end|>"]
    assert [view.rank for view in views] == [1, 2, 7, None, 1]
    assert [view.css for view in views] == [
        "shift-unshifted",
        "shift-marginal",
        "shift-shifted",
        "shift-pending",
        "shift-unshifted",
    ]


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b" the", "␣the"),
        (b"\n\t", "⏎⇥"),
        (b"\xe2\x98", "·e2 98"),
        ("\u202e".encode(), "\\u202e"),
        (b"\x00", "\\u0000"),
        (b"", "∅"),
        (None, "id 9"),
    ],
)
def test_a_token_is_spelled_so_that_everything_shows(raw: bytes | None, shown: str) -> None:
    assert visible(raw, 9) == shown


def test_marks_are_one_table_for_legend_and_tokens() -> None:
    css = {mark.css for mark in MARKS}
    near = token_views(answer((8, " ", shift(8, 3, near_border=True))), [0])[0]
    assert set(near.css.split()) == {"shift-marginal", "near-border"} <= css


@pytest.mark.parametrize(
    ("state", "n", "finish", "words"),
    [
        (RunState.PENDING, 0, "", "waiting"),
        (RunState.RUNNING, 0, "", "waiting for the first token"),
        (RunState.RUNNING, 2, "", "streaming · 2 tokens"),
        (RunState.DONE, 1, "stop", "done: 1 token · end of sequence"),
        (RunState.DONE, 2, "length", "done: 2 tokens · reached max tokens"),
        (RunState.STOPPED, 2, "", "stopped after 2 tokens"),
        (RunState.FAILED, 0, "", "failed"),
        (RunState.FAILED, 2, "", "failed after 2 tokens"),
        (RunState.INTERRUPTED, 0, "", "interrupted"),
        (RunState.INTERRUPTED, 2, "", "interrupted after 2 tokens"),
    ],
)
def test_every_state_has_words(state: RunState, n: int, finish: str, words: str) -> None:
    tokens = [(8, " ", shift(8))] * n
    assert column_view(answer(*tokens, state=state, finish=finish)).words == words


def test_the_bars_split_the_first_twentieth() -> None:
    # 21 tokens: the first ceil(21 / 20) = 2, then 19.
    said = answer(*([(8, " ", shift(8, 7))] * 2 + [(8, " ", shift(8))] * 19), kl_kind="exact")
    whole, first, last = column_view(said).bars
    assert [segment.count for segment in whole.segments] == [19, 0, 2]
    assert [(bar.title, bar.n) for bar in (first, last)] == [("First 5 % · 2 tokens", 2), ("Last 95 % · 19 tokens", 19)]
    assert whole.mean_kl == "0.500 nats"
    assert math.isclose(sum(segment.width for segment in whole.segments), 100, abs_tol=0.01)


def test_a_panel_aligns_by_id_and_gives_the_rest_its_row() -> None:
    panel = panel_view(answer((8, " ", shift(8))), 0)
    assert [row.id for row in panel.rows] == [8, 90, 92, 91]
    # Base lists e^-0.5 + e^-1.5 + e^-3.0 = 0.6065 + 0.2231 + 0.0498 = 0.8794, so 12.1 % is left.
    assert panel.rest is not None
    assert panel.rest.base.words == "12.1 %"
    # Tuned lists e^-0.25 + e^-2.0 = 0.7788 + 0.1353 = 0.9141, so 8.59 % is left.
    assert panel.rest.tuned.words == "8.59 %"
    # 92 is beyond base's list, whose last entry has e^-3.0 = 4.98 %.
    assert (panel.rows[2].base.words, panel.rows[2].base.rank) == ("< 4.98 %", "")


def test_lower_bounds_infinities_and_ties_are_said() -> None:
    bound = panel_view(answer((8, " ", shift(8, ties=2))), 0)
    facts = {name: (value, note) for name, value, note in bound.facts}
    assert facts["KL(tuned ‖ base)"] == ("≥ 0.500 nats", "a lower bound, from the listed ids")
    assert facts["Rank under base"][0] == "1, tied with 2"
    assert "Entropy of base" not in facts
    unseen = panel_view(answer((7, "", shift(7, 99, base_logprob=None, kl_tuned_base=None)), kl_kind="exact"), 0)
    assert {name: value for name, value, _ in unseen.facts}["KL(tuned ‖ base)"].startswith("infinite")
    assert unseen.rows[0].base.words == "none"


@pytest.mark.parametrize(
    ("probability", "words"),
    [(1.0, "100.0 %"), (0.1, "10.0 %"), (0.0345, "3.45 %"), (0.00045, "0.045 %"), (4.5e-9, "4.5e-07 %"), (0.0, "0 %")],
)
def test_small_probabilities_stay_apart_from_nothing(probability: float, words: str) -> None:
    assert percent(probability) == words
