"""How long the responses of a study are, and how far tuning shifted each token of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import func
from sqlmodel import Session, col, select

from app.results.report.tables import Text
from app.shift.classes import ShiftClass, classify
from app.shift.packing import open_packed
from models import Arm, Item, ItemKind, ItemResponse, Response, Trace

_PLACES = {kind: at for at, kind in enumerate(ShiftClass)}


@dataclass(frozen=True, slots=True)
class Scored:
    """A response's tokens: the code points each adds, and its class against a reference."""

    reference: str
    lengths: list[int]
    classes: list[ShiftClass]


def scored_of(session: Session, study_id: str) -> dict[str, Scored]:
    """Read the trace that an export goes by of every response that has one, by response id."""
    query = (
        select(Response.id, Response.run, Trace.reference, Trace.tokens)
        .join(Trace, col(Trace.response_id) == col(Response.id))
        .join(ItemResponse, col(ItemResponse.response_id) == col(Response.id))
        .join(Item, col(Item.id) == col(ItemResponse.item_id))
        .where(Item.study_id == study_id, col(Trace.checkpoint) == col(Response.checkpoint))
        .order_by(col(Response.id), col(Trace.reference), col(Trace.base_prompt))
    )
    found: dict[str, Scored] = {}
    for response_id, run, reference, tokens in session.exec(query):
        if response_id not in found and "text_lengths" in run:
            ranks = open_packed(tokens).columns["base_rank"].tolist()
            found[response_id] = Scored(reference, run["text_lengths"], [classify(rank) for rank in ranks])
    return found


def texts_of(session: Session, study_id: str) -> dict[tuple[str, str], Text]:
    """Describe every response of a regular item, by item id and arm."""
    scored = scored_of(session, study_id)
    return {
        (item, arm): _text(checkpoint, length, ids, scored.get(key))
        for item, arm, key, checkpoint, length, ids in _rows(session, study_id)
    }


def _rows(session: Session, study_id: str) -> Iterator[Any]:
    query = (
        select(  # type: ignore[call-overload]
            Item.id, Arm.name, Response.id, Response.checkpoint, func.length(Response.text), Response.token_ids
        )
        .join(ItemResponse, col(ItemResponse.response_id) == col(Response.id))
        .join(Item, col(Item.id) == col(ItemResponse.item_id))
        .join(Arm, col(Arm.id) == col(ItemResponse.arm_id))
        .where(Item.study_id == study_id, Item.kind == ItemKind.REGULAR, col(Arm.special).is_(False))
    )
    yield from session.exec(query)


def _text(checkpoint: str, length: int, token_ids: list[int], scored: Scored | None) -> Text:
    if scored is None:
        return Text(length, len(token_ids) or None, checkpoint=checkpoint)
    # Tokens that were never scored are not counted.
    n = min(len(scored.lengths), len(scored.classes))
    return Text(
        characters=length,
        tokens=len(token_ids) or None,
        lengths=np.asarray(scored.lengths[:n], np.int64),
        classes=np.asarray([_PLACES[kind] for kind in scored.classes[:n]], np.int8),
        checkpoint=checkpoint,
    )
