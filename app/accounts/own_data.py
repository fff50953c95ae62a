"""What is kept about a person, for that person: their account and their own work, and nothing of a model's name."""

from collections.abc import Iterator
from typing import Any

from sqlmodel import Session, col, select

from app.accounts.tokens import tokens_of
from app.cells import utc_text
from models import (
    ComprehensionAttempt,
    ExitAnswer,
    Item,
    Membership,
    Presentation,
    Revision,
    RevisionKind,
    Span,
    Study,
    User,
)


def own_data(session: Session, user: User) -> dict[str, Any]:
    """Gather everything a person gave or that is kept about them, by study; sides are left and right, never arms."""
    return {
        "account": {
            "email": None if user.is_guest else user.email,
            "name": user.name,
            "role": user.role.value,
            "created_at": utc_text(user.created_at),
            "shortcuts": user.shortcuts,
        },
        "tokens": [
            {"name": one.name, "begins": one.hint, "scopes": one.scopes, "created_at": utc_text(one.created_at)}
            for one in tokens_of(session, user.id)
        ],
        "studies": list(_studies(session, user)),
    }


def _studies(session: Session, user: User) -> Iterator[dict[str, Any]]:
    query = select(Membership, Study).join(Study, col(Study.id) == col(Membership.study_id))
    for member, study in session.exec(query.where(Membership.user_id == user.id).order_by(col(Membership.joined_at))):
        exit_answer = session.get(ExitAnswer, (study.id, user.id))
        tries = select(ComprehensionAttempt).where(
            ComprehensionAttempt.study_id == study.id, ComprehensionAttempt.user_id == user.id
        )
        yield {
            "name": study.name,
            "joined_at": utc_text(member.joined_at),
            "state": member.state.value,
            "external_id": member.external_id,
            "check": [
                {"answers": one.answers, "at": utc_text(one.created_at)}
                for one in session.exec(tries.order_by(col(ComprehensionAttempt.number)))
            ],
            "at_the_end": exit_answer.model_dump(include={"recognised_model", "recognised_guess", "comment"})
            if exit_answer
            else None,
            "answers": list(_answers(session, study, user)),
        }


def _answers(session: Session, study: Study, user: User) -> Iterator[dict[str, Any]]:
    query = (
        select(Revision, Item.prompt)
        .join(Presentation, col(Presentation.id) == col(Revision.presentation_id))
        .join(Item, col(Item.id) == col(Presentation.item_id))
        .where(Presentation.study_id == study.id, Presentation.annotator_id == user.id)
        .where(Revision.kind != RevisionKind.DRAFT)
        .order_by(col(Revision.created_at), col(Revision.id))
    )
    fields = {"preference", "strength", "acceptability", "ratings", "comment", "flagged", "skip_reason"}
    fields |= {"recognised_model", "recognised_guess", "edit_reason", "active_ms", "wall_ms"}
    for revision, prompt in session.exec(query):
        spans = session.exec(select(Span).where(Span.revision_id == revision.id).order_by(col(Span.position)))
        yield {
            "prompt": prompt,
            "at": utc_text(revision.created_at),
            **revision.model_dump(mode="json", include=fields),
            "spans": [
                one.model_dump(mode="json", include={"side", "quote", "type", "severity", "note"}) for one in spans
            ],
        }
