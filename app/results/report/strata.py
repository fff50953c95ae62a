"""The results again for each stratum of prompts, and whether they differ more than chance would have them."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from app.results.report.dimensions import dimensions, holm
from app.results.report.hallucination import hallucination
from app.results.report.pairs import Pair, Section, pairs_of, put
from app.results.report.preference import preference
from app.results.report.tables import Tables, Text
from app.results.report.values import Number, Numbers, count, part, undefined
from app.stats.strata import heterogeneity, share_variance

NONE_GIVEN = "(none)"
"""What the prompts without a stratum are called where others have one."""

SECTIONS: tuple[Section, ...] = (preference, dimensions, hallucination)


def strata_of(tables: Tables) -> tuple[str, ...]:
    """Name the strata that were judged, sorted; none where there is only one, because nothing then differs by it."""
    names = tables.judgments.stratum.names
    return tuple(sorted(name or NONE_GIVEN for name in names)) if len(names) > 1 else ()


def prefix_of(stratum: str) -> str:
    """Spell what the keys of a stratum begin with."""
    return f"stratum.{part(stratum)}."


def strata(tables: Tables, pairs: tuple[Pair, ...]) -> Numbers:
    """Find `stratum.<name>.*` as the sections find it of all, and `strata.<pair>.*`: whether the win rates differ.

    p values of ratings are adjusted over all strata together.
    """
    numbers: Numbers = {}
    if not strata_of(tables):
        return numbers
    found: dict[str, tuple[Pair, ...]] = {}
    for name, some in _apart(tables):
        found[name] = pairs_of(some)
        own: Numbers = {}
        for section in SECTIONS:
            own |= section(some, found[name])
        numbers |= {f"{prefix_of(name)}{key}": one for key, one in own.items()}
    holm(numbers)
    for pair in pairs:
        _compare(numbers, pair, found)
    return numbers


def _apart(tables: Tables) -> Iterator[tuple[str, Tables]]:
    """Yield every stratum with its judgments and their texts."""
    stratum, item = tables.judgments.stratum, tables.judgments.item
    of_item = np.full(len(item.names), -1, np.int64)
    of_item[item.codes] = stratum.codes
    places = dict(zip(item.names, of_item.tolist(), strict=True))
    texts: list[dict[tuple[str, str], Text]] = [{} for _ in stratum.names]
    for key, text in tables.texts.items():
        if places.get(key[0], -1) >= 0:
            texts[places[key[0]]][key] = text
    for code, name in enumerate(stratum.names):
        yield name or NONE_GIVEN, replace(tables.keep(stratum.codes == code), texts=texts[code])


def _compare(numbers: Numbers, pair: Pair, found: Mapping[str, tuple[Pair, ...]]) -> None:
    """Compare one pair's win rates of all strata."""
    same = [one for some in found.values() for one in some if one.key == pair.key and one.score.size]
    rates = [float(one.score.mean()) for one in same]
    test = heterogeneity(rates, [share_variance(one.score, one.items) for one in same])
    values = {"q": test.q, "p": test.p_value, "i2": test.share}
    shown = {
        name: undefined(test.reason, test.groups) if value is None else Number(value, n=test.groups)
        for name, value in values.items()
    }
    put(numbers, f"strata.{pair.key}", judged=count(len(same)), **shown)
