"""Versions of the lexicon: append-only, told apart by hash."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session, col, select

from app.shift.lexicon import Category, LexiconWords, Problem, from_dict, read_entries, shipped
from app.tokens.lexicon import current_lexicon
from models import Lexicon, User

EDITABLE = (Category.INITIATION, Category.STYLE, Category.FORMAT)
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Version:
    """One version in the list."""

    sha256: str
    author: str
    created_at: datetime
    entries: int
    is_shipped: bool


def versions(session: Session) -> tuple[Version, ...]:
    """List the newest versions, newest first; the shipped one stands where somebody restored it."""
    query = select(Lexicon, User.name).join(User, col(User.id) == col(Lexicon.created_by))
    newest = query.order_by(col(Lexicon.created_at).desc(), col(Lexicon.id).desc()).limit(_SHOWN)
    return tuple(
        Version(
            sha256=row.sha256,
            author=author,
            created_at=row.created_at,
            entries=sum(map(len, row.words.values())),
            is_shipped=row.sha256 == shipped().sha256,
        )
        for row, author in session.exec(newest)
    )


def save(session: Session, user: User, texts: Mapping[Category, str]) -> LexiconWords | list[Problem]:
    """Add a version from what somebody wrote, unless it is the one in force; with problems nothing is stored."""
    words = read_entries(texts)
    if isinstance(words, LexiconWords):
        _add(session, user, words)
    return words


def restore(session: Session, user: User, sha256: str) -> LexiconWords | None:
    """Put an earlier version, or the shipped one, in force again, as a new version; None where there is no such."""
    row = session.exec(select(Lexicon).where(Lexicon.sha256 == sha256)).first()
    words = shipped() if sha256 == shipped().sha256 else from_dict(row.words) if row else None
    if words is not None:
        _add(session, user, words)
    return words


def _add(session: Session, user: User, words: LexiconWords) -> None:
    if words.sha256 != current_lexicon(session).sha256:
        session.add(Lexicon(sha256=words.sha256, words=words.as_dict(), created_by=user.id))
        session.flush()


def written(words: LexiconWords) -> dict[str, str]:
    """Write the entries as people edit them: one a line."""
    return {name: "\n".join(entries) for name, entries in words.as_dict().items()}
