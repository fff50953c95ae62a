"""Exclusion rules: which judgments they meet, what a form must say, and that counting adds up."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.monitor.exclusions import (
    WITHDRAWN,
    Person,
    Rule,
    matched,
    meets,
    people_of,
    reasons,
)
from app.monitor.rule_forms import KINDS, BadRuleError, read_rule, sentence, title_of
from app.monitor.taken_out import met_by, taken_out
from app.monitor.taken_out import tally as tally_in
from tests.unit.monitor_reference import sheet
from tests.unit.test_monitor_rules import ANSWERS, vote

PIDS = ("a1", "a2")


def tally(given_, people, rules):
    made = sheet(given_)
    return tally_in(made, taken_out(rules, made, people))


def someone(**over):
    return Person(**{"pid": "a1"} | over)


@pytest.mark.parametrize(
    ("rule", "answer", "person", "met"),
    [
        (Rule("min_active", {"seconds": 5.0}), vote(active_ms=4_999), someone(), True),
        (Rule("min_active", {"seconds": 5.0}), vote(active_ms=5_000), someone(), False),
        (Rule("gold_failed", {"share": 0.5, "min_n": 2}), vote(), someone(gold_asked=2, gold_right=1), True),
        (Rule("gold_failed", {"share": 0.5, "min_n": 2}), vote(), someone(gold_asked=3, gold_right=2), False),
        (Rule("gold_failed", {"share": 0.5, "min_n": 2}), vote(), someone(gold_asked=1, gold_right=0), False),
        (Rule("gold_failed", {"share": 0.5, "min_n": 1}), vote(), someone(), False),
        # 19 of 20 are 95 %, and 11 of 20 are 55 %.
        (Rule("straight_lining", {"share": 0.95, "min_n": 20}), vote(), someone(answers={"left": 19, "x": 1}), True),
        (Rule("straight_lining", {"share": 0.55, "min_n": 20}), vote(), someone(answers={"left": 11, "x": 9}), True),
        (Rule("straight_lining", {"share": 0.95, "min_n": 21}), vote(), someone(answers={"left": 19, "x": 1}), False),
        (Rule("straight_lining", {"share": 0.95, "min_n": 5}), vote(), someone(answers={"left": 9, "x": 1}), False),
        (Rule("straight_lining", {"share": 0.95, "min_n": 1}), vote(), someone(), False),
        (Rule("annotator", {"annotator": "a1"}), vote(), someone(), True),
        (Rule("annotator", {"annotator": "a2"}), vote(), someone(), False),
        (Rule("recognised", {}), vote(recognised=True), someone(), True),
        (Rule("recognised", {}), vote(), someone(), False),
        (Rule("comprehension", {}), vote(), someone(passed=False), True),
        (Rule("comprehension", {}), vote(), someone(passed=True), False),
        # A study without a check has nobody who skipped it.
        (Rule("comprehension", {}), vote(), someone(passed=None), False),
        (Rule("outdated_guidelines", {"version": 2}), vote(guideline_version=1), someone(), True),
        (Rule("outdated_guidelines", {"version": 2}), vote(guideline_version=2), someone(), False),
        (Rule(WITHDRAWN, {}), vote(), someone(withdrawn=True), True),
        (Rule(WITHDRAWN, {}), vote(), someone(), False),
    ],
)  # fmt: skip
def test_each_rule_meets_what_it_says(rule, answer, person, met):
    assert meets(rule, answer, person) is met
    assert reasons([rule], answer, {"u1": person}) == ([rule.name] if met else [])


def test_people_are_counted_from_regular_and_gold_judgments_apart():
    given_ = [
        vote(0, "left"),
        vote(1, "tie_good"),
        vote(2, "cannot_judge"),
        vote(3, "left", item_kind="gold", expected="better", better_arm_id="lft"),
        vote(4, "right", item_kind="gold", expected="better", better_arm_id="lft"),
        vote(5, "left", item_kind="practice", expected="better", better_arm_id="lft"),
    ]
    assert people_of(given_, {"u1": someone(), "u2": someone(pid="a2")}) == {
        "u1": someone(answers={"left": 1, "tie_good": 1}, gold_asked=2, gold_right=1),
        "u2": someone(pid="a2"),
    }


def test_counts_leave_practice_and_gold_out():
    given_ = [vote(0), vote(1, active_ms=1), vote(2, pair_id="other"), vote(3, item_kind="gold")]
    rule = Rule("min_active", {"seconds": 1.0})
    people = {"u1": someone()}
    assert tally(given_, people, []).judgments == 3
    after = tally(given_, people, [rule])
    assert (after.judgments, after.annotators, dict(after.pairs)) == (2, 1, {"pair": 1, "other": 1})
    assert matched(iter(given_), people, [rule, Rule("recognised", {})]) == [(1, 1), (0, 0)]
    assert met_by([rule, Rule("recognised", {})], sheet(given_), people) == [(1, 1), (0, 0)]


RULES = st.sampled_from(
    [
        Rule("min_active", {"seconds": 3.0}),
        Rule("gold_failed", {"share": 0.5, "min_n": 1}),
        Rule("straight_lining", {"share": 0.9, "min_n": 3}),
        Rule("annotator", {"annotator": "a2"}),
        Rule("recognised", {}),
        Rule("outdated_guidelines", {"version": 2}),
        Rule(WITHDRAWN, {}),
    ]
)


@st.composite
def studies(draw):
    kinds = st.sampled_from(["regular", "regular", "gold"])
    rows = draw(
        st.lists(
            st.tuples(
                st.sampled_from(ANSWERS), st.sampled_from(["u1", "u2"]), kinds, st.integers(0, 6_000), st.booleans(),
                st.integers(1, 2),
            ),
            max_size=25,
        )
    )  # fmt: skip
    given_ = [
        vote(
            at, answer, annotator_id=who, item_kind=kind, active_ms=ms, recognised=said, guideline_version=version,
            expected="tie_good" if kind == "gold" else "",
        )
        for at, (answer, who, kind, ms, said, version) in enumerate(rows)
    ]  # fmt: skip
    members = {"u1": someone(withdrawn=draw(st.booleans())), "u2": someone(pid="a2")}
    return given_, people_of(given_, members)


@given(studies(), st.lists(RULES, max_size=4))
def test_rules_only_ever_take_out_and_in_any_order(study, rules):
    given_, people = study
    everything, remaining = tally(given_, people, []), tally(given_, people, rules)
    assert remaining.judgments <= everything.judgments
    assert sum(remaining.pairs.values()) == remaining.judgments
    assert remaining == tally(given_, people, list(reversed(rules)))
    by_hand = [one for one in given_ if one.item_kind == "regular" and not reasons(rules, one, people)]
    assert remaining.judgments == len(by_hand)
    assert met_by(rules, sheet(given_), people) == matched(given_, people, rules)
    if len(rules) == 1:
        assert everything.judgments - remaining.judgments == matched(given_, people, rules)[0][0]


@given(studies(), RULES, RULES)
def test_taking_a_rule_back_restores_the_counts(study, rule, other):
    given_, people = study
    before = tally(given_, people, [rule])
    tally(given_, people, [rule, other])
    assert tally(given_, people, [rule]) == before


def test_no_rule_can_look_at_which_arm_won():
    people = {"u1": someone()}
    for name, settings in (
        ("min_active", {"seconds": 5.0}),
        ("recognised", {}),
        ("outdated_guidelines", {"version": 1}),
    ):
        one = vote(0, "left")
        swapped = replace(one, left_arm_id="sft", right_arm_id="lft")
        assert reasons([Rule(name, settings)], one, people) == reasons([Rule(name, settings)], swapped, people)


@pytest.mark.parametrize(
    ("name", "typed", "settings"),
    [
        ("min_active", {"seconds": "2.5"}, {"seconds": 2.5}),
        ("gold_failed", {"share": "50", "min_n": "2"}, {"share": 0.5, "min_n": 2}),
        ("straight_lining", {"share": " 95 ", "min_n": "10"}, {"share": 0.95, "min_n": 10}),
        ("recognised", {"seconds": "ignored"}, {}),
        ("comprehension", {}, {}),
        ("outdated_guidelines", {"version": "3"}, {"version": 3}),
        ("annotator", {"annotator": "a2"}, {"annotator": "a2"}),
    ],
)
def test_forms_are_read(name, typed, settings):
    assert read_rule(name, typed, pids=PIDS, reason="because") == settings
    assert sentence(name, settings)
    assert title_of(name) == KINDS[name].title


@pytest.mark.parametrize(
    ("name", "typed", "reason", "problem"),
    [
        ("nonsense", {}, "", "There is no rule 'nonsense'"),
        ("min_active", {}, "", "Least active time"),
        ("min_active", {"seconds": "-1"}, "", "above 0"),
        ("min_active", {"seconds": "nan"}, "", "above 0"),
        ("min_active", {"seconds": "inf"}, "", "above 0"),
        ("min_active", {"seconds": "1_0"}, "", "above 0"),
        ("min_active", {"seconds": "٣"}, "", "above 0"),
        ("gold_failed", {"share": "101", "min_n": "2"}, "", "up to 100"),
        ("gold_failed", {"share": "50", "min_n": "2.5"}, "", "whole number"),
        ("gold_failed", {"share": "50", "min_n": "0"}, "", "whole number"),
        ("outdated_guidelines", {"version": "9" * 40}, "", "whole number"),
        ("annotator", {"annotator": "a9"}, "because", "choose one of this study's annotators"),
        ("annotator", {"annotator": "a1"}, "  ", "Reason"),
        ("recognised", {}, "x" * 1_001, "limit is 1000"),
    ],
)
def test_forms_are_refused_with_the_field_and_what_would_be_right(name, typed, reason, problem):
    with pytest.raises(BadRuleError, match=problem):
        read_rule(name, typed, pids=PIDS, reason=reason)


def test_the_policy_reads_as_a_rule():
    assert sentence(WITHDRAWN, {}) == "Annotators who withdrew (the study's policy)"
    assert "Withdrawn" in title_of(WITHDRAWN)
