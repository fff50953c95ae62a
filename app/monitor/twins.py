"""Whether two accounts may be one person: nothing proves it, so it is said in words and nothing is done. Pure."""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from app.monitor.columns import NOBODY, Sheet

# Fewer shared items than this agree by chance too often to be worth a word.
SHARED_ENOUGH = 10
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
    spelled = [(_plain(account.name), _mailbox(account.email)) for account in accounts]
    for one, other in combinations(range(len(accounts)), 2):
        reasons = [words for words, a, b in zip(_ALIKE, spelled[one], spelled[other], strict=True) if a == b]
        if reasons:
            found[one, other] = reasons
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
    for one in range(len(accounts)):
        own = np.flatnonzero(table[one] != NOBODY)
        theirs = table[one + 1 :, own]
        shared = np.sum(theirs != NOBODY, axis=1)
        same = np.sum(theirs == table[one, own], axis=1)
        for later in np.flatnonzero((shared >= SHARED_ENOUGH) & (shared == same)):
            yield one, one + 1 + int(later), int(shared[later])


def _plain(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def _mailbox(email: str) -> str:
    local, _, domain = email.casefold().partition("@")
    return f"{local.partition('+')[0].replace('.', '')}@{domain}"
