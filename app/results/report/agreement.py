"""How far annotators agree: on the preference, on each rated dimension, on acceptability and on marked spans."""

import numpy as np

from app.results.report.coded import Ints, used
from app.results.report.pairs import Pair, number, put
from app.results.report.sides import Sides, rows_of, sides_of
from app.results.report.tables import Tables
from app.results.report.values import Number, Numbers, count, part, undefined
from app.stats.agreement import Level, krippendorff, pair_agreement
from app.stats.kappa import pairwise
from app.stats.many_kappas import many_kappas
from app.stats.spans import span_agreement

# Fewer shared units give a kappa that says little.
LEAST_SHARED = 5
MOST_LISTED = 10
# Of more, those who judged most: the twos grow with the square of the people. Alpha holds all of them.
MOST_PEOPLE = 500
_SPREAD = (("lowest", 0.0), ("tenth", 0.1), ("median", 0.5), ("ninetieth", 0.9), ("highest", 1.0))


def agreement(tables: Tables, pairs: tuple[Pair, ...]) -> Numbers:
    """Find `agreement.<what>.*`: alpha with its interval over prompts, its n, and kappa by pair of people."""
    numbers: Numbers = {}
    for pair in pairs:
        _preference(numbers, f"agreement.preference.{pair.key}", tables, pair)
    sides = sides_of(tables)
    unit = used(sides.item * max(1, len(tables.arms)) + sides.arm)
    for code, name in enumerate(tables.ratings.dimensions):
        given = tables.ratings.of(code).reshape(-1)
        rows = np.flatnonzero(given)
        for level in ("ordinal", "interval"):
            _alpha(numbers, f"agreement.dimensions.{part(name)}", level, given[rows], unit[rows], sides.item[rows])
    rows = 2 * tables.accepted.judgment + tables.accepted.side
    accepted = tables.accepted.acceptable.astype(np.int64)
    _alpha(numbers, "agreement.acceptability", "nominal", accepted, unit[rows], sides.item[rows])
    _spans(numbers, tables, sides, unit)
    return numbers


def _alpha(numbers: Numbers, prefix: str, level: Level, values: Ints, units: Ints, items: Ints) -> None:
    found = krippendorff(values, used(units), level=level, clusters=used(items))
    numbers[f"{prefix}.alpha_{level}"] = number(found.alpha)
    numbers[f"{prefix}.n_pairable"] = count(found.n_pairable)
    numbers[f"{prefix}.units"] = count(found.units)
    for value, times in found.labels:
        numbers[f"{prefix}.label.{value:g}"] = count(times)


def _preference(numbers: Numbers, prefix: str, tables: Tables, pair: Pair) -> None:
    # 1 for the first arm, 0 for a tie, -1 for the second.
    said = np.rint(2 * pair.score - 1).astype(np.int64)
    _alpha(numbers, prefix, "nominal", said, pair.items, pair.items)
    pairs = pair_agreement(pair.score, pair.items, clusters=pair.items)
    put(numbers, prefix, strict=pairs.strict, relaxed=pairs.relaxed, pairs=count(pairs.pairs))
    _kappas(numbers, f"{prefix}.kappa", tables, pair, said)


def _kappas(numbers: Numbers, prefix: str, tables: Tables, pair: Pair, said: Ints) -> None:
    """Summarise kappa over every two annotators who share enough, and list each where they are few."""
    people = tables.judgments.annotator.codes[pair.rows]
    several = len(np.unique(people))
    rows = _busiest(people)
    found = many_kappas(said[rows], pair.items[rows], people[rows], least=LEAST_SHARED)
    reason = f"no two annotators share {LEAST_SHARED} prompts on which a kappa is defined"
    numbers[f"{prefix}.pairs"] = count(len(found.kappa))
    numbers[f"{prefix}.people"] = count(min(several, MOST_PEOPLE))
    for name, share in _SPREAD:
        one = Number(float(np.quantile(found.kappa, share)), n=len(found.kappa)) if found.kappa.size else None
        numbers[f"{prefix}.{name}"] = one or undefined(reason, 0)
    if several <= MOST_LISTED:
        names = tables.judgments.annotator.names
        for each in pairwise(said, pair.items, people, least=LEAST_SHARED):
            if each.kappa.value is not None:
                numbers[f"{prefix}.{part(names[each.first])}~{part(names[each.second])}"] = number(each.kappa)


def _busiest(people: Ints) -> Ints:
    """Return the rows of the annotators with the most judgments; of equally many, the first by pseudonym."""
    times = np.bincount(people, minlength=1)
    kept = np.zeros(len(times), np.bool_)
    kept[np.lexsort((np.arange(len(times)), -times))[:MOST_PEOPLE]] = True
    return np.flatnonzero(kept[people])


def _spans(numbers: Numbers, tables: Tables, sides: Sides, unit: Ints) -> None:
    """Compare marks at every code point, over judged responses whose text is stored."""
    prefix = "agreement.spans"
    known = np.flatnonzero(sides.counts & (sides.characters > 0))
    if not tables.asked.spans or not known.size:
        reason = "no judged response has its text stored" if tables.asked.spans else "the study does not ask for spans"
        put(numbers, prefix, alpha=undefined(reason), f1=undefined(reason))
        return
    response = used(unit[known])
    # Any one of the judgments of a response says what it is.
    one = np.zeros(int(response.max()) + 1, np.int64)
    one[response] = known
    place = np.full(len(sides.arm), -1, np.int64)
    place[known] = np.arange(len(known))
    owner = place[rows_of(tables.spans)]
    marked = owner >= 0
    found = span_agreement(
        sides.characters[one],
        used(sides.item[one]),
        response,
        owner[marked],
        tables.spans.start[marked],
        tables.spans.end[marked],
    )
    put(numbers, prefix, alpha=found.alpha, f1=found.f1, responses=count(found.responses))
    none = undefined("no response was judged by two annotators")
    numbers[f"{prefix}.marked"] = none if found.marked is None else Number(found.marked)
