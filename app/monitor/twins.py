"""Whether two accounts may be one person: nothing proves it, so it is said in words and nothing is done. Pure."""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from app.monitor.columns import NOBODY, Bools, Ints, Sheet

# Fewer shared items than this agree by chance too often to be worth a word.
SHARED_ENOUGH = 10
# So many answers are compared at once.
_CELLS = 1_000_000
# A table of everybody's answers may have so many places for each answer there is.
_DENSE = 20
_ALIKE = ("the same name", "e-mail addresses that reach one mailbox")


@dataclass(frozen=True, slots=True)
class Account:
    """What accounts are compared by; none of it but the pseudonym is shown."""

    annotator_id: str
    pid: str
    name: str
    email: str


@dataclass(frozen=True, slots=True)
class Twins:
    """Two pseudonyms that may be one person, and why."""

    first: str
    second: str
    reasons: tuple[str, ...]


def find_twins(accounts: Sequence[Account], sheet: Sheet) -> list[Twins]:
    """List pairs of accounts alike in name, in e-mail but for a tag or dots, or in every answer to shared items."""
    found: dict[tuple[int, int], list[str]] = {}
    for words, spelled in zip(
        _ALIKE, ([_plain(one.name) for one in accounts], [_mailbox(one.email) for one in accounts]), strict=True
    ):
        alike: dict[str, list[int]] = {}
        for at, key in enumerate(spelled):
            for earlier in alike.setdefault(key, []):
                found.setdefault((earlier, at), []).append(words)
            alike[key].append(at)
    for one, other, shared in _same_answers(accounts, sheet):
        found.setdefault((one, other), []).append(f"the same answer to all {shared} items that both judged")
    return [Twins(accounts[one].pid, accounts[other].pid, tuple(found[one, other])) for one, other in sorted(found)]


def _same_answers(accounts: Sequence[Account], sheet: Sheet) -> Iterator[tuple[int, int, int]]:
    """Yield accounts that gave the same answer to everything both judged, and how much that is."""
    columns = sheet.columns
    place = {account.annotator_id: at for at, account in enumerate(accounts)}
    account_of = np.array([place.get(one, NOBODY) for one in columns.people], dtype=np.int32)
    rows = np.flatnonzero(sheet.judged)
    who = account_of[columns.who[rows]]
    # Whoever judged less than must be shared is nobody's twin.
    enough = np.append(np.bincount(who[who != NOBODY], minlength=len(accounts)) >= SHARED_ENOUGH, [False])
    rows, who = rows[enough[who]], who[enough[who]]
    judges = np.flatnonzero(enough)
    spot = columns.item[rows] * len(columns.pairs) + columns.pair[rows]
    # Arms by their place, and ties beyond all of them, each kind its own answer.
    answer = np.where(sheet.chosen[rows] == NOBODY, len(columns.arms) + columns.preference[rows], sheet.chosen[rows])
    for one, other, shared in pairs_alike(np.searchsorted(judges, who), _numbered(spot), answer):
        yield int(judges[one]), int(judges[other]), shared


def _numbered(spot: Ints) -> Ints:
    """Number what occurs, without a gap."""
    there = np.bincount(spot) > 0
    numbers: Ints = (np.cumsum(there, dtype=np.int32) - 1)[spot]
    return numbers


def pairs_alike(who: Ints, case: Ints, answer: Ints) -> Iterator[tuple[int, int, int]]:
    """Yield every two who answer enough of the same cases, and all of these alike, with how many these are.

    All three are numbers from 0, one each per answer, and nobody answers a case twice.
    """
    if not len(who):
        return
    people, cases = int(who.max()) + 1, int(case.max()) + 1
    overlaps = _of_table if people * cases <= max(_CELLS, _DENSE * len(who)) else _of_few
    for start, shared, same in overlaps(who, case, answer, (people, cases)):
        # Each two once: the later of them in the columns.
        later = np.arange(people) > start + np.arange(len(shared))[:, None]
        for one, other in zip(*np.nonzero(later & (shared >= SHARED_ENOUGH) & (shared == same)), strict=True):
            yield start + int(one), int(other), int(shared[one, other])


_Overlaps = Iterator[tuple[int, npt.NDArray[Any], npt.NDArray[Any]]]


def _of_table(who: Ints, case: Ints, answer: Ints, shape: tuple[int, int]) -> _Overlaps:
    """Count the cases that both of two people answer, and those they answer alike: where most answer most."""
    people, cases = shape
    table = np.full(shape, NOBODY, dtype=np.int16)
    table[who, case] = answer
    shared, same = np.zeros((people, people), np.float32), np.zeros((people, people), np.float32)
    width = max(1, _CELLS // people)
    for start in range(0, cases, width):
        part = table[:, start : start + width]
        for total, chosen in ((shared, part != NOBODY), *((same, part == one) for one in range(int(part.max()) + 1))):
            # Sums of fewer ones than 2 ** 24 are exact.
            ours = chosen.astype(np.float32)
            np.add(total, ours @ ours.T, out=total)
    yield 0, shared, same


def _of_few(who: Ints, case: Ints, answer: Ints, shape: tuple[int, int]) -> _Overlaps:
    """Count the same, some people at a time: where each answers few of very many cases."""
    # Only here, because it is large and seldom needed.
    from scipy.sparse import csr_array  # noqa: PLC0415

    def chosen(which: Bools) -> Any:
        return csr_array((np.ones(int(which.sum()), np.int32), (who[which], case[which])), shape=shape)

    every = chosen(np.ones(len(who), dtype=np.bool_))
    each = [chosen(answer == one) for one in np.unique(answer)]
    height = max(1, _CELLS // shape[0])
    for start in range(0, shape[0], height):
        some = slice(start, start + height)
        same = sum((one[some] @ one.T).toarray() for one in each)
        yield start, (every[some] @ every.T).toarray(), same


def _plain(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def _mailbox(email: str) -> str:
    local, _, domain = email.casefold().partition("@")
    return f"{local.partition('+')[0].replace('.', '')}@{domain}"
