"""What an export says of itself: of which state it is, what it was made from, and how to check it."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from sqlalchemy import func
from sqlmodel import Session, col, select

from app.cells import utc_text
from app.results.account import Account, Tally
from app.results.files import Written
from app.shift.classes import DEFAULT_THRESHOLDS
from models import (
    ComprehensionAttempt,
    Exclusion,
    ExitAnswer,
    Guideline,
    Item,
    ItemResponse,
    LeakFlag,
    Membership,
    Presentation,
    Response,
    Revision,
    Study,
    Trace,
)

FORMAT = 1
IDLE_S = 30

_SNAPSHOT = (
    "Everything in this export was read in one transaction, so it shows one state of the study. as_of is the newest "
    "moment stored in that state, not the time of the export: the same state gives the same bytes."
)
_SEED = (
    "Sides, orders and gold places are drawn by HMAC-SHA256 keyed by the study's seed; side_order_key is the draw of "
    "each presentation. The seed itself is not in the export; seed_sha256 lets anyone check one that is told later."
)
_PSEUDONYMS = (
    "annotator_pid is a keyed hash of the person and the study, so the same person has another one in another study. "
    "E-mail addresses, names of annotators and network addresses are not exported."
)


def as_of(session: Session, study: Study) -> datetime:
    """Return the newest moment stored of a study, aware."""
    shown = select(Presentation.id).where(Presentation.study_id == study.id)
    responses = (
        select(ItemResponse.response_id)
        .join(Item, col(Item.id) == col(ItemResponse.item_id))
        .where(Item.study_id == study.id)
    )
    queries = [
        select(func.max(table_column)).where(of_study)
        for table_column, of_study in (
            (Study.created_at, col(Study.id) == study.id),
            (Guideline.created_at, col(Guideline.study_id) == study.id),
            (Presentation.created_at, col(Presentation.study_id) == study.id),
            (Presentation.submitted_at, col(Presentation.study_id) == study.id),
            (Revision.created_at, col(Revision.presentation_id).in_(shown)),
            (Membership.joined_at, col(Membership.study_id) == study.id),
            (Membership.state_changed_at, col(Membership.study_id) == study.id),
            (Exclusion.created_at, col(Exclusion.study_id) == study.id),
            (Exclusion.revoked_at, col(Exclusion.study_id) == study.id),
            (LeakFlag.created_at, col(LeakFlag.study_id) == study.id),
            (LeakFlag.decided_at, col(LeakFlag.study_id) == study.id),
            (ExitAnswer.created_at, col(ExitAnswer.study_id) == study.id),
            (ComprehensionAttempt.created_at, col(ComprehensionAttempt.study_id) == study.id),
            (Response.created_at, col(Response.id).in_(responses)),
            (Trace.created_at, col(Trace.response_id).in_(responses)),
        )
    ]
    moments: list[datetime] = [found for query in queries if (found := session.execute(query).scalar()) is not None]
    return max(one if one.tzinfo else one.replace(tzinfo=UTC) for one in moments)


def manifest(
    session: Session,
    study: Study,
    files: Iterable[Written],
    accounts: Mapping[str, Account],
    tally: Tally,
    *,
    external_ids: bool,
) -> dict[str, Any]:
    """Build manifest.json; `tally` counted preferences."""
    return {
        "format": FORMAT,
        "as_of": utc_text(as_of(session, study)),
        "snapshot": _SNAPSHOT,
        "written_with": {name: version(name) for name in ("tuneshift", "pyarrow")},
        "study": {
            "id": study.id,
            "slug": study.slug,
            "name": study.name,
            "version": study.version,
            "state": study.state.value,
            "overlap": study.overlap,
            "questions": study.questions,
            "withdrawal": study.withdrawal.value,
            "created_at": utc_text(study.created_at),
        },
        "guidelines": _guidelines(session, study),
        "engines": _engines(session, study),
        "seed": {"policy": _SEED, "seed_sha256": hashlib.sha256(study.seed.encode()).hexdigest()},
        "pseudonyms": {"policy": _PSEUDONYMS, "external_ids": external_ids},
        "thresholds": {
            "largest_base_rank_unshifted": DEFAULT_THRESHOLDS.unshifted,
            "largest_base_rank_marginal": DEFAULT_THRESHOLDS.marginal,
            "idle_after_seconds": IDLE_S,
        },
        "judgments": {
            "all": tally.rows,
            "excluded": tally.excluded,
            "excluded_by_rule": dict(sorted(tally.by_rule.items())),
        },
        "accounting": {name: account.as_json() for name, account in accounts.items()},
        "files": _files(files),
    }


def _files(files: Iterable[Written]) -> list[dict[str, Any]]:
    return [
        {"name": one.name, "bytes": one.bytes, "sha256": one.sha256} | ({} if one.rows is None else {"rows": one.rows})
        for one in files
    ]


def _guidelines(session: Session, study: Study) -> list[dict[str, Any]]:
    query = select(Guideline).where(Guideline.study_id == study.id).order_by(col(Guideline.version))
    kept = session.exec(query).all()
    texts: Sequence[tuple[int, str]] = [(one.version, one.text) for one in kept] or [
        (study.guideline_version, study.guidelines)
    ]
    return [{"version": number, "sha256": hashlib.sha256(text.encode()).hexdigest()} for number, text in texts]


def _engines(session: Session, study: Study) -> list[dict[str, Any]]:
    """List what scored the traces of the study's responses."""
    query = (
        select(  # type: ignore[call-overload]
            Trace.engine, Trace.engine_version, Trace.dtype, Trace.kl_kind, func.count()
        )
        .join(ItemResponse, col(ItemResponse.response_id) == col(Trace.response_id))
        .join(Item, col(Item.id) == col(ItemResponse.item_id))
        .where(Item.study_id == study.id)
        .group_by(col(Trace.engine), col(Trace.engine_version), col(Trace.dtype), col(Trace.kl_kind))
        .order_by(col(Trace.engine), col(Trace.engine_version), col(Trace.dtype), col(Trace.kl_kind))
    )  # fmt: skip
    names = ("engine", "version", "dtype", "kl_kind", "traces")
    return [dict(zip(names, row, strict=True)) for row in session.exec(query)]
