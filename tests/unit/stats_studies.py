"""Random studies for the tests of statistics."""

import numpy as np
from hypothesis import strategies as st

SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def judgments(draw, arms=2, most=80):
    """Draw judgments of pairs: left, right, left_scores, items, annotators, each a column."""
    generator = np.random.default_rng(draw(SEEDS))
    n = draw(st.integers(1, most))
    ties = draw(st.sampled_from([0.0, 0.2, 0.6, 1.0]))
    left = generator.integers(0, arms, n)
    right = (left + generator.integers(1, arms, n)) % arms
    pull = generator.normal(scale=draw(st.sampled_from([0.0, 0.5, 3.0])), size=arms)
    chance = 1 / (1 + np.exp(pull[right] - pull[left]))
    score = np.where(generator.random(n) < ties, 0.5, (generator.random(n) < chance).astype(float))
    items = generator.integers(0, draw(st.integers(1, 15)), n)
    annotators = generator.integers(0, draw(st.integers(1, 6)), n)
    return left, right, score, items, annotators
