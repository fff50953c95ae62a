"""The words a response shares with one answer, with their places in both texts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from app.provenance.index import Index
from app.provenance.ranking import Likeness, Term
from app.provenance.reading import Reading
from app.provenance.words import bounds

# Enough to mark; the rarest come first.
MOST = 50

Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Shared:
    """A word of the response that an answer has too, or (`kind` "part") does not have but for a part, in another word.

    `text` is as the response writes it, `other` as the answer does; `response` and `answer` are all places of both,
    `(start, end)` in code points; `rarity` is weight x idf, the order of the list.
    """

    kind: Literal["word", "part"]
    text: str
    other: str
    response: tuple[Range, ...]
    answer: tuple[Range, ...]
    rarity: float


def shared_words(
    index: Index, reading: Reading, passage: int, words: dict[str, Term], likenesses: Sequence[Likeness]
) -> tuple[Shared, ...]:
    """List what a response shares with an answer, rarest first; very common words are left out."""
    answer = index.answers.text(passage)
    wanted = {word.symbol for word in words.values()} | {like.other for like in likenesses}
    places = _places(index, passage, answer, wanted)
    found = [
        _shared(reading.text, word, answer, places[word.symbol], word.weight * word.idf)
        for word in words.values()
        if not word.common and word.symbol in places
    ]
    found += [
        _shared(reading.text, words[like.word], answer, places[like.other], like.contribution, kind="part")
        for like in likenesses
        if like.other in places and words[like.word].symbol not in places
    ]
    return tuple(sorted(found, key=lambda one: (-one.rarity, one.response))[:MOST])


def _places(index: Index, passage: int, answer: str, wanted: set[int | None]) -> dict[int | None, list[Range]]:
    """Return where each wanted symbol stands in an answer."""
    symbols = index.corpus[index.starts[passage] : index.starts[passage + 1] - 1].tolist()
    places: dict[int | None, list[Range]] = {}
    for symbol, place in zip(symbols, bounds(answer), strict=True):
        if symbol in wanted:
            places.setdefault(symbol, []).append(place)
    return places


def _shared(
    text: str,
    word: Term,
    answer: str,
    places: list[Range],
    rarity: float,
    *,
    kind: Literal["word", "part"] = "word",
) -> Shared:
    (start, end), (other_start, other_end) = word.places[0], places[0]
    return Shared(kind, text[start:end], answer[other_start:other_end], word.places, tuple(places), rarity)
