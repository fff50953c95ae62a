"""Where responses are looked for: a study, a scored file, or one's own comparisons."""

from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Subquery
from sqlmodel import Session, col, select

from app.errors import NotFoundError
from app.studies.queries import get_study, studies_of
from models import (
    Arm,
    Comparison,
    ComparisonColumn,
    FileState,
    Item,
    ItemResponse,
    ScoredFile,
    ScoredLine,
    User,
)

Kind = Literal["study", "file", "mine"]


@dataclass(frozen=True, slots=True)
class Source:
    """One place to look. `key` is how the query string names it."""

    kind: Kind
    id: str
    name: str

    @property
    def key(self) -> str:
        """`study:ID`, `file:ID` or `mine`."""
        return f"{self.kind}:{self.id}" if self.id else self.kind


MINE = Source("mine", "", "My comparisons")


def sources_of(session: Session, user: User) -> tuple[Source, ...]:
    """List what a researcher may look through: studies, then finished files, then their own comparisons."""
    ready = select(ScoredFile).where(ScoredFile.state == FileState.READY).order_by(col(ScoredFile.created_at).desc())
    studies = [Source("study", study.id, study.name) for study in studies_of(session, user)]
    return (*studies, *(Source("file", file.id, file.name) for file in session.exec(ready)), MINE)


def chosen(session: Session, user: User, key: str) -> Source:
    """Load the source a query string names. Raises NotFoundError for one that is not there, or not theirs."""
    kind, _, id_ = key.partition(":")
    if kind == "study":
        study = get_study(session, id_, user)
        return Source("study", study.id, study.name)
    if kind == "file":
        file = session.get(ScoredFile, id_)
        if file is not None and file.state == FileState.READY:
            return Source("file", file.id, file.name)
    if key == MINE.key:
        return MINE
    raise NotFoundError("There is no such study or file, or it is not yours to see.", remedy="Choose one on Find.")


def rows_of(source: Source, user: User) -> Subquery:
    """Select the responses of a source: `response_id`, the `arm` they stand for, and the `checkpoint` that wrote it."""
    query: Any
    if source.kind == "study":
        query = (
            select(col(ItemResponse.response_id), col(Arm.name).label("arm"), col(Arm.checkpoint))
            .select_from(Item)
            .join(ItemResponse, col(ItemResponse.item_id) == col(Item.id))
            .join(Arm, col(Arm.id) == col(ItemResponse.arm_id))
            .where(col(Item.study_id) == source.id)
        )
    elif source.kind == "file":
        query = (
            select(
                col(ScoredLine.response_id),
                col(ScoredFile.tuned).label("arm"),
                col(ScoredFile.tuned).label("checkpoint"),
            )
            .join(ScoredFile, col(ScoredFile.id) == col(ScoredLine.file_id))
            .where(col(ScoredLine.file_id) == source.id)
        )
    else:
        query = (
            select(
                col(ComparisonColumn.response_id),
                col(ComparisonColumn.checkpoint).label("arm"),
                col(ComparisonColumn.checkpoint),
            )
            .join(Comparison, col(Comparison.id) == col(ComparisonColumn.comparison_id))
            .where(col(Comparison.created_by) == user.id, col(ComparisonColumn.response_id).is_not(None))
        )
    found: Subquery = query.subquery("source")
    return found
