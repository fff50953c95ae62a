"""Passwords: argon2id hashes, and one price for every attempt."""

import threading
import unicodedata
from functools import cache
from typing import NamedTuple

from pwdlib import PasswordHash

# Each hash takes 64 MiB for a moment; a flood of attempts must wait for its turn rather than for memory.
_TURNS = threading.BoundedSemaphore(4)


class Verdict(NamedTuple):
    """Whether a password was right, and its new hash when the stored one is out of date."""

    ok: bool
    new_hash: str | None


def hash_password(password: str) -> str:
    """Hash a password for storage."""
    with _TURNS:
        return _hasher().hash(_composed(password))


def verify_password(password: str, stored: str | None) -> Verdict:
    """Check a password. Without a stored hash the work is done all the same, so that time tells nothing."""
    with _TURNS:
        ok, new_hash = _hasher().verify_and_update(_composed(password), stored or _nobodys_hash())
    return Verdict(ok=ok and stored is not None, new_hash=new_hash if stored else None)


def _composed(password: str) -> str:
    """Keyboards differ in how they compose accents; the hash must not."""
    return unicodedata.normalize("NFKC", password)


@cache
def _hasher() -> PasswordHash:
    return PasswordHash.recommended()


@cache
def _nobodys_hash() -> str:
    return _hasher().hash("the password of nobody")
