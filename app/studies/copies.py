"""Duplicate a study as a new draft, and delete a draft nobody has judged in."""

from dataclasses import replace

from sqlmodel import Session, col, delete, select

from app.errors import ConflictError
from app.studies.drafts import save_draft
from app.studies.generation import refuse_while_generating
from app.studies.stored import design_of, has_judgments
from models import (
    Arm,
    ComprehensionAttempt,
    GenerationRun,
    Guideline,
    Invite,
    Item,
    ItemResponse,
    LeakFlag,
    Membership,
    Pair,
    ResponseFailure,
    ScoringRun,
    ScoringTask,
    Study,
    StudyEvent,
    StudyState,
)


def duplicate(session: Session, study: Study, *, user_id: str) -> Study:
    """Make a new draft of a study's design, with its responses and a seed of its own; nothing of its people."""
    design = design_of(session, study)
    copy = save_draft(
        session,
        replace(design, name=f"{design.name[:190]} (copy)", slug=_free_slug(session, study.slug), seed=""),
        user_id=user_id,
    )
    _copy_responses(session, study, copy)
    session.add(
        StudyEvent(study_id=copy.id, user_id=user_id, action="duplicated", detail=f"Made as a copy of {study.slug}.")
    )
    session.flush()
    return copy


def _free_slug(session: Session, slug: str) -> str:
    taken = set(session.exec(select(Study.slug)))
    number = 2
    while f"{slug[:70].rstrip('-')}-{number}" in taken:
        number += 1
    return f"{slug[:70].rstrip('-')}-{number}"


def _copy_responses(session: Session, study: Study, copy: Study) -> None:
    """Responses are immutable, so both studies may show the same ones; what was withheld or flagged is decided anew."""
    arms = {arm.name: arm.id for arm in session.exec(select(Arm).where(Arm.study_id == copy.id))}
    items = {item.prompt: item.id for item in session.exec(select(Item).where(Item.study_id == copy.id))}
    query = (
        select(Item.prompt, Arm.name, ItemResponse.response_id)
        .join(ItemResponse, col(ItemResponse.item_id) == col(Item.id))
        .join(Arm, col(Arm.id) == col(ItemResponse.arm_id))
        .where(Item.study_id == study.id, col(Arm.special).is_(False))
    )
    for prompt, arm, response_id in session.exec(query).all():
        session.add(ItemResponse(item_id=items[prompt], arm_id=arms[arm], response_id=response_id))
    session.flush()


def delete_draft(session: Session, study: Study, *, user_id: str, confirmed: bool) -> None:
    """Remove a draft with all that belongs to it alone; responses stay, because pages and comparisons may show them.

    Raises ConflictError for a study that was opened, or has judgments, or without confirmation.
    """
    if study.state is not StudyState.DRAFT or has_judgments(session, study):
        raise ConflictError(
            "Only a draft can be deleted; this study was opened, and its judgments are kept.",
            remedy="Close it instead.",
        )
    refuse_while_generating(session, study)
    if not confirmed:
        raise ConflictError("Deleting a draft cannot be undone.", remedy="Tick the box beside the button to confirm.")
    items = select(Item.id).where(Item.study_id == study.id)
    for table in (ItemResponse, ResponseFailure):
        session.exec(delete(table).where(col(table.item_id).in_(items)))
    session.add(
        StudyEvent(study_id=study.id, user_id=user_id, action="deleted", detail=f"The draft {study.slug} was deleted.")
    )
    orders = select(ScoringRun.id).where(ScoringRun.study_id == study.id)
    session.exec(delete(ScoringTask).where(col(ScoringTask.run_id).in_(orders)))
    for owned in (Pair, LeakFlag, GenerationRun, ScoringRun, Guideline, Invite, ComprehensionAttempt, Membership):
        session.exec(delete(owned).where(col(owned.study_id) == study.id))
    for part in (Item, Arm):
        session.exec(delete(part).where(col(part.study_id) == study.id))
    session.delete(study)
    session.flush()
