"""`tuneshift stats preference | effects`: what the comparisons of any CSV file tell, as JSON."""

from typing import Any

import numpy as np

from app.cli.common import print_json
from app.cli.stats_files import Comparisons, FileArgument, read_comparisons
from app.stats import bt_fit
from app.stats.bradley_terry import average_win_rates, bradley_terry, in_words, soft, win_table
from app.stats.clusters import ANNOTATOR, PROMPT, cluster_interval, ratio
from app.stats.controlled import controlled
from app.stats.effects import duplicates, leave_one_out
from app.stats.estimate import Estimate, Floats, Ints, wider, width
from app.stats.wilson import wilson


def preference(source: FileArgument) -> None:
    """Win rates with intervals and Bradley-Terry strengths of the columns left, right and winner (left, right, tie)."""
    read = read_comparisons(source)
    table = win_table(read.left, read.right, read.scores, len(read.names))
    warning = in_words(bt_fit.graph_of(table), read.names)
    log = None if warning else bt_fit.fit(table[None], np.zeros_like(table)[None], position=False)[0][0]
    strengths = [None] * len(read.names) if log is None else soft(log).tolist()
    logs = [None] * len(read.names) if log is None else log.tolist()
    averages = average_win_rates(table)
    systems = [
        _system(read, at) | {"strength": strengths[at], "log_strength": logs[at], "average_win_rate": averages[at]}
        for at in range(len(read.names))
    ]
    key = "win_rate" if log is None else "strength"
    systems.sort(key=lambda one: (-round(one[key], 12), one["name"]))
    print_json({"systems": systems, "warnings": [warning] if warning else []})


def _system(read: Comparisons, at: int) -> dict[str, Any]:
    mine = (read.left == at) | (read.right == at)
    score = np.where(read.left == at, read.scores, 1 - read.scores)[mine]
    wins, losses = int((score == 1).sum()), int((score == 0).sum())
    rate = _rate(score, *(None if groups is None else groups[mine] for groups in (read.items, read.annotators)))
    return {
        "name": read.names[at],
        "n": len(score),
        "wins": wins,
        "losses": losses,
        "ties": len(score) - wins - losses,
        "win_rate": float(score.mean()),
        "ci_low": rate.low,
        "ci_high": rate.high,
    }


def _rate(score: Floats, items: Ints | None, annotators: Ints | None) -> Estimate:
    """Bound a mean score: the wider of the clusters the file names, and Wilson's where these say nothing."""
    shown = Estimate(None, None, None, len(score))
    for groups, unit in ((items, PROMPT), (annotators, ANNOTATOR)):
        if groups is not None:
            shown = wider(shown, cluster_interval((score, np.ones(len(score))), groups, ratio, unit=unit))
    if width(shown) >= 0:
        return shown
    bounds = wilson(float(score.sum()), len(score)) or (0.0, 1.0)
    return Estimate(float(score.mean()), *bounds, len(score))


def effects(source: FileArgument) -> None:
    """Side, length, repeated judgments and single annotators behind the preferences of a file."""
    read = read_comparisons(source)
    n = len(read.scores)
    items = np.arange(n) if read.items is None else read.items
    annotators = np.zeros(n, dtype=np.int64) if read.annotators is None else read.annotators
    fitted = bradley_terry(read.names, read.left, read.right, read.scores, items)
    rate = _rate(read.scores, read.items, read.annotators)
    print_json(
        {
            "n": n,
            "position": {
                "left_win_rate": rate.value,
                "ci_low": rate.low,
                "ci_high": rate.high,
                "coefficient": _estimate(fitted.position),
            },
            "length": _length(read, items, annotators),
            "duplicates": _duplicates(read, items, annotators),
            "leave_one_annotator_out": _left_out(read),
        }
    )


def _estimate(one: Estimate) -> dict[str, Any]:
    record: dict[str, Any] = {"value": one.value, "ci_low": one.low, "ci_high": one.high}
    return record | ({"reason": one.reason} if one.reason else {})


def _absent(*columns: str) -> dict[str, Any]:
    return {"value": None, "reason": f"the file has no column {' or '.join(columns)}"}


def _length(read: Comparisons, items: Ints, annotators: Ints) -> dict[str, Any]:
    if read.lengths is None:
        return _absent("length_left", "length_right")
    found = controlled(read.names, read.left, read.right, read.scores, *read.lengths, items, annotators)
    record = {
        "longer_win_rate": found.longer.value,
        "coefficient": _estimate(found.length.shown),
        "position": _estimate(found.position.shown),
        "log_strengths": [
            {"name": name} | _estimate(one.shown) for name, one in zip(read.names, found.log_strengths, strict=True)
        ],
    }
    if len(read.names) == 2:  # noqa: PLR2004  a rate is one system's against the other's
        record["win_rate"] = {"name": read.names[0]} | _estimate(found.win_rate.shown)
    return record


def _duplicates(read: Comparisons, items: Ints, annotators: Ints) -> dict[str, Any]:
    missing = [name for name, groups in (("item", read.items), ("annotator", read.annotators)) if groups is None]
    if missing:
        return _absent(*missing)
    found = duplicates(annotators, items, read.left, read.right, read.scores)
    agreeing = found.agreement
    return {
        "repeated": found.repeated,
        "groups": found.groups,
        "same": _estimate(agreeing.strict),
        "not_opposite": _estimate(agreeing.relaxed),
    }


def _left_out(read: Comparisons) -> dict[str, Any]:
    """Leave out annotators from the first system's win rate; it needs exactly two systems."""
    if read.annotators is None:
        return _absent("annotator")
    if len(read.names) != 2:  # noqa: PLR2004  as above
        return {"value": None, "reason": f"a single win rate exists for two systems, not for {len(read.names)}"}
    found = leave_one_out(np.where(read.left == 0, read.scores, 1 - read.scores), read.annotators)
    if found.reason:
        return {"value": None, "reason": found.reason}
    return {"name": read.names[0], "lowest_win_rate": found.low, "highest_win_rate": found.high}
