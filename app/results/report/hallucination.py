"""Hallucinated spans: how many responses have one, how many there are, and what two arms differ by."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from app.results.report.coded import Ints, used
from app.results.report.dimensions import holm
from app.results.report.pairs import Pair, number, put
from app.results.report.preference import clustered
from app.results.report.sides import Sides, marks, sides_of
from app.results.report.tables import Tables
from app.results.report.values import Number, Numbers, count, part, undefined
from app.stats.rates import PairedBinary, paired_binary, rate_difference, rate_per, share

NOT_ASKED = "the study does not ask for hallucinated spans"
# Pairs are compared by all spans and by severity.
_COMPARED = 3
_EXPOSURES = (("per_100_tokens", 100.0), ("per_1000_characters", 1000.0))


def hallucination(tables: Tables, pairs: tuple[Pair, ...]) -> Numbers:
    """Find `hallucination.<arm>.*` and `hallucination.<pair>.*`, over judgments that say something of the pair."""
    numbers: Numbers = {"hallucination.spans": count(len(tables.spans.start))}
    sides = sides_of(tables)
    for kind, (name, found) in enumerate(_kinds(tables, len(sides.arm))):
        for at, arm in enumerate(tables.arms):
            _arm(numbers, f"hallucination.{part(arm)}", name, sides, found, at)
        for pair in pairs if kind < _COMPARED else ():
            _pair(numbers, f"hallucination.{pair.key}", name, sides, found, pair)
    holm(numbers)
    return numbers


def _kinds(tables: Tables, rows: int) -> Iterator[tuple[str, Ints]]:
    """Yield the spans counted: all, then by severity, then by type, each with how many stand in each side."""
    spans = tables.spans
    yield "any", marks(spans, np.ones(len(spans.start), np.bool_), rows)
    for severity in ("major", "minor"):
        yield severity, marks(spans, spans.severity.codes == spans.severity.code(severity), rows)
    for code, name in enumerate(spans.type.names):
        yield f"type.{part(name)}", marks(spans, spans.type.codes == code, rows)


def _arm(numbers: Numbers, prefix: str, name: str, sides: Sides, found: Ints, arm: int) -> None:
    rows = sides.of_arm(arm)
    if not sides.spans_asked:
        for what in ("share", *(unit for unit, _ in _EXPOSURES)):
            numbers[f"{prefix}.{what}.{name}"] = undefined(NOT_ASKED, len(rows))
        return
    items, annotators = used(sides.item[rows]), used(sides.annotator[rows])
    one = share(found[rows] > 0, items, annotators)
    key = f"{prefix}.share.{name}"
    numbers[key] = number(one.shown)
    put(numbers, key, by_prompt=one.by_item, by_annotator=one.by_annotator, wilson=one.wilson)
    numbers[f"{prefix}.responses.{name}"] = count(one.found)
    numbers[f"{prefix}.spans.{name}"] = count(found[rows].sum())
    for unit, per in _EXPOSURES:
        numbers[f"{prefix}.{unit}.{name}"] = _per(sides, found, rows, unit, per)


def _per(sides: Sides, found: Ints, rows: Ints, unit: str, per: float) -> Number:
    """Divide by length, over the responses whose length is known."""
    exposure = _exposure(sides, unit)
    rows = rows[exposure[rows] > 0]
    if not rows.size:
        return undefined(f"no response of this arm has {'its tokens' if 'token' in unit else 'its text'} stored")
    items, annotators = used(sides.item[rows]), used(sides.annotator[rows])
    return number(rate_per(found[rows], exposure[rows], items, annotators, per=per).shown)


def _exposure(sides: Sides, unit: str) -> Ints:
    return sides.tokens if "token" in unit else sides.characters


def _pair(numbers: Numbers, prefix: str, name: str, sides: Sides, found: Ints, pair: Pair) -> None:
    if not sides.spans_asked:
        for what in ("difference", "mcnemar.p", "per_1000_characters"):
            numbers[f"{prefix}.{what}.{name}"] = undefined(NOT_ASKED, len(pair.rows))
        return
    left, right = 2 * pair.rows, 2 * pair.rows + 1
    first, second = np.where(pair.first_is_left, left, right), np.where(pair.first_is_left, right, left)
    one = paired_binary(found[first] > 0, found[second] > 0, pair.items, pair.annotators)
    clustered(numbers, f"{prefix}.difference.{name}", one.difference)
    _mcnemar(numbers, f"{prefix}.mcnemar", name, one)
    numbers[f"{prefix}.per_1000_characters.{name}"] = _apart(sides, found, first, second, pair)


def _mcnemar(numbers: Numbers, prefix: str, name: str, one: PairedBinary) -> None:
    changed = one.only_first + one.only_second
    p = one.mcnemar_exact
    numbers[f"{prefix}.p.{name}"] = undefined(one.reason, changed) if p is None else Number(p, n=changed)
    cells = {"both": one.both, "only_first": one.only_first, "only_second": one.only_second, "neither": one.neither}
    for cell, times in cells.items():
        numbers[f"{prefix}.{cell}.{name}"] = count(times)


def _apart(sides: Sides, found: Ints, first: Ints, second: Ints, pair: Pair) -> Number:
    known: NDArray[np.bool_] = (sides.characters[first] > 0) & (sides.characters[second] > 0)
    if not known.any():
        return undefined("no judged pair has both its texts stored")
    one, other = first[known], second[known]
    apart = rate_difference(
        (found[one], sides.characters[one]),
        (found[other], sides.characters[other]),
        used(pair.items[known]),
        used(pair.annotators[known]),
        per=1000,
    )
    return number(apart.shown)
