"""Sides and order are functions of the seed and of what came before: balanced, and checkable from an export."""

import hashlib
import hmac
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.studies.assignment import GOLD_BLOCK, Leans, Slot, draw_sides, gold_places, next_slot

names = st.text(min_size=1, max_size=12)
leans = st.dictionaries(st.sampled_from("xyz"), st.integers(-5, 5))


def test_a_side_order_can_be_drawn_again_by_hand():
    # The message an outsider would build from the export: no helper of ours involved.
    message = b'["side","item-7","lft","sft","p-1"]'
    key = hmac.new(b"seed-1", message, hashlib.sha256).hexdigest()
    expected = ("lft", "sft") if key[-1] in "02468ace" else ("sft", "lft")

    drawn = draw_sides(("sft", "lft"), seed="seed-1", item_id="item-7", pid="p-1")

    assert drawn.key == key
    assert (drawn.left, drawn.right) == expected


@given(first=names, second=names, seed=names, item=names, pid=names, against=st.sampled_from([-1, 0, 1]))
def test_the_order_in_which_arms_are_named_has_no_influence(first, second, seed, item, pid, against):
    if first == second:
        with pytest.raises(ValueError, match="two different arms"):
            draw_sides((first, second), seed=seed, item_id=item, pid=pid)
        return
    one = draw_sides((first, second), seed=seed, item_id=item, pid=pid, against=against)
    other = draw_sides((second, first), seed=seed, item_id=item, pid=pid, against=against)
    assert one == other
    assert {one.left, one.right} == {first, second}
    if against:
        assert one.left == (min if against > 0 else max)(first, second)


@given(own=leans, study=leans, pair=st.sampled_from("xyz"))
def test_balance_asks_first_for_the_annotator_then_for_the_pair(own, study, pair):
    asked = Leans(own, study).against(pair)
    decisive = next((lean for lean in (sum(own.values()), study.get(pair, 0), own.get(pair, 0)) if lean), 0)
    assert asked == (decisive < 0) - (decisive > 0)


@given(own=leans, study=leans)
def test_whoever_is_within_one_stays_within_one_whatever_pair_comes(own, study):
    total = sum(own.values())
    if abs(total) > 1:
        return
    for pair in "xyz":
        step = Leans(own, study).against(pair) or 1
        assert abs(total + step) <= 1


@pytest.mark.parametrize("seed", ["a", "b", "seed-1", "0" * 32])
def test_where_balance_leaves_both_open_the_draws_are_fair(seed):
    lefts = [
        draw_sides(("lft", "sft"), seed=seed, item_id=f"i{item}", pid=f"p{person}").left
        for item in range(100)
        for person in range(40)
    ]
    # 4,000 fair draws: the standard deviation of the share is 0.0079, so 0.04 is five of them.
    assert abs(lefts.count("lft") / len(lefts) - 0.5) < 0.04


def test_neighbouring_parts_of_a_draw_cannot_be_confused():
    one = draw_sides(("a", "bc"), seed="s", item_id="i", pid="p")
    other = draw_sides(("ab", "c"), seed="s", item_id="i", pid="p")
    assert one.key != other.key


def chosen(slots, *, pid="p", leans=None):
    return next_slot(slots, leans or Leans(), seed="s", pid=pid).item_id


def test_slots_that_others_began_come_first_and_those_nearest_to_their_end_before_the_rest():
    new, begun, nearly = Slot("new", "x", 0, 1), Slot("begun", "x", 1, 3), Slot("nearly", "x", 2, 3)
    assert chosen([new, begun, nearly]) == "nearly"
    assert chosen([new, begun]) == "begun"


def test_a_pair_that_leans_waits_while_another_would_stay_balanced():
    # The person must get the second arm left; in pair x that would make a lean of -2 one of -3.
    leans = Leans(own={"y": 1}, study={"x": -2, "y": 1})
    slots = [Slot("leaning", "x", 1, 2), Slot("balanced", "y", 0, 2)]
    assert chosen(slots, leans=leans) == "balanced"
    assert chosen(slots[:1], leans=leans) == "leaning"


def test_among_equals_each_annotator_has_an_order_of_their_own():
    slots = [Slot(f"i{n}", "x", 0, 1) for n in range(20)]
    assert chosen(slots) == chosen(slots[::-1])
    assert len({chosen(slots, pid=f"p{n}") for n in range(10)}) > 3


@given(items=st.lists(names, min_size=2, max_size=9, unique=True), pair=names, seed=names, pid=names)
def test_an_annotators_own_order_can_be_drawn_again_by_hand(items, pair, seed, pid):
    def drawn(item):
        message = json.dumps(["order", item, pair, pid], separators=(",", ":")).encode()
        return hmac.new(seed.encode(), message, hashlib.sha256).hexdigest()

    slots = [Slot(item, pair, 0, 3) for item in items]
    assert next_slot(slots, Leans(), seed=seed, pid=pid).item_id == min(items, key=drawn)


def test_gold_comes_once_in_a_block_at_places_of_each_annotators_own():
    gold = [f"g{n}" for n in range(4)]
    for pid in ("p1", "p2", "p3"):
        places = [at for at, _ in gold_places(gold, regular=100, seed="s", pid=pid)]
        assert [(at - 1) // GOLD_BLOCK for at in places] == [0, 1, 2, 3]
    assert len({tuple(gold_places(gold, regular=100, seed="s", pid=f"p{n}")) for n in range(9)}) == 9
    assert gold_places(gold, regular=100, seed="s", pid="p") == gold_places(gold[::-1], regular=100, seed="s", pid="p")


@given(gold=st.integers(0, 8), regular=st.integers(0, 60))
def test_all_gold_finds_a_place_within_the_work_there_is(gold, regular):
    places = gold_places([f"g{n}" for n in range(gold)], regular=regular, seed="s", pid="p")
    assert len(places) == gold
    assert all(at >= 1 for at, _ in places)
    if gold and regular > gold:
        # After the last regular item there would be nothing to hide it among.
        assert max(at for at, _ in places) < regular


def simulate(*, items, pairs, overlap, people, seed):
    """Claims in a random order of people of unequal speed, until nobody finds anything."""
    rng = np.random.default_rng(seed)
    taken = dict.fromkeys([(f"i{item}", pair) for item in range(items) for pair in pairs], 0)
    seen, own = [set() for _ in range(people)], [dict.fromkeys(pairs, 0) for _ in range(people)]
    study = dict.fromkeys(pairs, 0)
    speeds, active = rng.random(people) + 0.1, list(range(people))
    while active:
        shares = speeds[active] / speeds[active].sum()
        who = int(rng.choice(active, p=shares))
        slots = [
            Slot(item, pair, number, overlap)
            for (item, pair), number in taken.items()
            if number < overlap and item not in seen[who]
        ]
        if not slots:
            active.remove(who)
            continue
        leans = Leans(own[who], study)
        slot = next_slot(slots, leans, seed=f"{seed}", pid=f"p{who}")
        against = leans.against(slot.pair_id)
        left = draw_sides(("a", "b"), seed=f"{seed}", item_id=slot.item_id, pid=f"p{who}", against=against).left
        step = 1 if left == "a" else -1
        taken[slot.item_id, slot.pair_id] += 1
        seen[who].add(slot.item_id)
        own[who][slot.pair_id] += step
        study[slot.pair_id] += step
    return taken, own, study


@pytest.mark.parametrize("overlap", [2, 3])
def test_a_whole_study_of_three_pairs_ends_complete_and_balanced(overlap):
    for seed in range(5):
        taken, own, study = simulate(items=40, pairs="xyz", overlap=overlap, people=25, seed=seed)
        assert set(taken.values()) == {overlap}
        assert max(abs(sum(person.values())) for person in own) <= 1
        assert max(map(abs, study.values())) <= 2


def chance_within_two(people, judgments, choose):
    """How likely a study of one pair ends with a lean of at most two when everybody is as likely to come next.

    `choose` weighs the chances of the two sides for somebody who may get either; the others get the side they are owed.
    """
    # By how many people are one order ahead, and how many the other: those of each kind are alike.
    states = [(ahead, behind) for ahead in range(people + 1) for behind in range(people + 1 - ahead)]
    chance = {state: float(abs(state[0] - state[1]) <= 2) for state in states}
    for _ in range(judgments):
        chance = {
            (ahead, behind): (
                (ahead and ahead * chance[ahead - 1, behind])
                + (behind and behind * chance[ahead, behind - 1])
                + (
                    (even := people - ahead - behind)
                    and even * choose(ahead - behind, chance[ahead + 1, behind], chance[ahead, behind + 1])
                )
            )
            / people
            for ahead, behind in states
        }
    return chance[0, 0]


def lighter_side(lean, first_left, first_right):
    asked = Leans(study={"x": lean}).against("x")
    return {1: first_left, -1: first_right, 0: (first_left + first_right) / 2}[asked]


@pytest.mark.parametrize(("people", "judgments"), [(6, 9), (7, 40), (12, 31), (25, 120), (25, 121)])
def test_no_rule_keeps_a_single_pair_better_than_taking_its_lighter_side(people, judgments):
    best = chance_within_two(people, judgments, lambda _, one, other: max(one, other))
    assert chance_within_two(people, judgments, lighter_side) == pytest.approx(best, abs=1e-12)
    assert best < 1
    assert chance_within_two(people, judgments, lambda _, one, other: (one + other) / 2) < best


@given(stops=st.lists(st.integers(1, 9), min_size=1, max_size=12), seed=st.integers(0, 999))
def test_all_pairs_together_lean_by_no_more_than_those_who_stop_after_an_odd_number(stops, seed):
    rng = np.random.default_rng(seed)
    own, study = [{} for _ in stops], {}
    turns = rng.permutation([who for who, number in enumerate(stops) for _ in range(number)])
    for turn, who in enumerate(turns):
        pair = "xyz"[rng.integers(3)]
        against = Leans(own[who], study).against(pair)
        step = (
            1
            if draw_sides(("a", "b"), seed="s", item_id=f"i{turn}", pid=f"p{who}", against=against).left == "a"
            else -1
        )
        for leans in (own[who], study):
            leans[pair] = leans.get(pair, 0) + step
        assert abs(sum(own[who].values())) <= 1
    assert abs(sum(study.values())) <= sum(number % 2 for number in stops)
