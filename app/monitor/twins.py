"""Whether two accounts may be one person: nothing proves it, so it is said in words and nothing is done. Pure."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from app.monitor.facts import SKIP, Vote

# Fewer shared items than this agree by chance too often to be worth a word.
SHARED_ENOUGH = 10


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


def find_twins(accounts: Sequence[Account], votes: Iterable[Vote]) -> list[Twins]:
    """List pairs of accounts alike in name, in e-mail but for a tag or dots, or in every answer to shared items."""
    answers: dict[str, dict[tuple[str, str], str]] = {account.annotator_id: {} for account in accounts}
    for vote in votes:
        if vote.preference != SKIP and vote.annotator_id in answers:
            answers[vote.annotator_id][vote.item_id, vote.pair_id] = vote.chosen_arm_id or vote.preference
    found = []
    for one, other in combinations(accounts, 2):
        reasons = tuple(_reasons(one, other, answers))
        if reasons:
            found.append(Twins(one.pid, other.pid, reasons))
    return found


def _reasons(one: Account, other: Account, answers: Mapping[str, Mapping[tuple[str, str], str]]) -> Iterable[str]:
    if _plain(one.name) == _plain(other.name):
        yield "the same name"
    if _mailbox(one.email) == _mailbox(other.email):
        yield "e-mail addresses that reach one mailbox"
    first, second = answers[one.annotator_id], answers[other.annotator_id]
    shared = first.keys() & second.keys()
    if len(shared) >= SHARED_ENOUGH and all(first[key] == second[key] for key in shared):
        yield f"the same answer to all {len(shared)} items that both judged"


def _plain(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def _mailbox(email: str) -> str:
    local, _, domain = email.casefold().partition("@")
    return f"{local.partition('+')[0].replace('.', '')}@{domain}"
