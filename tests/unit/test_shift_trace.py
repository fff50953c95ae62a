"""Traces from full logits and from partial views, alignment and the KL bound."""

import math
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.shift.align import align, kl_lower_bound, rest_mass
from app.shift.classes import ShiftClass
from app.shift.trace import PartialView, from_logits, from_partial

seeds = st.integers(0, 2**32 - 1)


def two_models(seed: int, *, rows: int = 3, width: int = 300) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    base = rng.normal(size=(rows, width)).astype(np.float32) * 3
    return base, base + rng.normal(size=base.shape).astype(np.float32)


def test_a_token_by_hand():
    # Base: 0.5, 0.25, 0.15, 0.1. Tuned: 0.1, 0.2, 0.3, 0.4. Emitted: id 3, tuned's first and base's last.
    base = np.log(np.array([[0.5, 0.25, 0.15, 0.1]]))
    tuned = np.log(np.array([[0.1, 0.2, 0.3, 0.4]]))
    (token,) = from_logits(base, tuned, np.array([3]), top_k=2, border=1e-3)
    assert (token.id, token.base_rank, token.tuned_rank, token.ties) == (3, 4, 1, 0)
    assert token.shift_class is ShiftClass.SHIFTED
    assert token.base_logprob == pytest.approx(math.log(0.1))
    assert token.tuned_logprob == pytest.approx(math.log(0.4))
    # 0.1 ln(0.1/0.5) + 0.2 ln(0.2/0.25) + 0.3 ln(0.3/0.15) + 0.4 ln(0.4/0.1)
    #   = -0.160944 - 0.044629 + 0.207944 + 0.554518 = 0.556889
    assert token.kl_tuned_base == pytest.approx(0.5568894, abs=1e-6)
    # 0.5 ln 5 + 0.25 ln 1.25 + 0.15 ln 0.5 + 0.1 ln 0.25 = 0.804719 + 0.055786 - 0.103972 - 0.138629 = 0.617904
    assert token.kl_base_tuned == pytest.approx(0.6179033, abs=1e-6)
    assert [pair[0] for pair in token.top_base] == [0, 1]
    assert [pair[0] for pair in token.top_tuned] == [3, 2]
    assert token.top_base[1][1] == pytest.approx(math.log(0.25))
    assert not token.near_border


def test_near_border_does_not_depend_on_how_much_is_kept():
    # Ranks 3 and 4 are 0.0005 nat apart, closer than the border of 0.001: rank 4 could be rank 3.
    base = np.array([[3.0, 2.0, 1.0, 0.9995, 0.0]])
    for keep in (1, 2, 5):
        (token,) = from_logits(base, base, np.array([3]), top_k=keep, border=1e-3)
        assert token.near_border
        assert len(token.top_base) == len(token.top_tuned) == keep


def test_an_id_the_base_has_never_seen():
    base, tuned = np.zeros((1, 2)), np.zeros((1, 3))
    (token,) = from_logits(base, tuned, np.array([2]), top_k=3, border=1e-3)
    assert token.base_logprob is None
    assert token.base_rank == 3
    # Tuned has mass where base has none: infinite, so there is no number. The other way: ln((1/2)/(1/3)) = ln 1.5.
    assert token.kl_tuned_base is None
    assert token.kl_base_tuned == pytest.approx(math.log(1.5))


def test_ranks_come_from_the_logits_not_from_their_rounded_normalisation():
    # Two ids one float32 step apart at 0, under a giant: after normalising both round to the same -100.
    step = np.nextafter(np.float32(0), np.float32(1))
    logits = np.array([[100.0, step, 0.0]], dtype=np.float32)
    (token,) = from_logits(logits, logits, np.array([2]), top_k=3, border=1e-3)
    assert (token.base_rank, token.ties) == (3, 0)


@given(seeds)
def test_base_against_itself_never_shifts(seed):
    base, _ = two_models(seed)
    tokens = from_logits(base, base, base.argmax(axis=-1), top_k=5, border=1e-3)
    assert all(token.base_rank == 1 and token.shift_class is ShiftClass.UNSHIFTED for token in tokens)
    assert all(token.kl_tuned_base == 0 and token.kl_base_tuned == 0 for token in tokens)


@given(seeds)
def test_rows_are_independent(seed):
    base, tuned = two_models(seed)
    targets = tuned.argmax(axis=-1)
    together = from_logits(base, tuned, targets, top_k=5, border=1e-3)
    for row in range(len(base)):
        part = slice(row, row + 1)
        (alone,) = from_logits(base[part], tuned[part], targets[part], top_k=5, border=1e-3)
        assert astuple(alone) == astuple(together[row])


@given(seeds, st.integers(1, 320), st.booleans())
def test_the_bound_is_proven_at_every_k(seed, k, include_target):
    base, tuned = two_models(seed, rows=1)
    target = int(tuned.argmin())
    (token,) = from_logits(base, tuned, np.array([target]), top_k=k, border=1e-3)
    log_base, log_tuned = dict(token.top_base), dict(token.top_tuned)
    if include_target:
        log_base[target], log_tuned[target] = token.base_logprob, token.tuned_logprob
    for log_p, log_q, exact in (
        (log_tuned, log_base, token.kl_tuned_base),
        (log_base, log_tuned, token.kl_base_tuned),
    ):
        bound = kl_lower_bound(log_p, log_q)
        assert 0 <= bound <= exact + 1e-5


def test_bound_by_hand():
    # Known on both sides: id 0 with 0.5 and 0.25. The rest is 0.5 against 0.75.
    # 0.5 ln(0.5/0.25) + 0.5 ln(0.5/0.75) = 0.346574 - 0.202733 = 0.143841
    bound = kl_lower_bound({0: math.log(0.5), 1: math.log(0.3)}, {0: math.log(0.25), 2: math.log(0.6)})
    assert bound == pytest.approx(0.1438410362, abs=1e-9)


@given(seeds, st.integers(1, 50))
def test_a_partial_view_agrees_with_the_whole(seed, k):
    base, tuned = two_models(seed, rows=1)
    target = int(tuned.argmax())
    (whole,) = from_logits(base, tuned, np.array([target]), top_k=k, border=1e-3)
    views = [
        PartialView(logprob=logprob, server_rank=rank, top=top)
        for logprob, rank, top in (
            (whole.base_logprob, whole.base_rank, whole.top_base),
            (whole.tuned_logprob, whole.tuned_rank, whole.top_tuned),
        )
    ]
    part = from_partial(target, views[0], views[1], keep=k, border=1e-3)
    assert (part.base_rank, part.tuned_rank) == (whole.base_rank, whole.tuned_rank)
    assert part.kl_tuned_base <= whole.kl_tuned_base + 1e-5
    assert part.kl_base_tuned <= whole.kl_base_tuned + 1e-5
    assert (part.top_base, part.top_tuned) == (whole.top_base, whole.top_tuned)
    assert part.base_entropy is None


def test_a_tied_server_rank_is_counted_again_from_the_entries():
    # The server counts ties against a token; two entries are strictly above this one, so it is third.
    view = PartialView(logprob=-2.0, server_rank=4, top=((5, -1.0), (6, -1.5), (7, -2.0), (8, -2.0)))
    assert view.rank == 3
    # Beyond the list only the server knows.
    assert PartialView(logprob=-9.0, server_rank=77, top=((5, -1.0),)).rank == 77


def test_alignment_joins_by_id_and_shows_the_rest():
    base = ((10, math.log(0.6)), (11, math.log(0.3)))
    tuned = ((11, math.log(0.7)), (12, math.log(0.2)))
    alignment = align(base, tuned)
    # By the larger of both probabilities: 11 (0.7), 10 (0.6), 12 (0.2).
    assert [row.id for row in alignment.rows] == [11, 10, 12]
    assert [(row.base_rank, row.tuned_rank) for row in alignment.rows] == [(2, 1), (1, None), (None, 2)]
    # 1 - 0.6 - 0.3 and 1 - 0.7 - 0.2.
    assert alignment.base_rest == pytest.approx(0.1)
    assert alignment.tuned_rest == pytest.approx(0.1)


@given(seeds, st.integers(1, 30))
def test_alignment_loses_nothing(seed, k):
    base, tuned = two_models(seed, rows=1)
    (token,) = from_logits(base, tuned, np.array([0]), top_k=k, border=1e-3)
    alignment = align(token.top_base, token.top_tuned)
    assert {row.id for row in alignment.rows} == {pair[0] for pair in (*token.top_base, *token.top_tuned)}
    seen = [row.base_logprob for row in alignment.rows if row.base_logprob is not None]
    assert alignment.base_rest + math.fsum(map(math.exp, seen)) == pytest.approx(1, abs=1e-5)
    assert rest_mass(token.top_tuned) == alignment.tuned_rest
