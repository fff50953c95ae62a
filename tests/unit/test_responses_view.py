"""Small parts of a response's page: masks of picked tokens, addresses that keep what was chosen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import QueryParams

from app.responses.asked import after_reading, asked_from
from app.responses.queries import Stored
from app.responses.view import bits, mask, rank_words
from app.shift.classes import Thresholds
from models import BasePrompt, Response, Trace


def test_a_mask_written_by_hand():
    # Tokens 0 and 5 of 6: bit 0 of the first digit is 1, bit 1 of the second is 2.
    assert mask([0, 5], 6) == "12"
    assert mask([], 6) == "00"
    assert mask([3], 4) == "8"


@given(st.integers(0, 70).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.integers(0, max(0, n - 1))))))
def test_a_mask_read_back_is_what_was_written(drawn):
    n, positions = drawn
    wanted = sorted(positions) if n else []
    assert [index for index, bit in enumerate(bits(mask(wanted, n), n)) if bit] == wanted
    assert bits("", n) == [False] * n


@pytest.mark.parametrize(
    ("thresholds", "words"),
    [
        (Thresholds(), ("Rank 1", "Rank 2–3", "Above 3")),
        (Thresholds(1, 2), ("Rank 1", "Rank 2", "Above 2")),
        (Thresholds(10, 1000), ("Rank 1–10", "Rank 11–1,000", "Above 1,000")),
    ],
)
def test_ranks_in_words(thresholds, words):
    assert rank_words(thresholds) == words


def stored(*readings: tuple[str, BasePrompt], writer: str = "sft") -> Stored:
    response = Response(
        checkpoint=writer, prompt="", prompt_ids=[], text="", text_sha256="", token_ids=[], finish="stop", run={}
    )
    traces = [
        Trace(response_id="r", checkpoint=name, reference="base", base_prompt=base_prompt, kl_kind="exact", dtype="")
        for name, base_prompt in readings
    ]
    return Stored(response, tuple(traces), (), "")


SAME, PLAIN, FEW = BasePrompt


@pytest.mark.parametrize(
    ("query", "readings", "checkpoint", "base_prompt", "against"),
    [
        ("", [], "sft", SAME, None),
        ("", [("lft", SAME), ("sft", SAME)], "sft", SAME, None),
        ("", [("base", SAME), ("lft", PLAIN)], "lft", PLAIN, None),
        ("", [("sft", PLAIN), ("sft", SAME)], "sft", SAME, None),
        ("base_prompt=plain", [("sft", PLAIN), ("sft", SAME)], "sft", PLAIN, SAME),
        ("base_prompt=plain", [("sft", SAME)], "sft", PLAIN, None),
        ("base_prompt=plain&against=few_shot", [("sft", PLAIN), ("sft", FEW)], "sft", PLAIN, FEW),
        ("base_prompt=plain&against=plain", [("sft", PLAIN)], "sft", PLAIN, None),
        ("checkpoint=lft&base_prompt=", [("sft", SAME)], "lft", SAME, None),
    ],
)
def test_what_a_link_leaves_open_is_filled_in(query, readings, checkpoint, base_prompt, against):
    asked = asked_from(QueryParams(query), stored(*readings))
    assert (asked.checkpoint, asked.base_prompt, asked.against) == (checkpoint, base_prompt, against)


def test_links_keep_what_was_chosen_and_nothing_else():
    asked = asked_from(QueryParams("measure=surprisal&lane=a&lane=b%26c&evil=1&pick=first&of=a&of=b"), stored())
    assert asked.url("/r", pick=None, of=None) == "/r?measure=surprisal&lane=a&lane=b%26c"
    assert asked.url("/r", lane=["x"], pick="changed", of=None, measure=None) == "/r?lane=x&pick=changed"
    assert asked_from(QueryParams(""), stored()).url("/r") == "/r"


def test_a_new_reading_is_compared_with_the_one_that_was_seen():
    seen = "checkpoint=sft&base_prompt=same_ids&against=plain&mode=tokenizer&pick=first&of=a&next=//evil"
    said = after_reading("r1", seen, "lft", "few_shot")
    assert said == "/responses/r1?mode=tokenizer&checkpoint=sft&base_prompt=few_shot&against=same_ids"
    assert after_reading("r1", "", "lft", "same_ids") == "/responses/r1?checkpoint=lft&base_prompt=same_ids"
