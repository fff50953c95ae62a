"""What a study's first item would be, for whoever sets it up to try out."""

from sqlmodel import Session, col, select

from app.errors import ConflictError
from app.studies.drafts import regular_items
from models import ItemResponse, Pair, Study


def first_item(session: Session, study: Study) -> tuple[str, list[str]]:
    """Find the first prompt and the ids of its two responses under the first pair, empty for one that is not there.

    Raises ConflictError where no prompt is saved.
    """
    items = regular_items(session, study)
    if not items:
        raise ConflictError("There is no prompt to try it with.", remedy="Save a prompt first.")
    pair = session.exec(
        select(Pair).where(Pair.study_id == study.id, col(Pair.special).is_(False)).order_by(col(Pair.id)).limit(1)
    ).first()
    arms = (pair.first_arm_id, pair.second_arm_id) if pair else ("", "")
    found = [session.get(ItemResponse, (items[0].id, arm)) for arm in arms]
    return items[0].prompt, [one.response_id if one else "" for one in found]
