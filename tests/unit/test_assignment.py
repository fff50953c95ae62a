"""Sides and order are functions of the seed: the same for ever, balanced, and checkable from an export."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.studies.assignment import Slot, draw_sides, order_slots

names = st.text(min_size=1, max_size=12)


def test_a_side_order_can_be_drawn_again_by_hand():
    # The message an outsider would build from the export: no helper of ours involved.
    message = b'["side","item-7","lft","sft","p-1"]'
    key = hmac.new(b"seed-1", message, hashlib.sha256).hexdigest()
    expected = ("lft", "sft") if key[-1] in "02468ace" else ("sft", "lft")

    drawn = draw_sides(("sft", "lft"), seed="seed-1", item_id="item-7", pid="p-1")

    assert drawn.key == key
    assert (drawn.left, drawn.right) == expected


@given(first=names, second=names, seed=names, item=names, pid=names)
def test_the_order_in_which_arms_are_named_has_no_influence(first, second, seed, item, pid):
    if first == second:
        with pytest.raises(ValueError, match="two different arms"):
            draw_sides((first, second), seed=seed, item_id=item, pid=pid)
        return
    one = draw_sides((first, second), seed=seed, item_id=item, pid=pid)
    other = draw_sides((second, first), seed=seed, item_id=item, pid=pid)
    assert one == other
    assert {one.left, one.right} == {first, second}


@pytest.mark.parametrize("seed", ["a", "b", "seed-1", "0" * 32])
def test_sides_are_balanced_over_items_and_over_annotators(seed):
    lefts = [
        draw_sides(("lft", "sft"), seed=seed, item_id=f"i{item}", pid=f"p{person}").left
        for item in range(100)
        for person in range(40)
    ]
    # 4,000 fair draws: the standard deviation of the share is 0.0079, so 0.04 is five of them.
    assert abs(lefts.count("lft") / len(lefts) - 0.5) < 0.04
    by_person = [lefts[person::40].count("lft") for person in range(40)]
    assert 25 <= min(by_person) <= max(by_person) <= 75


def test_neighbouring_parts_of_a_draw_cannot_be_confused():
    one = draw_sides(("a", "bc"), seed="s", item_id="i", pid="p")
    other = draw_sides(("ab", "c"), seed="s", item_id="i", pid="p")
    assert one.key != other.key


def test_slots_that_others_began_come_first_and_full_ones_never():
    slots = [Slot("new", "x", 0), Slot("begun", "x", 1), Slot("full", "x", 2)]
    ordered = order_slots(slots, seed="s", overlap=2, pid="p")
    assert [slot.item_id for slot in ordered] == ["begun", "new"]


def test_among_equals_each_annotator_has_an_order_of_their_own():
    slots = [Slot(f"i{n}", "x", 0) for n in range(20)]
    first = order_slots(slots, seed="s", overlap=1, pid="p1")
    assert first == order_slots(reversed(slots), seed="s", overlap=1, pid="p1")
    assert first != order_slots(slots, seed="s", overlap=1, pid="p2")
    assert sorted(slot.item_id for slot in first) == sorted(slot.item_id for slot in slots)
