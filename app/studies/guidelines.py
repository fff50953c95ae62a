"""Versions of a study's guidelines: every change is a new one, and none is ever changed."""

import difflib
from dataclasses import dataclass

from sqlmodel import Session, col, select

from models import Guideline, Study


@dataclass(frozen=True, slots=True)
class DiffLine:
    """A line of a comparison: `kind` is `same`, `added` or `removed`."""

    kind: str
    text: str


def write_guidelines(session: Session, study: Study, text: str, *, user_id: str | None) -> bool:
    """Make a text the study's guidelines, as a new version unless nothing changed; tell whether it did."""
    text = text.strip()
    first = session.get(Guideline, (study.id, study.guideline_version)) is None
    if first:
        # A study from before versions were kept, or one just made: what it says now is its version.
        session.add(Guideline(study_id=study.id, version=study.guideline_version, text=study.guidelines))
        session.flush()
    if text == study.guidelines:
        return False
    study.guideline_version += 1
    study.guidelines = text
    session.add(study)
    session.add(Guideline(study_id=study.id, version=study.guideline_version, text=text, created_by=user_id))
    session.flush()
    return True


def versions(session: Session, study: Study) -> list[Guideline]:
    """List every version, newest first; a study without rows has the one it shows."""
    query = select(Guideline).where(Guideline.study_id == study.id).order_by(col(Guideline.version).desc())
    rows = list(session.exec(query))
    return rows or [
        Guideline(
            study_id=study.id,
            version=study.guideline_version,
            text=study.guidelines,
            created_by=study.created_by,
            created_at=study.created_at,
        )
    ]


def diff(old: str, new: str) -> list[DiffLine]:
    """Compare two versions line by line."""
    kinds = {" ": "same", "+": "added", "-": "removed"}
    lines = difflib.ndiff(old.splitlines(), new.splitlines())
    return [DiffLine(kinds[line[0]], line[2:]) for line in lines if line[0] in kinds]
