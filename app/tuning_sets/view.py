"""What the pages show of a tuning set: how far an import is, a page of instances, one instance whole."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from sqlmodel import Session

from app.tuning_sets import queries, words
from app.tuning_sets.files import Places
from app.tuning_sets.words import Part, Query
from models import ImportState, TuningInstance, TuningSet

PAGE = 50


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an import is, in words and as a whole percentage."""

    words: str
    percent: int


@dataclass(frozen=True, slots=True)
class InstanceRow:
    """An instance in a list, its texts cut to a line or two."""

    position: int
    instance_id: str
    instruction: tuple[Part, ...]
    answer: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class InstancePage:
    """One page of instances; `earlier` and `later` are query strings, empty at the ends.

    `found` counts the hits, None where they were not counted; `letters` says that no word matched, only its letters.
    """

    rows: tuple[InstanceRow, ...]
    query: Query
    found: int | None = None
    letters: bool = False
    earlier: str = ""
    later: str = ""


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a conversation, hits marked."""

    role: str
    text: str
    parts: tuple[Part, ...]


def progress_of(row: TuningSet) -> Progress:
    """Say how far an import is. Both steps go over everything twice: check, then store; words, then sources."""
    percent = min(100, 100 * row.done // row.total) if row.total else 0
    if row.state is ImportState.INDEXING:
        return Progress(f"Indexing {row.n:,} instances", percent)
    if not row.done:
        return Progress("Waiting to be read", 0)
    return Progress("Checking every record" if percent < 50 else "Storing", percent)  # noqa: PLR2004  half of two


def instance_page(session: Session, row: TuningSet, places: Places, asked: Mapping[str, str]) -> InstancePage:
    """Make the page of instances asked for by `q`, `from`, `after` and `before`; nonsense counts as not asked."""
    query = words.parse(asked.get("q", "")[:200])
    if query.typed:
        return _found(session, row, places, query, asked)
    start = max(0, min(_number(asked.get("from", ""), 0), row.n - 1))
    found = queries.instances_from(session, row.id, start, limit=PAGE)
    return InstancePage(
        rows=_rows(found, query),
        query=query,
        earlier=_link(**{"from": max(0, start - PAGE)}) if start else "",
        later=_link(**{"from": start + PAGE}) if start + PAGE < row.n else "",
    )


def _found(session: Session, row: TuningSet, places: Places, query: Query, asked: Mapping[str, str]) -> InstancePage:
    file = places.words(row.id)
    total = words.count(file, query) if query.match and file.exists() else 0
    if not total:
        return _by_letters(session, row, query, start=_number(asked.get("after", ""), -1) + 1)
    before = _number(asked.get("before", ""), -1)
    found = words.find(
        file, query, limit=PAGE, after=_number(asked.get("after", ""), -1), before=before if before >= 0 else None
    )
    rows = queries.instances(session, row.id, found)
    first, last = (found[0], found[-1]) if found else (0, 0)
    return InstancePage(
        rows=_rows(rows, query),
        query=query,
        found=total,
        earlier=_link(q=query.typed, before=first) if found and words.find(file, query, limit=1, before=first) else "",
        later=_link(q=query.typed, after=last) if found and words.find(file, query, limit=1, after=last) else "",
    )


def _by_letters(session: Session, row: TuningSet, query: Query, *, start: int) -> InstancePage:
    found = queries.holding(session, row.id, query.typed, start=max(0, start), limit=PAGE + 1)
    rows = queries.instances(session, row.id, found[:PAGE])
    return InstancePage(
        rows=_rows(rows, query, letters=True),
        query=query,
        found=0 if not found and start <= 0 else None,
        letters=True,
        earlier=_link(q=query.typed) if start > 0 else "",
        later=_link(q=query.typed, after=found[PAGE - 1]) if len(found) > PAGE else "",
    )


def _rows(rows: Sequence[TuningInstance], query: Query, *, letters: bool = False) -> tuple[InstanceRow, ...]:
    def cut(text: str) -> tuple[Part, ...]:
        return words.parts(words.excerpt(text, query, letters=letters), query, letters=letters)

    return tuple(InstanceRow(row.position, row.instance_id, cut(row.instruction), cut(row.answer)) for row in rows)


def turns_of(row: TuningInstance, typed: str) -> tuple[Turn, ...]:
    """Return a whole conversation, with what was searched for marked in it."""
    query = words.parse(typed[:200])
    stored = row.turns or (
        {"role": "user", "content": row.instruction},
        {"role": "assistant", "content": row.answer},
    )
    turns = [(str(turn["role"]), str(turn["content"])) for turn in stored]
    marked = any(part.hit for _, text in turns for part in words.parts(text, query))
    return tuple(Turn(role, text, words.parts(text, query, letters=not marked)) for role, text in turns)


def _number(text: str, otherwise: int) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 9 else otherwise  # noqa: PLR2004  fits


def _link(**values: object) -> str:
    return urlencode(values)
