"""What else goes into the zip of an export: files made from a snapshot of a study, as names and contents."""

from collections.abc import Callable, Iterator

from sqlmodel import Session

from app.results.recomputable import bundle_parts
from models import Study

PARTS: tuple[Callable[[Session, Study, Callable[[int], None]], Iterator[tuple[str, bytes]]], ...] = (bundle_parts,)
"""Each yields names within the zip and contents, and says how many judgments it has read.

The same state must give the same bytes.
"""
