"""Figures stay readable whatever arms are called."""

import re
from itertools import pairwise

from app.results.charts import Dot, dots, stacked

NAMES = ("lft", "lft-rank-64-neftune-alpha-5-packed", "lft-rank-64-neftune-alpha-5-single")


def written(svg):
    """The words at the rows, the lines of one row together."""
    lines = re.findall(r'<text x="132" y="([\d.]+)"[^>]*>([^<]*)</text>', svg)
    return " ".join(words for _, words in lines), [float(y) for y, _ in lines]


def test_pairs_of_long_names_can_be_told_apart():
    pairs = [f"{first} against {second}" for first in NAMES for second in NAMES if first != second]
    for drawn in (
        stacked("n", "t", ("a", "b"), [(pair, (1, 2)) for pair in pairs]).svg,
        dots("n", "t", [Dot(pair, 0.5, 0.4, 0.6, "50 %") for pair in pairs], scale=(0, 1), ticks=()).svg,
    ):
        lines = re.findall(r'<text x="132"[^>]*>([^<]*)</text>', drawn)
        rows = [" ".join(lines[at : at + 2]) for at in range(0, len(lines), 2)]
        assert len(rows) == len(set(rows)) == len(pairs), rows
        assert max(map(len, lines)) <= 19


def test_labels_of_two_lines_do_not_touch():
    longer = dots("n", "t", [Dot(name, 0.5, None, None, "50 %") for name in NAMES], scale=(0, 1), ticks=())
    _, heights = written(longer.svg)
    assert min(after - before for before, after in pairwise(heights)) >= 13


def test_a_short_label_stands_as_it_is():
    words, _ = written(dots("n", "t", [Dot("ties modelled (Davidson)", 0.5, 0.4, 0.6, "")], scale=(0, 1), ticks=()).svg)
    assert words == "ties modelled (Davidson)"
