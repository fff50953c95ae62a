"""Span agreement: against the krippendorff package and masks written out token by token."""

import itertools

import krippendorff as reference
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.stats.spans import span_agreement
from tests.unit.stats_studies import SEEDS


@st.composite
def marked(draw):
    generator = np.random.default_rng(draw(SEEDS))
    lengths = generator.integers(0, 20, draw(st.integers(1, 8)))
    judged = np.repeat(np.arange(len(lengths)), generator.integers(0, 4, len(lengths)))
    owner, start, end = [], [], []
    for row, response in enumerate(judged):
        for _ in range(generator.integers(0, 4) if lengths[response] else 0):
            first, last = np.sort(generator.integers(0, lengths[response] + 1, 2))
            if first < last:
                owner.append(row)
                start.append(first)
                end.append(last)
    return lengths, generator.integers(0, 4, len(lengths)), judged, np.array(owner, int), start, end


def masks(study):
    lengths, _, judged, owner, start, end = study
    rows = [np.zeros(lengths[response], bool) for response in judged]
    for row, first, last in zip(owner, start, end, strict=True):
        rows[row][first:last] = True
    return [[rows[at] for at in np.flatnonzero(judged == response)] for response in range(len(lengths))]


@settings(max_examples=200, deadline=None)
@given(marked())
def test_masks_token_by_token_give_the_same(study):
    found = span_agreement(*study, draws=30)
    groups = [group for group in masks(study) if len(group) >= 2 and len(group[0])]
    assert found.responses == len(groups)
    assert found.tokens == sum(len(group[0]) for group in groups)
    if found.alpha.value is None:
        assert found.alpha.reason
        assert not groups or len({bool(mark) for group in groups for mask in group for mark in mask}) == 1
        return
    most = max(len(group) for group in groups)
    columns = [
        np.concatenate([np.array(group, float), np.full((most - len(group), len(group[0])), np.nan)])
        for group in groups
    ]
    theirs = reference.alpha(reliability_data=np.concatenate(columns, axis=1), level_of_measurement="nominal")
    assert found.alpha.value == pytest.approx(theirs, abs=1e-9)
    both = each = 0
    for group in groups:
        for one, other in itertools.combinations(group, 2):
            both += 2 * int((one & other).sum())
            each += int(one.sum() + other.sum())
    assert found.f1.value == pytest.approx(both / each, abs=1e-12)
    assert found.marked == pytest.approx(
        sum(mask.sum() for group in groups for mask in group) / sum(mask.size for group in groups for mask in group)
    )


def test_spans_that_meet_at_the_seam_of_two_responses_stay_in_their_own():
    # Response 0: both mark its last token. Response 1: the first marks its first token, the second nothing.
    found = span_agreement([4, 4], [0, 1], [0, 0, 1, 1], [0, 1, 2], [3, 3, 0], [4, 4, 1])
    assert found.f1.value == pytest.approx(2 * 1 / 3)
    assert found.marked == pytest.approx(3 / 16)


def test_overlapping_spans_of_one_annotator_count_once():
    once = span_agreement([10, 5], [0, 1], [0, 0, 1, 1], [0, 1, 3], [0, 0, 0], [6, 3, 1])
    twice = span_agreement([10, 5], [0, 1], [0, 0, 1, 1], [0, 0, 0, 1, 3], [0, 2, 4, 0, 0], [3, 5, 6, 3, 1])
    assert twice == once


def test_what_has_no_agreement_says_why():
    assert span_agreement([], [], [], [], [], []).alpha.reason == "no data"
    alone = span_agreement([5], [0], [0], [0], [0], [2])
    assert alone.alpha.reason == "no response was judged by two annotators"
    none = span_agreement([5, 5], [0, 1], [0, 0, 1, 1], [], [], [])
    assert none.f1.reason.startswith("no token was marked by anybody")
    assert (none.marked, none.responses) == (0, 2)
    one = span_agreement([5], [0], [0, 0], [0, 1], [0, 1], [2, 3])
    assert one.f1.value == pytest.approx(0.5)
    assert one.f1.reason.startswith("one prompt")
    with pytest.raises(ValueError, match="span 0 goes from 3 to 9 in a response of 5 tokens"):
        span_agreement([5], [0], [0, 0], [0], [3], [9])
