"""The leak flags of a study as rows of an export: what was found in which response, and what was decided."""

from collections.abc import Iterator
from typing import Any

from sqlmodel import Session, col, select

from models import Arm, Item, ItemResponse, LeakFlag, Response, Study


def leak_flag_rows(session: Session, study: Study) -> Iterator[dict[str, Any]]:
    """Yield the rows of `leak_flags.csv`: items in order, then arms, then places in the text."""
    query = (
        select(LeakFlag, Item, Arm, Response.text_sha256)
        .select_from(LeakFlag)
        .join(Response, col(Response.id) == col(LeakFlag.response_id))
        .join(ItemResponse, col(ItemResponse.response_id) == col(LeakFlag.response_id))
        .join(Item, col(Item.id) == col(ItemResponse.item_id))
        .join(Arm, col(Arm.id) == col(ItemResponse.arm_id))
        .where(LeakFlag.study_id == study.id, Item.study_id == study.id)
        .order_by(col(Item.position), col(Arm.name), col(LeakFlag.start), col(LeakFlag.kind), col(LeakFlag.id))
    )
    for flag, item, arm, sha256 in session.execute(query):
        yield {
            "flag_id": flag.id,
            "item_id": item.id,
            "model": arm.name,
            "response_sha256": sha256,
            "kind": flag.kind.value,
            "start": flag.start,
            "end": flag.end,
            "quote": flag.quote,
            "detail": flag.detail,
            "decision": flag.decision.value,
            "decided_by": flag.decided_by,
            "decided_at": flag.decided_at,
        }
