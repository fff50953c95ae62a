"""How long each estimator takes over 1,000,000 judgments: `python -m tests.bench.bench_stats [judgments]`.

Prints JSON lines: the best of three runs in seconds, on one core, 2,000 draws each.
"""

import json
import sys
import time

import numpy as np

from app.stats.agreement import krippendorff, pair_agreement
from app.stats.bradley_terry import bradley_terry
from app.stats.controlled import controlled
from app.stats.dimensions import paired_ratings, ratings
from app.stats.effects import blinding_index, duplicates, leave_one_out, position_effect, speed
from app.stats.planning import more_judgments
from app.stats.preference import mean_preference, strength, ties_three_ways, win_rate
from app.stats.rates import causal_rate, odds_ratio, paired_binary, rate_per
from app.stats.spans import span_agreement

ARMS = ("base", "lft", "sft")


def study(n):
    """Draw judgments over n / 25 prompts and 300 annotators."""
    generator = np.random.default_rng(1)
    left = generator.integers(0, 3, n)
    return {
        "items": generator.integers(0, max(n // 25, 2), n),
        "annotators": generator.integers(0, 300, n),
        "left": left,
        "right": (left + generator.integers(1, 3, n)) % 3,
        "score": generator.choice([0.0, 0.5, 1.0], n),
        "first": generator.integers(1, 6, n),
        "second": generator.integers(1, 6, n),
        "flags": generator.integers(0, 2, (2, n)),
        "tokens": generator.integers(50, 400, n),
        "lengths": generator.poisson(900, (2, n)).astype(float),
        "active": generator.exponential(60_000, n),
    }


def estimators(s):
    """Name what is timed."""
    who = s["items"], s["annotators"]
    ones, unit = np.ones(len(s["score"])), s["items"] * 3 + s["left"]
    responses = len(s["score"]) // 3
    marks = np.flatnonzero(s["flags"][0][: 3 * responses])
    start = s["first"][marks] * 3
    return {
        "win_rate": lambda: win_rate(s["score"], *who),
        "ties_three_ways": lambda: ties_three_ways(s["score"], *who),
        "strength": lambda: strength(s["first"] - 3, *who),
        "mean_preference": lambda: mean_preference(s["score"]),
        "bradley_terry": lambda: bradley_terry(ARMS, s["left"], s["right"], s["score"], s["items"]),
        "controlled": lambda: controlled(ARMS, s["left"], s["right"], s["score"], *s["lengths"], *who),
        "ratings": lambda: ratings(s["first"], *who),
        "paired_ratings": lambda: paired_ratings(s["first"], s["second"], *who),
        "paired_binary": lambda: paired_binary(*s["flags"], *who),
        "rate_per": lambda: rate_per(s["first"], s["tokens"], *who),
        "causal_rate": lambda: causal_rate(s["flags"][0], 2 * ones, s["flags"][1], 2 * ones, *who),
        "odds_ratio": lambda: odds_ratio(s["first"], s["second"], s["tokens"], 3 * s["tokens"], s["items"]),
        "alpha_ordinal": lambda: krippendorff(s["first"], unit, level="ordinal", clusters=s["items"]),
        "alpha_nominal": lambda: krippendorff(s["score"], unit, level="nominal"),
        "pair_agreement": lambda: pair_agreement(s["score"], unit, clusters=s["items"]),
        "span_agreement": lambda: span_agreement(
            s["tokens"][:responses], s["items"][:responses], np.repeat(np.arange(responses), 3), marks, start, start + 9
        ),
        "position_effect": lambda: position_effect(s["score"], s["flags"][0], *who),
        "duplicates": lambda: duplicates(s["annotators"], s["items"], s["left"], s["right"], s["score"]),
        "blinding_index": lambda: blinding_index(s["flags"][0] * 2 - 1, s["annotators"]),
        "speed": lambda: speed(s["active"], s["score"], *who),
        "leave_one_out": lambda: leave_one_out(s["score"], s["annotators"]),
        "more_judgments": lambda: more_judgments(s["score"], s["items"]),
    }


def main():
    """Time every estimator."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    for name, run in estimators(study(n)).items():
        taken = []
        for _ in range(3):
            started = time.process_time()
            run()
            taken.append(time.process_time() - started)
        print(json.dumps({"estimator": name, "judgments": n, "seconds": round(min(taken), 3)}), flush=True)


if __name__ == "__main__":
    main()
