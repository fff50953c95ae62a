"""Agreement on marked spans, at every token (or code point) of a response: alpha, and F1 of pairs of annotators."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from app.stats.bootstrap import DRAWS, SEED
from app.stats.clusters import cluster_sums, sums_interval
from app.stats.estimate import Estimate, Floats, Ints, labels, undefined

_PAIR = 2


@dataclass(frozen=True, slots=True)
class SpanAgreement:
    """Agreement of annotators on which tokens are marked.

    `alpha` is nominal alpha with each token a unit; `f1` is twice the tokens marked by both over the tokens marked by
    each, summed over pairs of annotators of the same response (pairs who both marked nothing add nothing). Intervals
    draw prompts. `marked` is the share of marked tokens.
    """

    alpha: Estimate
    f1: Estimate
    marked: float | None
    tokens: int
    responses: int


def span_agreement(
    lengths: ArrayLike,
    items: ArrayLike,
    judged: ArrayLike,
    span_judgment: ArrayLike,
    starts: ArrayLike,
    ends: ArrayLike,
    *,
    draws: int = DRAWS,
    seed: int = SEED,
) -> SpanAgreement:
    """Compare who marked what.

    `lengths` and `items` have a row per response; `judged` a row per judgment, which is the response it judged, with
    spans or without; the spans have the row of their judgment, and start and end in the response's tokens. Responses
    with one judgment say nothing of agreement and are left out. Raises ValueError for a span outside its response.
    """
    length = np.asarray(lengths, dtype=np.int64)
    response = labels("judged", judged, np.size(judged))
    owner = labels("span_judgment", span_judgment, np.size(starts))
    start, end = np.asarray(starts, dtype=np.int64), np.asarray(ends, dtype=np.int64)
    _check(length, response, owner, start, end)
    people = np.bincount(response, minlength=len(length))
    used = (people >= _PAIR) & (length > 0)
    if not used.any():
        none = undefined("no response was judged by two annotators" if len(response) else "no data")
        return SpanAgreement(none, none, None, 0, 0)
    once, twice = _covered(*_merged(owner, start, end), response, length)
    m, size = people[used].astype(np.float64), length[used].astype(np.float64)
    once, twice = once[used], twice[used]
    columns = 2 * (m * once - twice) / (m - 1), once, m * size, twice - once, (m - 1) * once
    sums = cluster_sums(labels("items", items, len(length))[used], *columns)
    n, marks = int((m * size).sum()), float(once.sum())
    facts = marks / n, int(size.sum()), int(used.sum())
    if not marks or marks == n:
        reason = f"{'no' if not marks else 'every'} token was marked by anybody, so there is no disagreement to expect"
        return SpanAgreement(undefined(reason, n), undefined(reason, n), *facts)
    alpha = sums_interval(sums, _alpha, n=n, draws=draws, seed=seed)
    f1 = sums_interval(sums, lambda total: np.asarray(total[..., 3] / total[..., 4]), n=n, draws=draws, seed=seed)
    return SpanAgreement(alpha, f1, *facts)


def _alpha(sums: Floats) -> Floats:
    seen, marked, n = sums[..., 0], sums[..., 1], sums[..., 2]
    expected = 2 * marked * (n - marked)
    return np.asarray(1 - (n - 1) * seen / np.where(expected > 0, expected, np.nan))


def _check(length: Ints, response: Ints, owner: Ints, start: Ints, end: Ints) -> None:
    if len(response) and response.max() >= len(length):
        raise ValueError(f"judged names response {response.max()}; there are {len(length)}.")
    if not len(owner):
        return
    if owner.max() >= len(response):
        raise ValueError(f"span_judgment names judgment {owner.max()}; there are {len(response)}.")
    bad = np.flatnonzero((start < 0) | (end <= start) | (end > length[response[owner]]))
    if bad.size:
        row = int(bad[0])
        whole = length[response[owner[row]]]
        raise ValueError(f"span {row} goes from {start[row]} to {end[row]} in a response of {whole} tokens.")


def _merged(owner: Ints, start: Ints, end: Ints) -> tuple[Ints, Ints, Ints]:
    """Put overlapping and touching spans of one judgment together."""
    if not len(owner):
        return owner, start, end
    order = np.lexsort((end, start, owner))
    owner, start, end = owner[order], start[order], end[order]
    stride = int(end.max()) + 1
    reach = np.maximum.accumulate(end + owner * stride)
    opens = np.append(True, start[1:] + owner[1:] * stride > reach[:-1])
    closes = np.append(np.flatnonzero(opens)[1:] - 1, len(owner) - 1)
    return owner[opens], start[opens], reach[closes] - owner[closes] * stride


def _covered(owner: Ints, start: Ints, end: Ints, response: Ints, length: Ints) -> tuple[Floats, Floats]:
    """Sum over each response's tokens how many marked it, and the squares of these numbers."""
    if not len(owner):
        return np.zeros(len(length)), np.zeros(len(length))
    offset = np.cumsum(length) - length
    at = response[owner]
    place = np.concatenate([offset[at] + start, offset[at] + end])
    change = np.concatenate([np.ones(len(at)), -np.ones(len(at))])
    order = np.argsort(place, kind="stable")
    height = np.cumsum(change[order])[:-1]
    run = np.diff(place[order])
    inside = np.flatnonzero(run > 0)
    # At the seam of two responses all spans of the first have closed, so a run lies in the response it begins in.
    who = np.searchsorted(offset, place[order][:-1][inside], side="right") - 1
    once: Floats = np.zeros(len(length))
    twice: Floats = np.zeros(len(length))
    np.add.at(once, who, (run * height)[inside])
    np.add.at(twice, who, (run * height**2)[inside])
    return once, twice
