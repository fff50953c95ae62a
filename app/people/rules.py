"""How people are told apart and what their links look like. Pure."""

import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

MAX_EXTERNAL_ID = 200
MAX_TOLD = 500
MAX_NOTE = 200
MAX_INVITES = 200
MAX_DAYS = 365
# Platforms put the id where this stands; one that did not would make everybody the same person.
_UNFILLED = ("{{", "}}", "{%", "%}", "${")


@dataclass(frozen=True, slots=True)
class Account:
    """What members of a study are compared by. `beside` is the pseudonym that was signed in where they joined."""

    pid: str
    name: str
    email: str
    external_id: str
    beside: str
    guest: bool


@dataclass(frozen=True, slots=True)
class Alike:
    """Members who may be one person, and in what they are alike."""

    pids: tuple[str, ...]
    reason: str


def external_id_problem(external_id: str) -> str:
    """Say what is wrong with the id a platform gave, trimmed, or nothing; an empty one is no id."""
    if len(external_id) > MAX_EXTERNAL_ID:
        return (
            f"The participant id in this link has {len(external_id)} characters; at most {MAX_EXTERNAL_ID} are taken."
        )
    if not external_id.isprintable():
        return "The participant id in this link contains a control character."
    if any(sign in external_id for sign in _UNFILLED):
        return f"The participant id in this link is still a placeholder: {external_id[:40]}."
    return ""


def alike(accounts: Sequence[Account]) -> list[Alike]:
    """List members with one external id but for case and blanks, one mailbox, one name, or one browser at joining."""
    people = [account for account in accounts if not account.guest]
    found = [
        *_groups(accounts, lambda one: _plain(one.external_id), "external ids that differ only in case or blanks"),
        *_groups(people, lambda one: _mailbox(one.email), "e-mail addresses that differ only in case, dots or a +tag"),
        *_groups(people, lambda one: _plain(one.name), "names that differ only in case or blanks"),
    ]
    beside = [
        Alike((one.beside, one.pid), "joined one after the other in one browser") for one in accounts if one.beside
    ]
    return [*found, *beside]


def _groups(accounts: Iterable[Account], key_of: Callable[[Account], str], reason: str) -> list[Alike]:
    groups: dict[str, list[str]] = {}
    for account in accounts:
        if key := key_of(account):
            groups.setdefault(key, []).append(account.pid)
    return [Alike(tuple(pids), reason) for pids in groups.values() if len(pids) > 1]


def reasons_of(pid: str, found: Iterable[Alike]) -> list[str]:
    """Say in sentences with whom one member may be the same person."""
    return [
        f"Perhaps the same person as {', '.join(other for other in one.pids if other != pid)}: {one.reason}."
        for one in found
        if pid in one.pids
    ]


def _plain(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", text).casefold().split())


def _mailbox(email: str) -> str:
    local, _, domain = email.casefold().partition("@")
    return f"{local.partition('+')[0].replace('.', '')}@{domain}"


def invite_state(*, used_at: datetime | None, revoked_at: datetime | None, expires_at: datetime, now: datetime) -> str:
    """Name how an invitation stands: used, revoked, expired or open. Times are aware."""
    if used_at is not None:
        return "used"
    if revoked_at is not None:
        return "revoked"
    return "open" if expires_at > now else "expired"


def what_becomes(judged: int, *, keep: bool) -> str:
    """Say what a study's policy does with the judgments of somebody who is taken out."""
    if not judged:
        return "They have judged nothing yet."
    what, it = ("The one judgment they made", "it") if judged == 1 else (f"The {judged} judgments they made", "them")
    if keep:
        stays = "stays" if judged == 1 else "stay"
        return f"{what} {stays} in the results under the pseudonym: that is this study's policy."
    return (
        f"{what} no longer {'counts' if judged == 1 else 'count'}, and others judge {it} instead: that is this study's "
        f"policy. {'It stays' if judged == 1 else 'They stay'} stored, and exports mark {it}."
    )


def asked_in_words(questions: Mapping[str, bool], dimensions: Sequence[str]) -> list[str]:
    """List what a study asks of each pair of answers, as sentences for somebody who has not joined yet."""
    said = ["Say which answer is better, or that they are equal."]
    if dimensions:
        said.append(f"Rate each answer from 1 to 5: {', '.join(dimensions)}.")
    if questions["acceptability"]:
        said.append("Say of each answer whether it is acceptable.")
    if questions["spans"]:
        said.append("Mark the passages that are wrong.")
    if questions["evidence"]:
        said.append("Compare each passage you mark with a few texts shown beside it.")
    return said
