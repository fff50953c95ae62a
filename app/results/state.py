"""Which state of a study an export would be of, as one hash that is found without writing the export."""

import hashlib
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

from sqlalchemy import ColumnElement, exists
from sqlmodel import Session, col, func, select

from app.results.judgments import JUDGED
from app.results.records import json_text
from models import (
    Arm,
    ComprehensionAttempt,
    Evidence,
    EvidenceAnswer,
    EvidenceOpening,
    Exclusion,
    ExitAnswer,
    Guideline,
    Item,
    ItemResponse,
    LeakFlag,
    Membership,
    Pair,
    Presentation,
    Revision,
    Span,
    Study,
    Trace,
    User,
)

_BATCH = 1_000


def fingerprint(session: Session, study: Study, *, external_ids: bool) -> str:
    """Hash everything an export shows: rows that may change whole, append-only ones by how many there are."""
    digest = hashlib.sha256()
    for part in _parts(session, study, external_ids=external_ids):
        digest.update(json_text(part).encode() + b"\n")
    return digest.hexdigest()


def _parts(session: Session, study: Study, *, external_ids: bool) -> Iterator[Any]:
    yield [version("tuneshift"), version("pyarrow"), external_ids]
    yield study.model_dump(mode="json")
    of_study: list[tuple[Any, ColumnElement[bool]]] = [
        (table, col(table.study_id) == study.id)
        for table in (Arm, Pair, Item, Guideline, Membership, Exclusion, LeakFlag, ExitAnswer, ComprehensionAttempt)
    ]
    of_study.append((ItemResponse, _in_items(ItemResponse.item_id, study)))
    for table, condition in of_study:
        yield from _rows(session, table, condition)
    # Whoever added a rule is named in exclusions.csv.
    yield from _names(session, study)
    yield from _unfinished(session, study)
    yield _counts(session, study)


def _in_items(column: Any, study: Study) -> ColumnElement[bool]:
    return col(column).in_(select(Item.id).where(Item.study_id == study.id))


def _rows(session: Session, table: Any, condition: ColumnElement[bool]) -> Iterator[Any]:
    columns = list(table.__table__.columns)
    query = select(*columns).where(condition).order_by(*table.__table__.primary_key.columns)
    for row in session.execute(query.execution_options(yield_per=_BATCH)):
        yield [table.__name__, *row]


def _names(session: Session, study: Study) -> Iterator[Any]:
    ids = {
        key
        for pair in session.exec(
            select(Exclusion.created_by, Exclusion.revoked_by).where(Exclusion.study_id == study.id)
        )
        for key in pair
        if key
    }
    for row in session.exec(select(User.id, User.name).where(col(User.id).in_(ids)).order_by(col(User.id))):
        yield list(row)
    # Researchers who judged nothing are left out of annotators.csv.
    roles = select(User.id, User.role).join(Membership, col(Membership.user_id) == col(User.id))
    for user_id, role in session.exec(roles.where(Membership.study_id == study.id).order_by(col(User.id))):
        yield [user_id, str(role)]


def _unfinished(session: Session, study: Study) -> Iterator[Any]:
    """List what is in hand or was given back: these change without a revision, unlike judgments."""
    query = (
        select(Presentation.id, Presentation.state)
        .where(Presentation.study_id == study.id, col(Presentation.state).not_in(JUDGED))
        .order_by(col(Presentation.id))
    )
    for token, state in session.exec(query):
        yield [token, str(state)]


def _counts(session: Session, study: Study) -> list[Any]:
    # Of what is rare beside judgments each row is looked up, because to list all judgments takes much longer.
    shown = col(Presentation.study_id) == study.id
    of_span = exists().where(
        col(Revision.id) == col(Span.revision_id), col(Presentation.id) == col(Revision.presentation_id), shown
    )
    of_evidence = exists().where(col(Presentation.id) == col(Evidence.presentation_id), shown)
    under = (col(Evidence.id) == col(EvidenceAnswer.evidence_id), col(Presentation.id) == col(Evidence.presentation_id))
    opened = (col(Evidence.id) == col(EvidenceOpening.evidence_id), under[1])
    responses = select(ItemResponse.response_id).where(_in_items(ItemResponse.item_id, study))
    revised = select(func.count(), func.max(Revision.created_at)).select_from(Revision)
    queries = [
        select(func.count(), func.max(Presentation.submitted_at)).where(shown),
        revised.join(Presentation, col(Presentation.id) == col(Revision.presentation_id)).where(shown),
        select(func.count()).select_from(Span).where(of_span),
        select(func.count()).select_from(EvidenceAnswer).where(exists().where(*under, shown)),
        select(func.count()).select_from(Evidence).where(of_evidence),
        select(func.count()).select_from(EvidenceOpening).where(exists().where(*opened, shown)),
        select(func.count(), func.max(Trace.created_at)).where(col(Trace.response_id).in_(responses)),
    ]
    return [list(session.execute(query).one()) for query in queries]
