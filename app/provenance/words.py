"""Split text into words and marks with offsets, and fold the differences that make no difference.

A symbol is a word, or one character that is neither letter, digit nor space (with the marks that sit on it).
White space separates symbols and is forgotten. Two texts are equal here when their folded symbols are.
"""

import re
import string
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice, pairwise

# What a symbol weighs when words are counted, in half-words: without spaces a word is written in about two characters.
MARK, CHARACTER, WORD = 0, 1, 2

# Scripts that put no space between words: each character stands alone.
_UNSPACED = (
    "\u0e00-\u0e7f\u0e80-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
    "\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9d\U00020000-\U0003fffd"
)
_IS_UNSPACED = re.compile(f"[{_UNSPACED}]")
_ASCII = re.compile(r"[A-Za-z0-9]+(?:'[A-Za-z0-9]+)*|[^\sA-Za-z0-9]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_QUOTES = str.maketrans("\u2018\u2019\u201a\u201b\u02bc\u201c\u201d\u201e\u201f", "'''''\"\"\"\"")
# Marks and invisible format characters all lie below; scanning the rest of Unicode would find none.
_SCANNED = (range(0x20000), range(0xE0000, 0xE0200))
_SKIN_TONES = range(0x1F3FB, 0x1F400)
_HALF_WIDTH_SOUND_MARKS = (0xFF9E, 0xFF9F)
_PLAIN = frozenset(string.ascii_letters + string.digits + string.whitespace)


@dataclass(frozen=True, slots=True)
class Symbol:
    """One symbol of a text: `text[start:end]` (code points), its folded `form`, and its `weight` in half-words."""

    form: str
    start: int
    end: int
    weight: int


def split(text: str) -> Iterator[Symbol]:
    """Yield the symbols of a text in order; offsets are code points of `text` as it was given."""
    for match in _pattern(ascii_only=text.isascii()).finditer(visible(text)):
        form = fold(match.group())
        yield Symbol(form, match.start(), match.end(), weigh(form))


def surfaces(text: str) -> list[str]:
    """List the symbols of a text as written, before folding: what `split` yields, several times as fast.

    An index is built from all answers, so this is where its time goes: each kind of mark in the text is set apart by
    one replacement, then white space splits. Texts with combining or invisible characters take the pattern.
    """
    given = text = visible(text)
    for char in set(text).difference(_PLAIN):
        kind = _KINDS[char]
        if kind == "attached":
            return _pattern(ascii_only=False).findall(given)
        if kind == "apostrophe":
            text = _part_apostrophes(text, char)
        elif kind == "apart":
            text = text.replace(char, f" {char} ")
    return text.split()


def _part_apostrophes(text: str, mark: str) -> str:
    """Set apostrophes apart that do not stand between two letters."""
    pieces = text.split(mark)
    joined = [pieces[0]]
    for before, after in pairwise(pieces):
        inside = _KINDS[before[-1:]] == _KINDS[after[:1]] == "letter"
        joined += [mark if inside else f" {mark} ", after]
    return "".join(joined)


class _Kinds(dict[str, str]):
    """A character -> what it does to a word; found out once."""

    def __missing__(self, char: str) -> str:
        self[char] = kind = _kind(char)
        return kind


def _kind(char: str) -> str:
    if not char or char.isspace():
        return "space"
    if char in "'\u2019":
        return "apostrophe"
    if char.isalnum() and not _IS_UNSPACED.match(char) and ord(char) not in _HALF_WIDTH_SOUND_MARKS:
        return "letter"
    return "attached" if ord(char) in _attached_codes() else "apart"


def visible(text: str) -> str:
    """Put U+FFFD where half of a surrogate pair stands, which no file can hold; offsets stay as they are."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def fold(surface: str) -> str:
    """Fold case, compatibility forms (NFKC), curly quotes and invisible characters of one symbol."""
    if surface.isascii():
        return surface.lower()
    visible = "".join(char for char in surface if unicodedata.category(char) != "Cf")
    composed = unicodedata.normalize("NFKC", visible.translate(_QUOTES)).casefold()
    return unicodedata.normalize("NFKC", composed)


def weigh(form: str) -> int:
    """Tell a word from a mark, by its folded form: 2 a word, 1 a character of a script without spaces, 0 a mark."""
    if not form[:1].isalnum():
        return MARK
    return CHARACTER if _IS_UNSPACED.match(form) else WORD


@cache
def _pattern(*, ascii_only: bool) -> re.Pattern[str]:
    if ascii_only:
        return _ASCII
    attached = _attached()
    letter = rf"[^\W_{_UNSPACED}{attached}]"
    return re.compile(
        rf"[{_UNSPACED}][{attached}]*"
        rf"|{letter}+(?:(?:[{attached}]+|['\u2019](?={letter})){letter}*)*"
        rf"|[^\s{attached}][{attached}]*"
    )


@cache
def _attached_codes() -> frozenset[int]:
    """Collect combining marks, format characters and skin tones: they belong to what they follow."""
    scanned = (code for span in _SCANNED for code in span)
    marks = (code for code in scanned if unicodedata.category(chr(code)) in {"Mn", "Mc", "Me", "Cf"})
    return frozenset([*marks, *_SKIN_TONES, *_HALF_WIDTH_SOUND_MARKS])


def _attached() -> str:
    """Spell those characters as the inside of a character class."""
    ranges: list[list[int]] = []
    for code in sorted(_attached_codes()):
        if ranges and code == ranges[-1][1] + 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "".join(f"{re.escape(chr(low))}-{re.escape(chr(high))}" for low, high in ranges)


def bounds(text: str, count: int | None = None) -> list[tuple[int, int]]:
    """List `(start, end)` of the first `count` symbols of a text: where `split` finds them, without folding."""
    found = _pattern(ascii_only=text.isascii()).finditer(visible(text))
    return [match.span() for match in islice(found, count)]


_KINDS = _Kinds()
