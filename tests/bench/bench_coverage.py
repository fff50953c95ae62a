"""How often 95 % intervals hold the truth: `python -m tests.bench.bench_coverage [studies]`. Prints JSON lines.

Every design draws studies from a population whose true value is known, by arithmetic or from a very large study of it.
"""

import json
import sys
import time

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit

from app.stats.agreement import krippendorff
from app.stats.bootstrap import rate
from app.stats.bradley_terry import bradley_terry
from app.stats.clusters import ratio, sums_interval
from app.stats.controlled import controlled
from app.stats.dimensions import paired_ratings
from app.stats.preference import win_rate
from app.stats.rates import causal_rate, odds_ratio, rate_per

DRAWS = 1_000
STUDIES = 1_000


def clustered(generator, prompts, each, people):
    """Number the prompt and the annotator of each judgment: every prompt judged `each` times by different people."""
    items = np.repeat(np.arange(prompts), each)
    annotators = np.concatenate([generator.permutation(people)[:each] for _ in range(prompts)])
    return items, annotators


def mean_of_logit(shift, spread):
    """Mean of expit(shift + normal(spread)), by Gauss-Hermite quadrature."""
    points, weights = np.polynomial.hermite_e.hermegauss(60)
    return float((weights * expit(shift + spread * points)).sum() / weights.sum())


def win_rates(generator, *, prompts, each, people, rate, by_prompt, by_person):
    """Judgments whose logits vary by prompt and by annotator; returns the interval shown and the truth."""
    spread = float(np.hypot(by_prompt, by_person))
    shift = brentq(lambda at: mean_of_logit(at, spread) - rate, -12, 12)
    items, annotators = clustered(generator, prompts, each, people)
    edge = shift + generator.normal(0, by_prompt, prompts)[items] + generator.normal(0, by_person, people)[annotators]
    won = generator.random(len(items)) < expit(edge)
    tied = generator.random(len(items)) < 0.1
    score = np.where(tied, 0.5, won.astype(float))
    return win_rate(score, items, annotators, draws=DRAWS).shown, 0.9 * rate + 0.05


def paired(generator, *, prompts, each, people):
    """Ratings of both arms around a difference of 0.3 that varies by prompt."""
    items, annotators = clustered(generator, prompts, each, people)
    level = generator.normal(3, 0.8, prompts)[items]
    apart = generator.normal(0.3, 0.6, prompts)[items]
    first, second = (level + sign * apart / 2 + generator.normal(0, 0.8, len(items)) for sign in (1, -1))
    return paired_ratings(first, second, items, annotators, draws=DRAWS).difference.shown, 0.3


def spans(generator, *, prompts, each, people):
    """Spans per 100 tokens: a rate of 0.6 that varies by prompt (gamma), responses of 50 to 400 tokens."""
    items, annotators = clustered(generator, prompts, each, people)
    tokens = generator.integers(50, 400, prompts)[items]
    rate = generator.gamma(2, 0.3, prompts)[items]
    counts = generator.poisson(rate * tokens / 100)
    return rate_per(counts, tokens, items, annotators, draws=DRAWS).shown, 0.6


def causal(generator, *, prompts, each, people):
    """Two retrieved instances and two decoys a span; 0.4 against 0.1 judged borrowed, varying by prompt."""
    items, annotators = clustered(generator, prompts, each, people)
    real = generator.binomial(2, generator.beta(2, 3, prompts)[items])
    decoy = generator.binomial(2, generator.beta(0.5, 4.5, prompts)[items])
    twos = np.full(len(items), 2)
    return causal_rate(real, twos, decoy, twos, items, annotators, draws=DRAWS).shown, 0.3


def odds(generator, *, prompts, stratified):
    """Shifted tokens inside hallucinated spans and outside: odds ratio 3 in each response, around levels of its own."""
    level = generator.normal(-2, 0.7, prompts)
    inside = generator.poisson(12, prompts) + 1
    outside = generator.poisson(150, prompts) + 1
    hits = generator.binomial(inside, expit(level + np.log(3)))
    rest = generator.binomial(outside, expit(level))
    found = odds_ratio(hits, inside - hits, rest, outside - rest, np.arange(prompts), draws=DRAWS)
    if stratified:
        return found.stratified, 3.0
    a, b = mean_of_logit(-2 + np.log(3), 0.7), mean_of_logit(-2, 0.7)
    return found.pooled, a / (1 - a) / (b / (1 - b))


def few(generator, *, prompts, each, plain):
    """A share whose prompts' own levels are beta around 0.6, by this package's interval or by plain percentiles."""
    found = generator.binomial(each, generator.beta(3, 2, prompts)).astype(float)
    whole = np.full(prompts, float(each))
    if plain:
        return rate(found, whole, draws=DRAWS), 0.6
    return sums_interval(np.column_stack([found, whole]), ratio, n=prompts * each, draws=DRAWS), 0.6


TRUE_BT = {}


def strengths(generator, *, prompts, each, people):
    """Three arms at 0.5, 0 and -0.5 with effects of prompts; the truth is the fit of 200,000 prompts."""

    def study(count, times, drawn):
        items = np.repeat(np.arange(count), times)
        left = drawn.integers(0, 3, len(items))
        right = (left + drawn.integers(1, 3, len(items))) % 3
        own = np.array([0.5, 0.0, -0.5]) + drawn.normal(0, 0.5, (count, 3))
        won = drawn.random(len(items)) < expit(0.2 + own[items, left] - own[items, right])
        return left, right, won.astype(float), items

    if not TRUE_BT:
        many = bradley_terry("abc", *study(300_000, 3, np.random.default_rng(77)), draws=2)
        TRUE_BT["value"] = many.log_strengths[0].value
    found = bradley_terry("abc", *study(prompts, each, generator), draws=DRAWS)
    return found.log_strengths[0], TRUE_BT["value"]


def lengths(generator, *, prompts, each, people):
    """Length-controlled win rate of two arms; the truth is that of a very large study of the same kind."""

    def study(count, times, crowd, drawn):
        items = np.repeat(np.arange(count), times)
        annotators = drawn.integers(0, crowd, len(items))
        left = drawn.integers(0, 2, len(items))
        apart = drawn.normal(30, 100, len(items))
        own = drawn.normal(0.4, 0.6, count)[items]
        mine = drawn.random(len(items)) < expit(own + 0.5 * np.tanh(apart / 100) + 0.3 * (1 - 2 * left))
        score = np.where(left == 0, mine, ~mine).astype(float)
        side = np.where(left == 0, apart, -apart)
        return left, 1 - left, score, side + 1_000, np.full(len(items), 1_000.0), items, annotators

    if "length" not in TRUE_BT:
        many = controlled("ab", *study(100_000, 3, 50, np.random.default_rng(78)))
        TRUE_BT["length"] = many.win_rate.shown.value
    found = controlled("ab", *study(prompts, each, people, generator))
    return found.win_rate.shown, TRUE_BT["length"]


def alpha(generator, *, units, raters, truth, level="nominal"):
    """Raters who give the unit's label with chance sqrt(truth) and else any of five: nominal alpha is `truth`."""
    label = generator.integers(1, 6, units)
    sure = generator.random((raters, units)) < np.sqrt(truth)
    values = np.where(sure, label, generator.integers(1, 6, (raters, units)))
    return krippendorff(values.ravel(), np.tile(np.arange(units), raters), level=level, draws=DRAWS).alpha, truth


DESIGNS = {
    "win rate, prompts vary, 40 x 3": (
        win_rates,
        {"prompts": 40, "each": 3, "people": 25, "rate": 0.65, "by_prompt": 1.2, "by_person": 0.0},
    ),
    "win rate, prompts vary, 12 x 5": (
        win_rates,
        {"prompts": 12, "each": 5, "people": 10, "rate": 0.6, "by_prompt": 1.2, "by_person": 0.0},
    ),
    "win rate, annotators vary, 40 x 5": (
        win_rates,
        {"prompts": 40, "each": 5, "people": 12, "rate": 0.65, "by_prompt": 0.0, "by_person": 1.0},
    ),
    "win rate, both vary, 40 x 5": (
        win_rates,
        {"prompts": 40, "each": 5, "people": 25, "rate": 0.65, "by_prompt": 0.8, "by_person": 0.5},
    ),
    "win rate, both vary strongly, 40 x 5": (
        win_rates,
        {"prompts": 40, "each": 5, "people": 12, "rate": 0.65, "by_prompt": 1.0, "by_person": 1.0},
    ),
    "win rate 0.9, prompts vary, 60 x 3": (
        win_rates,
        {"prompts": 60, "each": 3, "people": 25, "rate": 0.9, "by_prompt": 1.2, "by_person": 0.0},
    ),
    "share, 10 x 10": (few, {"prompts": 10, "each": 10, "plain": False}),
    "share, 10 x 10, plain percentiles": (few, {"prompts": 10, "each": 10, "plain": True}),
    "paired difference, 40 x 3": (paired, {"prompts": 40, "each": 3, "people": 25}),
    "spans per 100 tokens, 40 x 3": (spans, {"prompts": 40, "each": 3, "people": 25}),
    "causal rate, 40 x 3": (causal, {"prompts": 40, "each": 3, "people": 25}),
    "odds ratio pooled, 60 responses": (odds, {"prompts": 60, "stratified": False}),
    "odds ratio stratified, 60 responses": (odds, {"prompts": 60, "stratified": True}),
    "Bradley-Terry log-strength, 40 x 3": (strengths, {"prompts": 40, "each": 3, "people": 0}),
    "length-controlled win rate, 40 x 5": (lengths, {"prompts": 40, "each": 5, "people": 25}),
    "alpha nominal 0.4, 60 units x 3": (alpha, {"units": 60, "raters": 3, "truth": 0.4}),
    "alpha nominal 0.7, 40 units x 3": (alpha, {"units": 40, "raters": 3, "truth": 0.7}),
    "alpha interval 0.5, 60 units x 3": (alpha, {"units": 60, "raters": 3, "truth": 0.5, "level": "interval"}),
    "alpha ordinal 0.5, 60 units x 3": (alpha, {"units": 60, "raters": 3, "truth": 0.5, "level": "ordinal"}),
}


def coverage(name, studies, seed=2026):
    """Simulate one design: the shares of intervals that hold the truth, lie below it and above it, and their width."""
    design, facts = DESIGNS[name]
    generator = np.random.default_rng([seed, *map(ord, name)])
    held = below = above = none = 0
    width = 0.0
    for _ in range(studies):
        found, truth = design(generator, **facts)
        if found.low is None:
            none += 1
            continue
        held += found.low <= truth <= found.high
        below += found.high < truth
        above += found.low > truth
        width += found.high - found.low
    made = max(studies - none, 1)
    return {
        "design": name,
        "studies": studies,
        "coverage": round(held / made, 4),
        "all_below": round(below / made, 4),
        "all_above": round(above / made, 4),
        "mean_width": round(width / made, 4),
        "no_interval": none,
    }


def main():
    """Run every design, or those whose name holds a word given after the number of studies."""
    studies = int(sys.argv[1]) if len(sys.argv) > 1 else STUDIES
    for name in DESIGNS:
        if len(sys.argv) > 2 and sys.argv[2] not in name:
            continue
        started = time.perf_counter()
        record = coverage(name, studies)
        print(json.dumps(record | {"seconds": round(time.perf_counter() - started, 1)}), flush=True)


if __name__ == "__main__":
    main()
