"""Cut words into sub-words: token ids when a tokenizer is given, else runs of characters."""

import math
from dataclasses import dataclass

from app.provenance.index import Encoder

# Four letters are the shortest run that still says something; a token needs three, for tokens follow what is frequent.
CHARACTERS = 4
SHORTEST_TOKEN = 3


def least_shared(encoder: Encoder | None) -> int:
    """Return how many sub-words two words must share: two runs of characters overlap to one of five, a token stands."""
    return 2 if encoder is None else 1


def rarity(words: int, holders: int) -> float:
    """Return ln(1 + (words + 1) / (holders + 1)): what sharing a sub-word says that `holders` of `words` words have."""
    return math.log1p((words + 1) / (holders + 1))


@dataclass(frozen=True, slots=True)
class Gram:
    """One sub-word: its key in the index and the characters `start:end` of the folded word it covers."""

    key: bytes
    start: int
    end: int


def grams_of(form: str, encoder: Encoder | None) -> list[Gram]:
    """List the sub-words of a folded word; a word too short, or one that is a single token, has none."""
    return _characters(form) if encoder is None else _tokens(form, encoder)


def _characters(form: str) -> list[Gram]:
    return [
        Gram(form[at : at + CHARACTERS].encode(errors="replace"), at, at + CHARACTERS)
        for at in range(len(form) - CHARACTERS + 1)
    ]


def _tokens(form: str, encoder: Encoder) -> list[Gram]:
    """Cut ` form` by the tokenizer: long enough tokens, and every two in a row. Its ids do not depend on case."""
    ids = encoder.encode(f" {form}")
    ends, raw = [], b""
    for token_id in ids:
        raw += encoder.token_bytes(token_id)
        # Bytes of an unfinished character do not count: the character belongs to the token that completes it.
        ends.append(len(raw.decode(errors="ignore").removeprefix(" ")))
    starts = [0, *ends[:-1]]
    single = [
        Gram(b"%d" % token_id, start, end)
        for token_id, start, end in zip(ids, starts, ends, strict=True)
        if end - start >= SHORTEST_TOKEN
    ]
    pairs = [Gram(b"%d %d" % (ids[at], ids[at + 1]), starts[at], ends[at + 1]) for at in range(len(ids) - 1)]
    return single + pairs
