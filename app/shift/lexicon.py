"""What kind of word each token belongs to: the opening of an answer, its style, its format, or its content.

The words are data (`lexicon.toml`, or a researcher's own version). A token counts as the word it is part of, so that
`Cert` and `ainly` are both `certainly`; a token without letters is judged by its characters.

* initiation: a word or phrase of that list that begins within the first `OPENING_TOKENS` tokens;
* style: a word or phrase of that list anywhere, function words among them;
* format: no letters, and every character covered by that list; a token without any text goes with the text that
  follows it, because it is part of a character, and at the end (end of sequence) it is `{no text}`;
* content: everything else.
"""

import hashlib
import json
import tomllib
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property, lru_cache
from itertools import pairwise
from pathlib import Path

OPENING_TOKENS = 12
MAX_ENTRIES = 5_000
MAX_ENTRY_LENGTH = 60

_SHIPPED = Path(__file__).with_name("lexicon.toml")
_APOSTROPHES = {"\u2019": "'", "\u02bc": "'"}


class Category(StrEnum):
    """What a token does in a response."""

    INITIATION = "initiation"
    STYLE = "style"
    FORMAT = "format"
    CONTENT = "content"


_Phrase = tuple[str, ...]
_Match = tuple[frozenset[_Phrase], Mapping[str, tuple[_Phrase, ...]]]

_NO_TEXT = "{no text}"
_CLASSES: dict[str, Callable[[str], bool]] = {
    "{digits}": lambda char: unicodedata.category(char)[0] == "N",
    "{line breaks}": lambda char: char in "\n\r\u0085\u2028\u2029\v\f",
    "{punctuation}": lambda char: unicodedata.category(char)[0] == "P",
    "{spaces}": lambda char: char.isspace() or unicodedata.category(char) in {"Cf", "Cc"},
    "{symbols}": lambda char: unicodedata.category(char)[0] == "S",
}
FORMAT_CLASSES: tuple[str, ...] = (*_CLASSES, _NO_TEXT)


@dataclass(frozen=True)
class LexiconWords:
    """The entries of one version, normalised: words and phrases in lower case, format classes and exact texts."""

    initiation: frozenset[str]
    style: frozenset[str]
    format: frozenset[str]

    @cached_property
    def sha256(self) -> str:
        """The version, 64 hex digits: the same entries have the same one, in whatever order they were written."""
        return hashlib.sha256(json.dumps(self.as_dict(), sort_keys=True).encode()).hexdigest()

    def as_dict(self) -> dict[str, list[str]]:
        """Spell it out as lists, sorted."""
        return {name: sorted(getattr(self, name)) for name in ("initiation", "style", "format")}

    @cached_property
    def _initiation(self) -> _Match:
        return _index(self.initiation)

    @cached_property
    def _style(self) -> _Match:
        return _index(self.style)


@dataclass(frozen=True, slots=True)
class Problem:
    """One entry that cannot be used: its category, its 1-based line, and what would be right."""

    category: Category
    line: int
    message: str


@dataclass(frozen=True, slots=True)
class _Word:
    start: int
    end: int
    key: str


@lru_cache(maxsize=1)
def shipped() -> LexiconWords:
    """Load the lexicon that comes with Tuneshift."""
    return from_dict(tomllib.loads(_SHIPPED.read_text(encoding="utf-8")))


def from_dict(entries: Mapping[str, Sequence[str]]) -> LexiconWords:
    """Build a lexicon from lists of entries."""
    return LexiconWords(
        initiation=frozenset(map(_normal, entries["initiation"])),
        style=frozenset(map(_normal, entries["style"])),
        format=frozenset(entries["format"]),
    )


def read_entries(texts: Mapping[Category, str]) -> LexiconWords | list[Problem]:
    """Read what a person wrote, one entry per line and category; every line that cannot be used is named."""
    entries: dict[str, list[str]] = {}
    problems: list[Problem] = []
    for category in (Category.INITIATION, Category.STYLE, Category.FORMAT):
        lines = [" ".join(line.split()) for line in texts.get(category, "").splitlines()]
        entries[category.value] = [line for line in lines if line]
        found = ((number, _wrong(category, line)) for number, line in enumerate(lines, start=1) if line)
        problems += [Problem(category, number, message) for number, message in found if message]
        if len(entries[category.value]) > MAX_ENTRIES:
            problems.append(Problem(category, MAX_ENTRIES + 1, f"A list has at most {MAX_ENTRIES:,} entries."))
    return problems or from_dict(entries)


def categorise(texts: Sequence[str], words: LexiconWords) -> tuple[Category, ...]:
    """Tell the category of every token; `texts` is what each adds to the response."""
    text = "".join(texts)
    found = _words(text)
    starts = [0]
    for piece in texts:
        starts.append(starts[-1] + len(piece))
    opening = starts[min(OPENING_TOKENS, len(texts))]
    kinds = _kinds(text, found, opening, words)
    return _spread(texts, starts, found, kinds, words)


def _wrong(category: Category, line: str) -> str:
    if len(line) > MAX_ENTRY_LENGTH:
        return f"An entry has at most {MAX_ENTRY_LENGTH} characters; this one has {len(line)}."
    if category is Category.FORMAT:
        return _wrong_format(line)
    if _normal(line) != " ".join(word.key for word in _words(line)):
        return f"{line!r} is not a word: write letters and apostrophes, with one space between the words of a phrase."
    return ""


def _wrong_format(line: str) -> str:
    if line in FORMAT_CLASSES:
        return ""
    if line.startswith("{") and line.endswith("}"):
        return f"{line!r} is no class of characters: {', '.join(FORMAT_CLASSES)}."
    return f"{line!r} has letters: words belong to initiation or style." if _words(line) else ""


def _normal(entry: str) -> str:
    return _fold(" ".join(entry.split()))


def _fold(text: str) -> str:
    folded = unicodedata.normalize("NFC", text).casefold()
    return "".join(_APOSTROPHES.get(char, char) for char in folded)


def _index(entries: frozenset[str]) -> _Match:
    """Arrange entries for lookup: all of them, and by first word the phrases that begin so, longest first."""
    phrases = frozenset(tuple(entry.split()) for entry in entries)
    starting: dict[str, list[_Phrase]] = {}
    for phrase in sorted((phrase for phrase in phrases if len(phrase) > 1), key=len, reverse=True):
        starting.setdefault(phrase[0], []).append(phrase)
    return phrases, {first: tuple(longer) for first, longer in starting.items()}


def _words(text: str) -> list[_Word]:
    """Find the words: letters with their marks, and single apostrophes between letters."""
    words: list[_Word] = []
    start = -1
    for at, char in enumerate(text):
        inside = _is_letter(char) or (start >= 0 and _is_apostrophe(char) and _is_letter(text[at + 1 : at + 2]))
        if inside and start < 0:
            start = at
        elif not inside and start >= 0:
            words.append(_Word(start, at, _fold(text[start:at])))
            start = -1
    if start >= 0:
        words.append(_Word(start, len(text), _fold(text[start:])))
    return words


def _is_letter(char: str) -> bool:
    return char.isalpha() or (char > "\x7f" and unicodedata.category(char)[0] == "M")


def _is_apostrophe(char: str) -> bool:
    return char == "'" or char in _APOSTROPHES


def _kinds(text: str, found: list[_Word], opening: int, words: LexiconWords) -> list[Category]:
    """Tell the category of every word; those that only style claims give way to the opening of the response."""
    kinds = [Category.CONTENT] * len(found)
    _mark(text, found, words._style, kinds, Category.STYLE)  # noqa: SLF001
    begun = sum(word.start < opening for word in found)
    _mark(text, found, words._initiation, kinds, Category.INITIATION, begun)  # noqa: SLF001
    return kinds


def _mark(
    text: str, found: list[_Word], entries: _Match, kinds: list[Category], category: Category, limit: int | None = None
) -> None:
    phrases, starting = entries
    at = 0
    stop = len(found) if limit is None else limit
    while at < stop:
        length = next((len(p) for p in starting.get(found[at].key, ()) if _continues(text, found, at, p)), 0)
        length = length or int(_is_entry(found[at].key, phrases))
        for index in range(at, at + length):
            kinds[index] = category
        at += max(1, length)


def _is_entry(key: str, phrases: frozenset[_Phrase]) -> bool:
    # Of "it's" the list may know only "it".
    return (key,) in phrases or ("'" in key and (key.partition("'")[0],) in phrases)


def _continues(text: str, found: list[_Word], at: int, phrase: _Phrase) -> bool:
    """Tell whether the words from `at` on are this phrase, with nothing but white space between them."""
    here = found[at : at + len(phrase)]
    if tuple(word.key for word in here) != phrase:
        return False
    gaps = (text[before.end : after.start] for before, after in pairwise(here))
    return all(gap.isspace() for gap in gaps)


def _spread(
    texts: Sequence[str], starts: list[int], found: list[_Word], kinds: list[Category], words: LexiconWords
) -> tuple[Category, ...]:
    """Give every token the category of the first word it shares characters with, or of its own characters."""
    result: list[Category] = []
    waiting = at = 0
    for index, piece in enumerate(texts):
        if not piece:
            waiting += 1
            continue
        while at < len(found) and found[at].end <= starts[index]:
            at += 1
        in_word = at < len(found) and found[at].start < starts[index + 1]
        category = kinds[at] if in_word else _by_characters(piece, words.format)
        result += [category] * (waiting + 1)
        waiting = 0
    last = Category.FORMAT if _NO_TEXT in words.format else Category.CONTENT
    return (*result, *[last] * waiting)


@lru_cache(maxsize=4_096)
def _by_characters(piece: str, entries: frozenset[str]) -> Category:
    if piece in entries or piece.strip() in entries:
        return Category.FORMAT
    allowed = [covers for name, covers in _CLASSES.items() if name in entries]
    covered = all(any(covers(char) for covers in allowed) for char in piece)
    return Category.FORMAT if covered else Category.CONTENT
