"""Agreement counted by hand on small examples, and its symmetries on any."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.shift.agreement import Agreement, Choices, agreements, base_choices, own_choices
from app.shift.changes import Change, class_changes
from app.shift.classes import ShiftClass, Thresholds
from app.shift.packing import open_packed, pack
from app.shift.trace import TokenShift


def token(*, base_rank: int = 1, tuned_rank: int = 1, base_first: int = 5, tuned_first: int = 5, kl=0.0) -> TokenShift:
    return TokenShift(
        id=5,
        base_rank=base_rank,
        base_logprob=-1.0,
        tuned_rank=tuned_rank,
        tuned_logprob=-1.0,
        kl_tuned_base=kl,
        kl_base_tuned=kl,
        ties=0,
        near_border=False,
        base_entropy=1.0,
        tuned_entropy=1.0,
        top_base=((base_first, -0.5),),
        top_tuned=((tuned_first, -0.5),),
    )


def test_agreement_counted_by_hand():
    # Token       0    1    2    3
    # base first  7    7    8    9     rank of the written token: 1 1 2 4
    # lft first   7    6    8    9                                1 3 1 1
    # sft first   7    6    8    5                                1 1 1 1
    views = [
        Choices("base", (1, 1, 2, 4), (7, 7, 8, 9)),
        Choices("lft", (1, 3, 1, 1), (7, 6, 8, 9)),
        Choices("sft", (1, 1, 1, 1), (7, 6, 8, 5)),
    ]
    assert agreements(views) == (
        Agreement("base", "lft", 4, same_choice=(0, 2, 3), both_first=(0,)),
        Agreement("base", "sft", 4, same_choice=(0, 2), both_first=(0, 1)),
        Agreement("lft", "sft", 4, same_choice=(0, 1, 2), both_first=(0, 2, 3)),
    )


def test_tokens_only_one_has_read_are_not_counted():
    views = [Choices("base", (1, None, 1), (7, None, None)), Choices("lft", (1, 1, 1), (7, 7, None))]
    # Token 1 is read by lft alone. Token 2 is read by both, and what is not kept agrees with nothing.
    assert agreements(views) == (Agreement("base", "lft", 2, same_choice=(0,), both_first=(0, 2)),)


def test_readings_of_different_responses_are_refused():
    with pytest.raises(ValueError, match="zip"):
        agreements([Choices("base", (1,), (7,)), Choices("lft", (1, 1), (7, 7))])


def test_a_trace_holds_the_choices_of_both_its_models():
    tokens = [
        token(base_rank=4, tuned_rank=2, base_first=8, tuned_first=9),
        replace(token(), top_base=(), top_tuned=((7, -0.5), (5, -0.6))),
    ]
    trace = open_packed(pack(tokens))
    # A third token was written after the trace ended; the second one's base list was not kept.
    assert own_choices("sft", trace, 3) == Choices("sft", (2, 1, None), (9, 7, None))
    assert base_choices("base", trace, 3) == Choices("base", (4, 1, None), (8, None, None))


columns = st.integers(1, 12).flatmap(
    lambda n: st.lists(
        st.tuples(
            st.lists(st.one_of(st.none(), st.integers(1, 4)), min_size=n, max_size=n),
            st.lists(st.one_of(st.none(), st.integers(0, 3)), min_size=n, max_size=n),
        ),
        min_size=2,
        max_size=4,
    )
)


@given(columns)
def test_agreement_is_symmetric_and_bounded(drawn):
    views = [Choices(str(place), tuple(ranks), tuple(firsts)) for place, (ranks, firsts) in enumerate(drawn)]
    forwards = {(pair.first, pair.second): pair for pair in agreements(views)}
    backwards = {(pair.second, pair.first): pair for pair in agreements(views[::-1])}
    assert len(forwards) == len(views) * (len(views) - 1) // 2
    for names, pair in forwards.items():
        other = backwards[names]
        assert (pair.n, pair.same_choice, pair.both_first) == (other.n, other.same_choice, other.both_first)
        assert max(len(pair.same_choice), len(pair.both_first)) <= pair.n


def test_class_changes_counted_by_hand():
    before = [token(base_rank=1, kl=0.1), token(base_rank=2, kl=0.2), token(base_rank=9, kl=0.6), token(base_rank=1)]
    after = [token(base_rank=1, kl=0.3), token(base_rank=5, kl=0.5), token(base_rank=1, kl=0.1), token(base_rank=1)]
    found = class_changes(before, after)
    assert found.table == ((2, 0, 0), (0, 0, 1), (1, 0, 0))
    assert found.changed == (
        Change(1, ShiftClass.MARGINAL, ShiftClass.SHIFTED, 2, 5),
        Change(2, ShiftClass.SHIFTED, ShiftClass.UNSHIFTED, 9, 1),
    )
    # Four tokens each way: 0.1, 0.2, 0.6 and 0 sum to 0.9, and so do 0.3, 0.5, 0.1 and 0; a quarter of that is 0.225.
    assert found.kl_before == pytest.approx(0.225)
    assert found.kl_after == pytest.approx(0.225)


def test_class_changes_follow_the_thresholds():
    before, after = [token(base_rank=2)], [token(base_rank=5)]
    assert class_changes(before, after, Thresholds(unshifted=1, marginal=5)).changed == ()


def test_a_mean_kl_of_nothing_is_nothing():
    before, after = [token(kl=None), token(kl=0.5)], [token(kl=None), token(kl=None)]
    found = class_changes(before, after)
    assert (found.kl_before, found.kl_after) == (0.5, None)
