"""The public line of a scored response has exactly the promised keys and survives strict JSON."""

import json
import math

from app.engines.protocol import Scores
from app.shift.record import score_record, summary_dict
from app.shift.summary import summarise_ranks
from app.shift.trace import TokenShift


def shift(**over: object) -> TokenShift:
    values = {
        "id": 5,
        "base_rank": 4,
        "base_logprob": -2.5,
        "tuned_rank": 1,
        "tuned_logprob": -0.5,
        "kl_tuned_base": 0.75,
        "kl_base_tuned": 1.25,
        "ties": 0,
        "near_border": True,
        "base_entropy": 2.0,
        "tuned_entropy": 1.0,
        "top_base": ((7, -0.25), (5, -2.5)),
        "top_tuned": ((5, -0.5),),
    }
    return TokenShift(**(values | over))


def scores(*tokens: TokenShift) -> Scores:
    return Scores(tokens, "exact", "float32", 0.001, "local", "1.2")


def test_a_line_spells_out_a_response() -> None:
    assert score_record("q1", [1, 2], scores(shift()), [("é", b"\xc3\xa9")]) == {
        "id": "q1",
        "engine": "local",
        "engine_version": "1.2",
        "dtype": "float32",
        "border_width": 0.001,
        "kl_kind": "exact",
        "prompt_ids": [1, 2],
        "summary": {
            "unshifted": 0,
            "marginal": 0,
            "shifted": 1,
            "n": 1,
            "mean_kl_tuned_base": 0.75,
            "mean_kl_base_tuned": 1.25,
            # One token: ceil(0.05 * 1) = 1, so all of it is the first 5 %.
            "first5": {
                "unshifted": 0,
                "marginal": 0,
                "shifted": 1,
                "n": 1,
                "mean_kl_tuned_base": 0.75,
                "mean_kl_base_tuned": 1.25,
            },
            "last95": {
                "unshifted": 0,
                "marginal": 0,
                "shifted": 0,
                "n": 0,
                "mean_kl_tuned_base": None,
                "mean_kl_base_tuned": None,
            },
        },
        "tokens": [
            {
                "i": 0,
                "id": 5,
                "text": "é",
                "bytes_hex": "c3a9",
                "base_rank": 4,
                "base_logprob": -2.5,
                "tuned_rank": 1,
                "tuned_logprob": -0.5,
                "kl_tuned_base": 0.75,
                "kl_base_tuned": 1.25,
                "class": "shifted",
                "ties": 0,
                "near_border": True,
                "base_entropy": 2.0,
                "tuned_entropy": 1.0,
                "top_base": [[7, -0.25], [5, -2.5]],
                "top_tuned": [[5, -0.5]],
            }
        ],
    }


def test_what_does_not_exist_is_null_in_strict_json() -> None:
    unseen = shift(base_logprob=None, kl_tuned_base=None, top_base=((7, 0.0), (5, -math.inf)))
    line = json.loads(json.dumps(score_record(1, [], scores(unseen), [("", b"\xf0")]), allow_nan=False))
    token = line["tokens"][0]
    assert (token["base_logprob"], token["kl_tuned_base"], token["top_base"][1]) == (None, None, [5, None])
    assert line["summary"]["mean_kl_tuned_base"] is None


def test_a_summary_of_ranks_counts_each_stretch() -> None:
    # 21 tokens: the first ceil(21 / 20) = 2 are shifted and marginal, the other 19 are unshifted.
    summary = summary_dict(summarise_ranks([9, 2, *[1] * 19]))
    counts = {
        part: [summary[part][key] for key in ("unshifted", "marginal", "shifted", "n")] for part in ("first5", "last95")
    }
    assert counts == {"first5": [0, 1, 1, 2], "last95": [19, 0, 0, 19]}
    assert [summary[key] for key in ("unshifted", "marginal", "shifted", "n")] == [19, 1, 1, 21]
