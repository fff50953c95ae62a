"""How every annotator of a study judges, kept while nothing of theirs changes. Pure.

A submitted revision never changes, so whoever has the same ones as before is described as before.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock

import numpy as np

from app.monitor.columns import Ints, KnownItem, Sheet, words_of
from app.monitor.facts import GoldResult
from app.monitor.profile import Profile, profile_of, warnings_of

_STUDIES = 8
# Odd and without pattern, so that sums of products tell sets of judgments apart.
_SPREAD = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9)


@dataclass(frozen=True, slots=True)
class Meaning:
    """What judgments mean beyond themselves: what items are, how long responses are, and which arm is the better."""

    items: Mapping[str, KnownItem]
    lengths: Mapping[str, int]
    better_arm_id: str


@dataclass(frozen=True, slots=True)
class Described:
    """How somebody judges, and what is striking in it.

    `gold_wrong` are gold items answered otherwise than expected, as (presentation id, item id).
    """

    profile: Profile
    gold: GoldResult
    gold_wrong: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]


_kept: OrderedDict[str, tuple[Meaning, dict[tuple[str, int, int], Described]]] = OrderedDict()
_lock = Lock()


def described(study_id: str, sheet: Sheet, meaning: Meaning) -> dict[str, Described]:
    """Describe whoever judged, by annotator id; those whose judgments were all looked at before are not again."""
    with _lock:
        means, known = _kept.get(study_id, (meaning, {}))
    if means != meaning:
        known = {}
    now = {}
    for person, own, mark in _marked(sheet):
        key = (person, len(own), mark)
        now[key] = known.get(key) or _describe(sheet, own)
    with _lock:
        _kept[study_id] = (meaning, now)
        _kept.move_to_end(study_id)
        while len(_kept) > _STUDIES:
            _kept.popitem(last=False)
    return {person: found for (person, _, _), found in now.items()}


def _marked(sheet: Sheet) -> list[tuple[str, Ints, int]]:
    """List everybody's rows, oldest first, with a number that tells which judgments these are."""
    columns = sheet.columns
    mixed = columns.number.astype(np.uint64) * np.uint64(_SPREAD[0])
    for at, word in enumerate(words_of(columns.ids)):
        mixed = (mixed ^ (mixed >> np.uint64(29)) ^ word) * np.uint64(_SPREAD[1 + at % 2])
    mixed ^= mixed >> np.uint64(32)
    order = np.argsort(columns.who, kind="stable")
    edges = np.searchsorted(columns.who[order], np.arange(len(columns.people) + 1))
    own = [order[edges[at] : edges[at + 1]] for at in range(len(columns.people))]
    # Whole numbers of 64 bits, whose sum wraps around.
    return [(person, rows, int(mixed[rows].sum())) for person, rows in zip(columns.people, own, strict=True)]


def _describe(sheet: Sheet, own: Ints) -> Described:
    profile, gold = profile_of(sheet, own), _gold(sheet, own)
    return Described(profile, gold, _gold_wrong(sheet, own), tuple(warnings_of(profile, gold)))


def nothing(sheet: Sheet) -> Described:
    """Describe somebody who has judged nothing."""
    return _describe(sheet, np.zeros(0, dtype=np.int64))


def _gold(sheet: Sheet, own: Ints) -> GoldResult:
    return GoldResult(int(np.sum(sheet.gold[own])), int(np.sum(sheet.right_answer[own])))


def _gold_wrong(sheet: Sheet, own: Ints) -> tuple[tuple[str, str], ...]:
    columns = sheet.columns
    wrong = own[sheet.gold[own] & ~sheet.right_answer[own]]
    return tuple((columns.id_of(row), columns.items[columns.item[row]]) for row in wrong)
