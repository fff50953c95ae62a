"""Every number of the monitor comes from columns; here they are held to the same numbers counted one by one."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.monitor.columns import KnownItem, sheet_of
from app.monitor.described import Meaning, described, nothing
from app.monitor.disagreement import disputed
from app.monitor.exclusions import Person, Rule
from app.monitor.facts import Vote
from app.monitor.gathering import columns_of
from app.monitor.profile import profile_of
from app.monitor.taken_out import taken_out
from app.monitor.twins import Account, find_twins, pairs_alike
from tests.unit.monitor_reference import (
    judged,
    plain_disputed,
    plain_gold,
    plain_profile,
    plain_same_answers,
    plain_taken_out,
    sheet,
)

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PEOPLE = ("u1", "u2", "u3")
ITEMS = {f"i{n}": ("regular", "") for n in range(6)} | {
    "g1": ("gold", "better"),
    "g2": ("gold", "tie_bad"),
    "x1": ("practice", "better"),
}
ARMS = ("base", "lft", "sft")
PAIRS = {"p1": ("base", "lft"), "p2": ("lft", "sft")}
LENGTHS = {f"{item}-{arm}": len(arm) + (item == "i1") for item in ITEMS for arm in (*ARMS, "better", "worse")}


@st.composite
def studies(draw):
    """Judgments by several people of items of every kind, none twice by one person."""
    places = [(who, item, pair) for who in PEOPLE for item in ITEMS for pair in (PAIRS if item[0] == "i" else ["s"])]
    chosen = draw(st.lists(st.sampled_from(places), unique=True, max_size=40))
    found = []
    for at, (who, item, pair) in enumerate(chosen):
        kind, expected = ITEMS[item]
        arms = list(PAIRS.get(pair, ("better", "worse")))
        left, right = draw(st.permutations(arms))
        found.append(
            Vote(
                presentation_id=f"{draw(st.integers(0, 9))}-{at}", annotator_id=who, item_id=item, item_kind=kind,
                pair_id=pair, left_arm_id=left, right_arm_id=right, left_response_id=f"{item}-{left}",
                right_response_id=f"{item}-{right}",
                preference=draw(st.sampled_from(["left", "right", "tie_good", "tie_bad", "cannot_judge"])),
                active_ms=draw(st.integers(0, 9_000)), handed_at=START,
                submitted_at=START + timedelta(seconds=draw(st.integers(0, 40)), microseconds=draw(st.integers(0, 9))),
                recognised=draw(st.booleans()), guess=draw(st.sampled_from(["", " ", "kettle"])),
                flagged=draw(st.booleans()), guideline_version=draw(st.integers(1, 3)), expected=expected,
                better_arm_id="better",
            )
        )  # fmt: skip
    return found


def a_vote(who, item):
    kind, expected = ITEMS[item]
    return Vote(
        presentation_id=f"{who}-{item}", annotator_id=who, item_id=item, item_kind=kind, pair_id="p1",
        left_arm_id="base", right_arm_id="lft", left_response_id=f"{item}-base", right_response_id=f"{item}-lft",
        preference="left", active_ms=5_000, handed_at=START, submitted_at=START, expected=expected,
    )  # fmt: skip


NUMBERS = itertools.count()
MEANING = Meaning({key: KnownItem(*one) for key, one in ITEMS.items()}, LENGTHS, "better")
READ = st.one_of(st.none(), st.floats(0, 1))
MEMBERS = {who: Person(f"a-{who}", withdrawn=who == "u2", passed={"u1": True, "u3": False}.get(who)) for who in PEOPLE}
RULES = [
    Rule("min_active", {"seconds": 4.5}),
    Rule("recognised", {}),
    Rule("outdated_guidelines", {"version": 2}),
    Rule("gold_failed", {"share": 0.5, "min_n": 1}),
    Rule("straight_lining", {"share": 0.6, "min_n": 3}),
    Rule("annotator", {"annotator": "a-u1"}),
    Rule("comprehension", {}),
    Rule("withdrawn", {}),
]


@settings(max_examples=150)
@given(studies(), st.data())
def test_profiles_and_gold_are_those_counted_one_by_one(votes, data):
    reads = {vote.presentation_id: (data.draw(READ), data.draw(READ)) for vote in votes}
    made = sheet(votes, LENGTHS, reads=reads)
    found = described(f"study {next(NUMBERS)}", made, MEANING)
    for who in PEOPLE:
        own = [vote for vote in votes if vote.annotator_id == who]
        one, plain = found.get(who, nothing(made)), plain_profile(own, LENGTHS, reads)
        profile = one.profile
        shares = {
            name: (getattr(profile, name).part, getattr(profile, name).whole)
            for name in ("left", "longer", "ties", "changes")
        }
        assert shares == {name: plain[name] for name in shares}
        for name in ("n", "median_ms", "fast_ms", "gap_s", "answers", "skips", "flags", "recognised"):
            assert getattr(profile, name) == plain[name], name
        assert profile.entropy == pytest.approx(plain["entropy"])
        assert (profile.read.left, profile.read.right) == pytest.approx(plain["read"])
        assert (one.gold.asked, one.gold.right) == plain_gold(own)
        assert len(one.gold_wrong) == one.gold.asked - one.gold.right


@settings(max_examples=100)
@given(studies(), st.data())
def test_people_are_described_alike_with_and_without_what_was_kept(votes, data):
    """Whatever comes in between: new judgments, changed ones, and items that mean something else."""
    study, cut = f"study {next(NUMBERS)}", data.draw(st.integers(0, len(votes)))
    described(study, sheet(votes[:cut], LENGTHS), MEANING)
    changed = {vote.presentation_id for vote in votes[:cut] if data.draw(st.booleans())}
    rows = [
        judged(replace(vote, preference="right"), number=2) if vote.presentation_id in changed else judged(vote)
        for vote in votes
    ]
    made = sheet(votes, LENGTHS, columns=columns_of([rows]))
    afresh = described(f"{study} afresh", made, MEANING)
    assert described(study, made, MEANING) == afresh
    other = {key: replace(one, kind="regular") for key, one in MEANING.items.items()}
    means = Meaning(other, {}, "")
    otherwise = sheet_of(made.columns, other, {}, "")
    assert described(study, otherwise, means) == described(f"{study} otherwise", otherwise, means)
    assert described(study, made, MEANING) == afresh


def test_only_whose_judgments_changed_is_described_again():
    votes = [a_vote(who, item) for who in PEOPLE for item in ("i1", "i2", "g1")]
    with patch("app.monitor.described.profile_of", wraps=profile_of) as profiles:
        described("once", sheet(votes, LENGTHS), MEANING)
        described("once", sheet(votes, LENGTHS), MEANING)
        assert profiles.call_count == len(PEOPLE)
        described("once", sheet([*votes, a_vote("u2", "i3")], LENGTHS), MEANING)
        assert profiles.call_count == len(PEOPLE) + 1


@settings(max_examples=150)
@given(studies(), st.lists(st.sampled_from(RULES), max_size=3))
def test_what_rules_take_out_and_what_is_disputed_are_those_counted_one_by_one(votes, rules):
    made = sheet(votes, LENGTHS)
    out = taken_out(rules, made, MEMBERS)
    expected = plain_taken_out(rules, votes, MEMBERS)
    assert {made.columns.id_of(row) for row in np.flatnonzero(out)} == expected
    queue, number = disputed(made, out, 100)
    left = [vote for vote in votes if vote.presentation_id not in expected]
    assert number == len(queue)
    assert [
        (one.item_id, one.pair_id, one.score, dict(one.outcomes), {made.columns.id_of(row) for row in one.rows})
        for one in queue
    ] == plain_disputed(left)
    assert disputed(made, out, 2) == (queue[:2], number)


@settings(max_examples=80)
@given(studies())
def test_accounts_that_answer_alike_are_those_found_one_by_one(votes):
    accounts = [Account(who, f"a-{who}", f"Name {who}", f"{who}@x.org") for who in PEOPLE]
    # Twins share everything; u3 copies whatever u1 judged.
    copies = [
        replace(vote, annotator_id="u3", presentation_id=f"c{vote.presentation_id}")
        for vote in votes
        if vote.annotator_id == "u1"
    ]
    votes = [vote for vote in votes if vote.annotator_id != "u3"] + copies
    found = find_twins(accounts, sheet(votes, LENGTHS))
    assert [(one.first, one.second, int(one.reasons[0].split()[5])) for one in found] == plain_same_answers(
        accounts, votes, enough=10
    )


@settings(max_examples=60)
@given(st.data())
def test_answers_alike_are_the_same_pairs_however_they_are_counted(data):
    """In one table, in parts of it, and person by person where each answers little of much."""
    seed = data.draw(st.integers(0, 2**31))
    draw = np.random.default_rng(seed)
    who, case = np.nonzero(draw.random((6, 40)) < data.draw(st.floats(0.3, 1)))
    # Two of the six answer by what is asked alone, and so alike.
    answer = np.where(who % 3 == 0, case % 3, draw.integers(0, 3, len(who)))
    given_ = [{c: a for w, c, a in zip(who, case, answer, strict=True) if w == one} for one in range(6)]
    expected = []
    for one, other in itertools.combinations(range(6), 2):
        both = given_[one].keys() & given_[other].keys()
        if len(both) >= 10 and all(given_[one][at] == given_[other][at] for at in both):
            expected.append((one, other, len(both)))
    assert list(pairs_alike(who, case, answer)) == expected
    with patch("app.monitor.twins._CELLS", 20):
        assert list(pairs_alike(who, case, answer)) == expected
        with patch("app.monitor.twins._DENSE", 0):
            assert list(pairs_alike(who, case, answer)) == expected


@settings(max_examples=100)
@given(studies(), st.data())
def test_columns_do_not_depend_on_how_they_were_put_together(votes, data):
    """Read at once, or in parts with later revisions replacing earlier ones: the same sheet."""
    edited = {vote.presentation_id for vote in votes if data.draw(st.booleans())}
    first = [
        judged(replace(vote, preference="left", guess="before", active_ms=1), number=1)
        for vote in votes
        if vote.presentation_id in edited
    ]
    last = [judged(vote, number=2 if vote.presentation_id in edited else 1) for vote in votes]
    whole = sheet(votes, LENGTHS, columns=columns_of([data.draw(st.permutations(first + last))]))
    cut, size = data.draw(st.integers(0, len(last))), data.draw(st.integers(1, 9))
    early = first + last[:cut]
    parts = columns_of(early[at : at + size] for at in range(0, len(early), size))
    parts = columns_of([last[cut:]], parts)
    together = sheet(votes, LENGTHS, columns=parts)
    assert whole.columns.ids.tolist() == together.columns.ids.tolist()
    assert dict(whole.columns.guesses) == dict(together.columns.guesses)
    for name in ("regular", "gold", "judged", "side", "longer", "right_answer"):
        assert np.array_equal(getattr(whole, name), getattr(together, name)), name
    for name in (
        "number", "preference", "active_ms", "submitted", "recognised", "flagged", "noted", "guideline_version",
    ):  # fmt: skip
        assert np.array_equal(getattr(whole.columns, name), getattr(together.columns, name)), name
    named = [
        [(c.people[c.who[at]], c.items[c.item[at]], c.pairs[c.pair[at]], c.arms[c.left[at]]) for at in range(len(c))]
        for c in (whole.columns, together.columns)
    ]
    assert named[0] == named[1]


def test_nothing_judged_is_columns_of_nothing():
    made = sheet([], {})
    assert len(made.columns) == 0
    assert disputed(made, np.zeros(0, dtype=bool), 5) == ([], 0)
    assert taken_out(RULES, made, MEMBERS).tolist() == []
    assert described("nothing", made, MEANING) == {}
    assert nothing(made).profile.n == 0
