"""What an annotator judged so far, newest first: their own work only, and nothing of what it counts for."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session, col, select

from app.judging.queries import DONE, aware
from app.judging.rules import LETTERS
from models import Item, ItemKind, Preference, Presentation, Revision, RevisionKind, Study, StudyState, User

PAGE = 50

_SAID = {
    Preference.LEFT: f"{LETTERS['left']} is better",
    Preference.RIGHT: f"{LETTERS['right']} is better",
    Preference.TIE_GOOD: "both are good",
    Preference.TIE_BAD: "both are bad",
    Preference.CANNOT_JUDGE: "could not judge",
}


@dataclass(frozen=True, slots=True)
class PastRevision:
    """One submitted version of an answer, the preference in words."""

    number: int
    saved_at: datetime
    said: str
    edit_reason: str


@dataclass(frozen=True, slots=True)
class PastJudgment:
    """A judgment of the annotator's own: revisions newest first; `draft` is the number of a newer, unsubmitted one."""

    token: str
    study: str
    number: int
    practice: bool
    editable: bool
    revisions: tuple[PastRevision, ...]
    draft: int

    @property
    def newest(self) -> PastRevision:
        """The one that counts."""
        return self.revisions[0]


@dataclass(frozen=True, slots=True)
class History:
    """One page of past judgments; `older` tells whether there are more."""

    judgments: tuple[PastJudgment, ...]
    total: int
    page: int
    older: bool


def history_of(session: Session, annotator: User, *, page: int) -> History:
    """Load a page, from 1, of what an annotator judged in all their studies, newest answer first."""
    rows = session.exec(
        select(Presentation.id, Study, Item.kind)
        .join(Study, col(Study.id) == col(Presentation.study_id))
        .join(Item, col(Item.id) == col(Presentation.item_id))
        .where(Presentation.annotator_id == annotator.id, col(Presentation.state).in_(DONE))
        .order_by(col(Presentation.submitted_at), col(Presentation.id))
    ).all()
    revisions = _revisions(session, annotator)
    numbers: dict[str, int] = {}
    judgments = []
    for token, study, kind in rows:
        numbers[study.id] = numbers.get(study.id, 0) + 1
        if token in revisions:
            judgments.append(_judgment(revisions[token], token, study, numbers[study.id], ItemKind(kind)))
    judgments.sort(key=lambda one: one.newest.saved_at, reverse=True)
    first = (page - 1) * PAGE
    return History(tuple(judgments[first : first + PAGE]), len(judgments), page, len(judgments) > first + PAGE)


def _revisions(session: Session, annotator: User) -> dict[str, list[Revision]]:
    found: dict[str, list[Revision]] = {}
    query = (
        select(Revision)
        .join(Presentation, col(Presentation.id) == col(Revision.presentation_id))
        .where(Presentation.annotator_id == annotator.id, col(Presentation.state).in_(DONE))
        .order_by(col(Revision.number).desc())
    )
    for revision in session.exec(query):
        found.setdefault(revision.presentation_id, []).append(revision)
    return found


def _judgment(revisions: Sequence[Revision], token: str, study: Study, number: int, kind: ItemKind) -> PastJudgment:
    newest = revisions[0]
    return PastJudgment(
        token=token,
        study=study.name,
        number=number,
        practice=kind == ItemKind.PRACTICE,
        editable=study.state == StudyState.OPEN,
        revisions=tuple(_past(one) for one in revisions if one.kind == RevisionKind.SUBMITTED),
        draft=newest.number if newest.kind == RevisionKind.DRAFT else 0,
    )


def _past(revision: Revision) -> PastRevision:
    said = said_in_words(revision.preference)
    return PastRevision(revision.number, aware(revision.created_at), said, revision.edit_reason)


def said_in_words(preference: Preference | None) -> str:
    """Say a preference as its annotator would."""
    return _SAID[preference] if preference else ""
