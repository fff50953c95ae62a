"""Feedback on a practice item, after its annotator has answered it: what was right, and why.

Here and nowhere else an annotator learns which side was meant to win, and only of an item made for practice.
"""

from dataclasses import dataclass

from sqlmodel import Session, col, select

from app.errors import NotFoundError
from app.judging.history import said_in_words
from app.judging.queries import DONE, NOT_YOURS, own_presentation
from models import Arm, Item, ItemKind, Preference, Presentation, Revision, RevisionKind, User

BETTER = "better"


@dataclass(frozen=True, slots=True)
class Feedback:
    """What the annotator said of a practice item, what would have been right, and why, all in words."""

    token: str
    study: str
    study_id: str
    said: str
    right: str
    agrees: bool
    why: str


def is_practice(session: Session, presentation: Presentation) -> bool:
    """Tell whether an item is there to practise on."""
    return session.exec(select(Item.kind).where(Item.id == presentation.item_id)).one() == ItemKind.PRACTICE


def feedback_on(session: Session, token: str, annotator: User) -> Feedback:
    """Compare a submitted practice answer with the right one. Raises NotFoundError for any other item."""
    presentation, study = own_presentation(session, token, annotator)
    if presentation.state not in DONE or not is_practice(session, presentation):
        raise NotFoundError(NOT_YOURS)
    item = session.get_one(Item, presentation.item_id)
    right = _right_answer(session, presentation, item)
    answer = session.exec(
        select(Revision)
        .where(Revision.presentation_id == token, Revision.kind == RevisionKind.SUBMITTED)
        .order_by(col(Revision.number).desc())
        .limit(1)
    ).one()
    return Feedback(
        token=token,
        study=study.name,
        study_id=study.id,
        said=said_in_words(answer.preference),
        right=said_in_words(right),
        agrees=answer.preference == right,
        why=item.why,
    )


def _right_answer(session: Session, presentation: Presentation, item: Item) -> Preference:
    if item.expected != BETTER:
        return Preference(item.expected)
    left = session.exec(select(Arm.name).where(Arm.id == presentation.left_arm_id)).one()
    return Preference.LEFT if left == BETTER else Preference.RIGHT
