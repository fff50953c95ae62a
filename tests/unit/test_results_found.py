"""Findings of small studies whose numbers are computed by hand in the comments."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.results.report import shifted
from app.results.report.findings import Findings, from_json
from app.results.report.found import found
from app.results.report.tables import Asked, Text, tables_of_rows
from app.results.report.values import Number, differences, flat, part


def judgment(number, item, pid, said, *, left="lft", right="sft", **over):
    values = {
        "item_id": item, "presentation_id": f"p{number}", "annotator_pid": pid, "prompt": f"Prompt {item}",
        "model_left": left, "model_right": right, "preference_raw": said, "strength": None, "first_preference": said,
        "active_ms": 1000 * number, "recognised_model": False, "guideline_version": 1, "excluded": False,
        "exclusion_reason": None, "recognised_guess": "", "stratum": "",
    }  # fmt: skip
    return values | over


# Four people, two prompts. For lft: 3 wins, 2 losses, 1 tie; in two of the six lft stood right.
PREFERENCES = [
    judgment(1, "i1", "a1", "left", strength=3),
    judgment(2, "i1", "a2", "left", strength=1),
    judgment(3, "i1", "a3", "tie_good", recognised_model=True, recognised_guess="A is surely LFT"),
    judgment(4, "i2", "a1", "right", strength=2),
    judgment(5, "i2", "a2", "right", left="sft", right="lft", strength=2, first_preference="left"),
    judgment(6, "i2", "a4", "left", left="sft", right="lft", strength=1),
    judgment(7, "i2", "a3", "cannot_judge"),
]
RATINGS = [
    {"presentation_id": f"p{number}", "side": side, "dimension": "depth", "value": value}
    for number, pair in {1: (5, 3), 2: (4, 4), 4: (2, 3), 5: (1, 4)}.items()
    for side, value in zip(("left", "right"), pair, strict=True)
]


def span(number, side, start, end, severity="minor", causal=None):
    where = {"presentation_id": f"p{number}", "side": side, "start": start, "end": end}
    return where | {"type": "invented", "severity": severity, "causal": causal, "shift": None}


def shown(number, side, start, end, decoy, verdict):
    where = {"presentation_id": f"p{number}", "side": side, "start": start, "end": end}
    return where | {"is_decoy": decoy, "marked": True, "verdict": verdict}


SPANS = [span(1, "right", 0, 2, causal=True), span(2, "right", 1, 3, "major", causal=False), span(5, "right", 0, 1)]
EVIDENCE = [
    shown(1, "right", 0, 2, False, "borrowed"),
    shown(1, "right", 0, 2, True, "unrelated"),
    shown(2, "right", 1, 3, False, "similar"),
    shown(2, "right", 1, 3, True, "borrowed"),
]
TEXTS = {
    (item, arm): Text(10, 5, np.full(5, 2, np.int64), np.asarray([2, 0, 0, 1, 0], np.int8))
    for item in ("i1", "i2")
    for arm in ("lft", "sft")
}


@pytest.fixture(scope="module")
def numbers():
    rows = {"preferences": PREFERENCES, "ratings": RATINGS, "hallucinations": SPANS, "evidence": EVIDENCE}
    return found(tables_of_rows(rows, TEXTS)).numbers


def value(numbers, key):
    return numbers[key].value


def test_counts(numbers):
    found = {name: value(numbers, f"preference.lft~sft.{name}") for name in ("n", "wins", "losses", "cannot_judge")}
    assert found == {"n": 6, "wins": 3, "losses": 2, "cannot_judge": 1}
    assert value(numbers, "preference.lft~sft.ties_good") == 1
    assert value(numbers, "preference.lft~sft.ties_bad") == 0
    assert value(numbers, "preference.lft~sft.changed") == 1


def test_ties_three_ways(numbers):
    # (3 + 1 / 2) / 6; 3 / 5; Davidson's p1 / (p1 + p2) = wins / (wins + losses), nu = ties / sqrt(wins * losses).
    assert value(numbers, "preference.lft~sft.win_rate.half") == pytest.approx(3.5 / 6, abs=1e-12)
    assert value(numbers, "preference.lft~sft.win_rate.dropped") == pytest.approx(0.6, abs=1e-12)
    assert value(numbers, "preference.lft~sft.win_rate.davidson") == pytest.approx(0.6, abs=1e-12)
    assert value(numbers, "preference.lft~sft.davidson_tie") == pytest.approx(1 / 6**0.5, abs=1e-12)


def test_strength(numbers):
    # For lft 3 + 1 + 2, a tie, against 2 + 1: (3 + 1 + 0 - 2 + 2 - 1) / 6.
    assert value(numbers, "preference.lft~sft.strength.mean") == pytest.approx(3 / 6, abs=1e-12)


def test_bradley_terry_of_two_arms_is_the_win_rate(numbers):
    assert value(numbers, "bradley_terry.lft.strength") == pytest.approx(3.5 / 6, abs=1e-9)
    assert value(numbers, "bradley_terry.sft.strength") == pytest.approx(2.5 / 6, abs=1e-9)


def test_dimensions(numbers):
    # lft was rated 5, 4, 2 (left) and 4 (right of judgment 5); sft 3, 4, 3 and 1.
    assert value(numbers, "dimensions.depth.lft.mean") == pytest.approx(15 / 4)
    assert value(numbers, "dimensions.depth.sft.mean") == pytest.approx(11 / 4)
    # Differences 2, 0, -1, 3; means per prompt (2 + 0) / 2 = 1 and (-1 + 3) / 2 = 1: they do not vary.
    assert value(numbers, "dimensions.depth.lft~sft.difference") == pytest.approx(1.0)
    assert numbers["dimensions.depth.lft~sft.d_z"].reason.startswith("no variation")
    assert [value(numbers, f"dimensions.depth.lft~sft.{name}") for name in ("better", "equal", "worse")] == [2, 1, 1]


def test_hallucination(numbers):
    # Marked: sft in judgments 1 and 2, lft (on the right) in judgment 5; six judgments each.
    assert value(numbers, "hallucination.sft.share.any") == pytest.approx(2 / 6)
    assert value(numbers, "hallucination.lft.share.any") == pytest.approx(1 / 6)
    assert value(numbers, "hallucination.sft.share.major") == pytest.approx(1 / 6)
    # Two spans in six responses of 5 tokens and 10 characters.
    assert value(numbers, "hallucination.sft.per_100_tokens.any") == pytest.approx(100 * 2 / 30)
    assert value(numbers, "hallucination.sft.per_1000_characters.any") == pytest.approx(1000 * 2 / 60)
    assert value(numbers, "hallucination.lft~sft.difference.any") == pytest.approx(-1 / 6)
    # One judgment marks only lft, two only sft: both-sided binomial of 1 in 3 is 1.
    assert value(numbers, "hallucination.lft~sft.mcnemar.p.any") == pytest.approx(1.0)


def test_causal_rate_takes_decoys_away(numbers):
    # Of two found instances one was judged borrowed, of two decoys one: 1 / 2 - 1 / 2.
    assert value(numbers, "causal.sft.true_rate") == pytest.approx(0.5)
    assert value(numbers, "causal.sft.decoy_rate") == pytest.approx(0.5)
    assert value(numbers, "causal.sft.rate") == pytest.approx(0.0)
    assert value(numbers, "causal.sft.spans") == 2
    assert "no retrieved instance" in numbers["causal.lft.rate"].reason


def test_shift_compares_marked_tokens_with_the_rest(numbers):
    # Tokens cover two characters each and are shifted, -, -, marginal, -. Of sft, judgment 1 marks token 0 (shifted),
    # judgment 2 tokens 0 and 1. Inside: 2 shifted, 1 not; all six responses have 30 tokens, 6 of them shifted.
    cells = ("inside_with", "inside_without", "outside_with", "outside_without")
    assert [value(numbers, f"shift.sft.shifted.all.{name}") for name in cells] == [2, 1, 4, 23]
    assert value(numbers, "shift.sft.shifted.all.odds_ratio") == pytest.approx((2 * 23) / (1 * 4))
    # The first 5 % of five tokens is one token, which is always shifted.
    assert [value(numbers, f"shift.sft.shifted.first5.{name}") for name in cells] == [2, 0, 4, 0]
    # Borrowed: judgment 1's token 0. Not borrowed: judgment 2's tokens 0 and 1.
    assert [value(numbers, f"shift.sft.shifted.borrowed.{name}") for name in cells] == [1, 0, 1, 1]


def test_position(numbers):
    # lft left: won, won, tied, lost = 2.5 of 4; right: won, lost = 1 of 2. The left side won 2.5 + 1 of 6.
    assert value(numbers, "quality.lft~sft.position.when_left") == pytest.approx(2.5 / 4)
    assert value(numbers, "quality.lft~sft.position.when_right") == pytest.approx(1 / 2)
    assert value(numbers, "quality.lft~sft.position.left_rate") == pytest.approx(3.5 / 6)


def test_blinding(numbers):
    # One of six named the arm that stood left, nobody a wrong one: (1 - 0) / 6.
    assert value(numbers, "quality.lft~sft.blinding") == pytest.approx(1 / 6)
    assert value(numbers, "quality.lft~sft.recognised") == pytest.approx(1 / 6)
    # Without that tie: 3 of 5.
    assert value(numbers, "quality.lft~sft.win_rate_unrecognised") == pytest.approx(3 / 5)


def test_leave_one_out(numbers):
    # Without a1 (won, lost) 2.5 of 4; without a2 (two wins) 1.5 of 4; without a3 (tied) 3 of 5; without a4 (lost) 3.5
    # of 5.
    assert value(numbers, "quality.lft~sft.leave_one_out.low") == pytest.approx(1.5 / 4)
    assert value(numbers, "quality.lft~sft.leave_one_out.low_annotator") == 1
    assert value(numbers, "quality.lft~sft.leave_one_out.high") == pytest.approx(3.5 / 5)


def test_agreement_of_pairs(numbers):
    # Prompt 1: won, won, tied: 1 of 3 pairs agree, none is opposite. Prompt 2: lost, won, lost: 1 of 3 agree, 2 do not.
    assert value(numbers, "agreement.preference.lft~sft.strict") == pytest.approx(2 / 6)
    assert value(numbers, "agreement.preference.lft~sft.relaxed") == pytest.approx(4 / 6)


def test_excluded_judgments_count_only_under_all():
    rows = [row | {"excluded": row["presentation_id"] == "p4"} for row in PREFERENCES]
    findings = found(tables_of_rows({"preferences": rows}, TEXTS))
    assert findings.numbers["judgments.excluded"].value == 1
    assert findings.numbers["preference.lft~sft.losses"].value == 1
    assert findings.numbers["all.preference.lft~sft.losses"].value == 2


def test_what_was_not_asked_is_no_zero():
    tables = tables_of_rows({"preferences": PREFERENCES}, TEXTS)
    asked = found(tables).numbers["hallucination.sft.share.any"]
    assert asked.value == 0
    assert asked.high > 0.2
    never = found(replace(tables, asked=Asked(spans=False, recognised=False))).numbers
    assert never["hallucination.sft.share.any"] == Number(
        None, n=6, reason="the study does not ask for hallucinated spans"
    )
    assert never["quality.lft~sft.recognised"].value is None


def test_nothing_judged_finds_nothing():
    findings = found(tables_of_rows({}))
    assert findings.pairs == ()
    assert all(one.value in {None, 0} for one in findings.numbers.values())


def test_arms_that_were_never_compared_have_no_strengths():
    rows = [*PREFERENCES, judgment(8, "i1", "a9", "left", left="base", right="other")]
    strength = found(tables_of_rows({"preferences": rows}, TEXTS)).numbers["bradley_terry.lft.strength"]
    assert strength.value is None
    assert "base" in strength.reason
    assert "lft" in strength.reason


@given(st.lists(st.sampled_from(["left", "right", "tie_good", "tie_bad", "cannot_judge"]), max_size=12))
def test_any_answers_give_numbers_or_reasons(answers):
    rows = [judgment(at, f"i{at % 3}", f"a{at % 4}x{at}", said) for at, said in enumerate(answers)]
    findings = found(tables_of_rows({"preferences": rows}))
    assert isinstance(findings, Findings)
    assert from_json(findings.to_json()) == findings
    for one in findings.numbers.values():
        assert one.value is not None or one.reason


def test_numbers_are_written_flat_and_compared_to_the_ninth_digit():
    numbers = {
        "a": Number(0.5, 0.25, 0.75, 4),
        "b": Number(None, reason="nothing to count"),
        "c": Number(1, reason="one"),
    }
    written = flat(numbers)
    assert written["a.ci_low"] == 0.25
    assert written["a.n"] == 4
    assert written["b"] == {"value": None, "reason": "nothing to count"}
    assert written["c.ci_high"] == {"value": None, "reason": "one"}
    assert differences(written, written | {"a": 0.5 + 1e-10}) == []
    assert [key for key, _, _ in differences(written, written | {"a": 0.5 + 1e-8})] == ["a"]
    assert [key for key, _, _ in differences(written, {**written, "d": 1})] == ["d"]


def test_a_number_is_never_nan():
    with pytest.raises(ValueError, match="nan is no number"):
        Number(float("nan"))
    with pytest.raises(ValueError, match="needs a reason"):
        Number(None)


def test_names_are_one_part_of_a_key():
    assert part("gpt-4.1 ~x%") == "gpt-4%2E1%20%7Ex%25"


def test_tokens_are_counted_once_for_each_text_and_each_marked_response_and_not_for_each_judgment(monkeypatch):
    counted, covered = [], shifted._covered
    monkeypatch.setattr(shifted, "_covered", lambda *given: counted.append(given) or covered(*given))
    many = [judgment(number, "i1", f"a{number}", "left") for number in range(10, 60)]
    text = Text(characters=4, tokens=2, lengths=np.asarray([2, 2]), classes=np.asarray([0, 2], np.int8))
    rows = {"preferences": many, "hallucinations": [span(12, "left", 0, 2), span(12, "left", 1, 3)]}
    numbers = found(tables_of_rows(rows, {("i1", "lft"): text})).flat()
    assert numbers["shift.lft.responses"] == 50
    assert numbers["shift.lft.moved.all.outside_with"] == 49
    # A text of either arm, and the one response with marks.
    assert len(counted) == 3
