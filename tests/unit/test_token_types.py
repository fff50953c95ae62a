from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.shift.lexicon import Category
from app.shift.token_types import Example, most_shifted, pack_types, unpack_types
from app.shift.trace import TokenShift

BLANK = TokenShift(0, 1, -1.0, 1, -1.0, 0.0, 0.0, 0, False, None, None, (), ())
C, S = Category.CONTENT, Category.STYLE
PLAIN = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 8), st.sampled_from(list(Category))), max_size=20)


def blob(*rows):
    """Pack a response given as (id, base rank, category)."""
    tokens = [replace(BLANK, id=id_, base_rank=rank) for id_, rank, _ in rows]
    return pack_types(tokens, [category for *_, category in rows])


def test_types_are_counted_per_id_and_category():
    first = blob((5, 9, C), (5, 1, C), (5, 4, S), (6, 1, C))
    second = blob((5, 20, C), (6, 3, C))
    found = most_shifted([first, second])
    # Id 5 as content: three tokens, two of them shifted (ranks 9 and 20); as style: one of one. Id 6 is never shifted.
    assert [(kind.id, kind.category, kind.shifted, kind.total, kind.responses) for kind in found] == [
        (5, C, 2, 3, 2),
        (5, S, 1, 1, 1),
    ]
    assert found[0].rate == pytest.approx(2 / 3)
    assert found[0].examples == (Example(0, 0), Example(1, 0))
    assert found[1].examples == (Example(0, 2),)


def test_an_example_is_the_token_base_ranked_lowest():
    found = most_shifted([blob((5, 4, C), (5, 1, C), (5, 700, C), (5, 9, C))])
    assert found[0].examples == (Example(0, 2),)


def test_by_rate_rare_types_can_be_left_out():
    rare = blob((1, 9, C), *[(2, 9, C)] * 3, (2, 1, C))
    assert [kind.id for kind in most_shifted([rare], by_rate=True)] == [1, 2]
    assert [kind.id for kind in most_shifted([rare], by_rate=True, least=2)] == [2]
    assert [kind.id for kind in most_shifted([rare])] == [2, 1]
    assert [kind.id for kind in most_shifted([rare], limit=1)] == [2]


def test_a_category_can_be_asked_for_alone():
    assert [kind.category for kind in most_shifted([blob((1, 9, C), (1, 9, S))], category=S)] == [S]


def test_nothing_gives_nothing():
    assert most_shifted([]) == ()
    assert most_shifted([b"", blob()]) == ()
    assert len(unpack_types(b"")) == 0
    with pytest.raises(ValueError, match="version 1, not 9"):
        unpack_types(b"\x09")


@given(st.lists(PLAIN, max_size=6))
def test_the_sums_are_those_of_counting_one_by_one(responses):
    found = most_shifted([blob(*rows) for rows in responses], limit=1000)
    total = Counter((id_, category) for rows in responses for id_, _, category in rows)
    shifted = Counter((id_, category) for rows in responses for id_, rank, category in rows if rank > 3)
    assert {(kind.id, kind.category): (kind.shifted, kind.total) for kind in found} == {
        key: (count, total[key]) for key, count in shifted.items()
    }
    for kind in found:
        for example in kind.examples:
            id_, rank, category = responses[example.trace][example.index]
            assert (id_, category) == (kind.id, kind.category)
            assert rank > 3
