"""Whether two accounts may be one person: nothing proves it, so it is said in words and nothing is done. Pure."""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from app.monitor.columns import NOBODY, Floats, Sheet

# Fewer shared items than this agree by chance too often to be worth a word.
SHARED_ENOUGH = 10
# So many answers are compared at once.
_CELLS = 1_000_000
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
    account_of = np.array([place.get(one, NOBODY) for one in columns.people], dtype=np.int64)
    rows = np.flatnonzero(sheet.judged)
    who = account_of[columns.who[rows]]
    rows, who = rows[who != NOBODY], who[who != NOBODY]
    cases, case = np.unique(columns.item[rows] * len(columns.pairs) + columns.pair[rows], return_inverse=True)
    # Arms by their place, and ties beyond all of them, each kind its own answer.
    answer = np.where(sheet.chosen[rows] == NOBODY, len(columns.arms) + columns.preference[rows], sheet.chosen[rows])
    table = np.full((len(accounts), len(cases)), NOBODY, dtype=np.int16)
    table[who, case] = answer
    shared, same = _overlaps(table)
    for one, other in zip(*np.nonzero(np.triu((shared >= SHARED_ENOUGH) & (shared == same), 1)), strict=True):
        yield int(one), int(other), int(shared[one, other])


def _overlaps(table: npt.NDArray[np.int16]) -> tuple[Floats, Floats]:
    """Count the cases that both of two rows answer, and those they answer alike, `[rows, rows]` each."""
    people, cases = table.shape
    shared, same = np.zeros((people, people)), np.zeros((people, people))
    width = max(1, _CELLS // max(1, people))
    for start in range(0, cases, width):
        part = table[:, start : start + width]
        for total, chosen in ((shared, part != NOBODY), *((same, part == one) for one in np.unique(part[part >= 0]))):
            # Products of whole numbers this small are exact.
            ours = chosen.astype(np.float64)
            np.add(total, ours @ ours.T, out=total)
    return shared, same


def _plain(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def _mailbox(email: str) -> str:
    local, _, domain = email.casefold().partition("@")
    return f"{local.partition('+')[0].replace('.', '')}@{domain}"
