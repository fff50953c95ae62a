"""The lexicon that counts now: the newest version researchers have written, or the shipped one."""

import json
from functools import lru_cache

from sqlmodel import Session, col, select

from app.shift.lexicon import LexiconWords, from_dict, shipped
from models import Lexicon


def current_lexicon(session: Session) -> LexiconWords:
    """Read the words in force."""
    newest = select(Lexicon).order_by(col(Lexicon.created_at).desc(), col(Lexicon.id).desc()).limit(1)
    row = session.exec(newest).first()
    return shipped() if row is None else _parsed(json.dumps(row.words, sort_keys=True))


@lru_cache(maxsize=4)
def _parsed(words: str) -> LexiconWords:
    # Thousands of traces are summed up with one version, whose index is built when it is first used.
    return from_dict(json.loads(words))
