"""How far a study is: which responses are missing, and how many judgments each pair has of those it wants."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, func
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select

from models import Arm, Item, ItemKind, ItemResponse, Pair, Presentation, PresentationState, Study


@dataclass(frozen=True, slots=True)
class Hole:
    """A response that a study still lacks."""

    item_id: str
    position: int
    prompt: str
    arm_id: str
    arm: str
    checkpoint: str
    decoding: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ArmCoverage:
    """An arm and how many of the study's items it has answered."""

    name: str
    checkpoint: str
    answered: int
    items: int


@dataclass(frozen=True, slots=True)
class PairProgress:
    """Two arms, and the judgments given, in hand and wanted for them. `skipped` counts those who could not judge."""

    first: str
    second: str
    judged: int
    in_hand: int
    skipped: int
    wanted: int


def missing_responses(session: Session, study_id: str) -> list[Hole]:
    """List what is still to be generated, by item, then arm name."""
    query = (
        select(Item, Arm)
        .join(Arm, col(Arm.study_id) == col(Item.study_id))
        .outerjoin(
            ItemResponse,
            and_(col(ItemResponse.item_id) == col(Item.id), col(ItemResponse.arm_id) == col(Arm.id)),
        )
        .where(
            Item.study_id == study_id,
            col(ItemResponse.response_id).is_(None),
            # Practice and gold items came with their responses.
            Item.kind == ItemKind.REGULAR,
            col(Arm.special).is_(False),
        )
        .order_by(col(Item.position), col(Arm.name))
    )
    return [
        Hole(item.id, item.position, item.prompt, arm.id, arm.name, arm.checkpoint, arm.decoding)
        for item, arm in session.exec(query)
    ]


def arm_coverage(session: Session, study_id: str) -> list[ArmCoverage]:
    """Count the answered items of every arm, by name."""
    items = _regular(session, study_id)
    query = (
        select(Arm.name, Arm.checkpoint, func.count(col(ItemResponse.item_id)))
        .outerjoin(ItemResponse, col(ItemResponse.arm_id) == col(Arm.id))
        .where(Arm.study_id == study_id, col(Arm.special).is_(False))
        .group_by(Arm.id, Arm.name, Arm.checkpoint)
        .order_by(Arm.name)
    )
    return [ArmCoverage(name, checkpoint, answered, items) for name, checkpoint, answered in session.exec(query)]


def pair_progress(session: Session, study: Study) -> list[PairProgress]:
    """Count the judgments of every pair; leases that ran out are in nobody's hand."""
    wanted = _wanted(session, study)
    first, second = aliased(Arm), aliased(Arm)
    pairs = session.exec(
        select(Pair.id, first.name, second.name)
        .join(first, col(first.id) == col(Pair.first_arm_id))
        .join(second, col(second.id) == col(Pair.second_arm_id))
        .where(Pair.study_id == study.id, col(Pair.special).is_(False))
        .order_by(first.name, second.name)
    ).all()
    counted = session.exec(
        select(Presentation.pair_id, Presentation.state, func.count())
        .where(Presentation.study_id == study.id)
        .group_by(Presentation.pair_id, Presentation.state)
    )
    counts = {(pair_id, state): number for pair_id, state, number in counted}
    return [
        PairProgress(
            first=one,
            second=other,
            judged=counts.get((pair_id, PresentationState.SUBMITTED), 0),
            in_hand=counts.get((pair_id, PresentationState.LEASED), 0),
            skipped=counts.get((pair_id, PresentationState.SKIPPED), 0),
            wanted=wanted,
        )
        for pair_id, one, other in pairs
    ]


def _regular(session: Session, study_id: str) -> int:
    query = select(func.count()).select_from(Item).where(Item.study_id == study_id, Item.kind == ItemKind.REGULAR)
    return session.exec(query).one()


def _wanted(session: Session, study: Study) -> int:
    """Count the judgments one pair wants, those of items that are wanted more or less often included."""
    overlap = func.coalesce(Item.overlap, study.overlap)
    query = select(func.sum(overlap)).where(Item.study_id == study.id, Item.kind == ItemKind.REGULAR)
    return session.exec(query).one() or 0
