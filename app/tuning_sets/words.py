"""Find instances by words: one FTS5 file per tuning set, the same whichever database holds the rows.

The file is made of the rows and may be lost at any time; searching then falls back to the letters.
"""

import re
import sqlite3
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

MAX_TERMS = 12
_TERM = re.compile(r'"([^"]*)"|(\S+)')
_WORD = re.compile(r"\w+")
_EXCERPT = 220
_LEAD = 60


@dataclass(frozen=True, slots=True)
class Query:
    """What somebody looks for: `terms` are words (their beginnings count) or, with `exact`, phrases."""

    typed: str
    terms: tuple[tuple[str, bool], ...]

    @property
    def match(self) -> str:
        """The query in FTS5's language, every term quoted; empty when nothing in it is a word."""
        return " AND ".join(f'"{term}"' if exact else f'"{term}"*' for term, exact in self.terms)


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a text: `hit` where it was looked for."""

    text: str
    hit: bool


def parse(typed: str) -> Query:
    """Read a search box: words, and phrases in double quotes. Nothing typed is ever an operator."""
    typed = typed.replace("\x00", " ")
    found = ((match[1] or match[2] or "", match[1] is not None) for match in _TERM.finditer(typed))
    terms = [(term.replace('"', " ").strip(), exact) for term, exact in found]
    return Query(typed.strip(), tuple((term, exact) for term, exact in terms if _WORD.search(term))[:MAX_TERMS])


def build_words(path: Path, rows: Iterable[tuple[int, str, str]]) -> None:
    """Write the file of (position, instruction, answer) rows; it appears when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    building = path.with_suffix(".building")
    building.unlink(missing_ok=True)
    with closing(sqlite3.connect(building, isolation_level=None)) as file:
        # Only the finished file counts, so the one being built needs no journal.
        file.execute("PRAGMA journal_mode=OFF")
        file.execute("PRAGMA synchronous=OFF")
        file.execute(
            "CREATE VIRTUAL TABLE words USING "
            "fts5(instruction, answer, content='', tokenize='unicode61 remove_diacritics 2')"
        )
        file.execute("BEGIN")
        file.executemany("INSERT INTO words (rowid, instruction, answer) VALUES (?, ?, ?)", rows)
        file.execute("COMMIT")
    building.replace(path)


def find(path: Path, query: Query, *, limit: int, after: int = -1, before: int | None = None) -> tuple[int, ...]:
    """Return positions in file order: the first `limit` beyond `after`, or the last `limit` under `before`."""
    text = "SELECT rowid FROM words WHERE words MATCH ? AND rowid > ? ORDER BY rowid LIMIT ?"
    values: tuple[object, ...] = (query.match, after, limit)
    if before is not None:
        text = "SELECT rowid FROM words WHERE words MATCH ? AND rowid < ? ORDER BY rowid DESC LIMIT ?"
        values = (query.match, before, limit)
    with closing(_open(path)) as file:
        return tuple(sorted(row[0] for row in file.execute(text, values)))


def count(path: Path, query: Query) -> int:
    """Count the instances that hold every term."""
    with closing(_open(path)) as file:
        return int(file.execute("SELECT count(*) FROM words WHERE words MATCH ?", (query.match,)).fetchone()[0])


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)


def parts(text: str, query: Query, *, letters: bool = False) -> tuple[Part, ...]:
    """Cut a text at what was looked for; joined again, the pieces are the text.

    Words are compared without case and accents, as the file compares them; with `letters`, what was typed is found
    anywhere.
    """
    result: list[Part] = []
    end = 0
    for start, stop in _hits(text, query, letters=letters):
        if start > end:
            result.append(Part(text[end:start], hit=False))
        result.append(Part(text[start:stop], hit=True))
        end = stop
    if end < len(text):
        result.append(Part(text[end:], hit=False))
    return tuple(result)


def excerpt(text: str, query: Query, *, letters: bool = False) -> str:
    """Return about two lines of a text around the first hit, or its beginning."""
    first = next(iter(_hits(text, query, letters=letters)), (0, 0))[0]
    start = max(0, first - _LEAD)
    shown = " ".join(text[start : start + _EXCERPT].split())
    return f"{'… ' if start else ''}{shown}{' …' if start + _EXCERPT < len(text) else ''}"


def _hits(text: str, query: Query, *, letters: bool) -> Iterator[tuple[int, int]]:
    if not query.typed:
        return
    if letters:
        yield from (match.span() for match in re.finditer(re.escape(query.typed), text, re.IGNORECASE))
        return
    prefixes = tuple(_fold(word) for term, exact in query.terms if not exact for word in _WORD.findall(term))
    words = {_fold(word) for term, exact in query.terms if exact for word in _WORD.findall(term)}
    for match in _WORD.finditer(text):
        folded = _fold(match[0])
        if folded in words or (prefixes and folded.startswith(prefixes)):
            yield match.span()


def _fold(word: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKD", word.casefold()) if not unicodedata.combining(c))
