"""What is known of a study's findings now: computed once per state of its data, kept, and never shown as newer.

A small study is computed while somebody waits; a large one in the background, and until then the page shows the last
state with the time it was of and how many judgments came since.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import Engine as Database
from sqlmodel import Session, col, func, select

from app import stats
from app.db import snapshot, writing
from app.monitor.votes import aware
from app.results import report
from app.results.reading import read_tables
from app.results.report.findings import Findings, from_json
from models import (
    Arm,
    ComprehensionAttempt,
    Exclusion,
    ExitAnswer,
    Item,
    ItemResponse,
    Membership,
    Presentation,
    Revision,
    RevisionKind,
    Study,
    StudyFindings,
    Trace,
)

# About a second of work; more is done in the background.
AT_ONCE = 10_000


@dataclass(frozen=True, slots=True)
class Standing:
    """Findings with the moment they are of; None before the first. `since` counts judgments that came after.

    `fresh` is whether they are of the data as it is now.
    """

    findings: Findings | None
    as_of: datetime | None
    fresh: bool
    judgments: int
    since: int = 0


@dataclass(frozen=True, slots=True)
class Computed:
    """Findings and the state of the data they were computed from."""

    findings: Findings
    stamp: str
    judgments: int


def standing(session: Session, study: Study) -> Standing:
    """Tell what is kept and whether it still holds."""
    judgments = count_judgments(session, study.id)
    kept = session.get(StudyFindings, study.id)
    if kept is None:
        return Standing(None, None, fresh=False, judgments=judgments)
    return Standing(
        findings=from_json(kept.findings),
        as_of=aware(kept.as_of),
        fresh=kept.stamp == stamp_of(session, study, judgments),
        judgments=judgments,
        since=max(0, judgments - kept.judgments),
    )


def compute(session: Session, study: Study, on_read: Callable[[int], None] = lambda _read: None) -> Computed:
    """Compute the findings of one snapshot, which the session should be; `on_read` is that of `read_tables`."""
    from app.results.report.found import found  # noqa: PLC0415  an export of kept findings needs no statistics

    judgments = count_judgments(session, study.id)
    stamp = stamp_of(session, study, judgments)
    return Computed(found(read_tables(session, study, on_read)), stamp, judgments)


def keep(database: Database, study_id: str, computed: Computed, now: datetime) -> None:
    """Keep findings in place of older ones."""
    with writing(database) as session:
        kept = session.get(StudyFindings, study_id) or StudyFindings(
            study_id=study_id, stamp="", judgments=0, findings={}, as_of=now
        )
        kept.stamp, kept.judgments, kept.as_of = computed.stamp, computed.judgments, now
        kept.findings = computed.findings.to_json()
        session.add(kept)


def settle(database: Database, session: Session, study: Study, now: datetime) -> Standing:
    """Return findings of a small study as it is now, computing what is out of date; of a large one what is kept."""
    stands = standing(session, study)
    if stands.fresh or stands.judgments > AT_ONCE:
        return stands
    computed = compute(session, study)
    # A draft may still be deleted, and nothing may stand in its way.
    if computed.judgments:
        keep(database, study.id, computed, now)
    return Standing(computed.findings, now, fresh=True, judgments=computed.judgments)


def refresh(
    database: Database, study_id: str, now: datetime, on_read: Callable[[int], None] = lambda _read: None
) -> None:
    """Compute and keep the findings of a study, whatever its size; `on_read` is that of `read_tables`."""
    with snapshot(database) as session:
        computed = compute(session, session.get_one(Study, study_id), on_read)
    keep(database, study_id, computed, now)


def count_judgments(session: Session, study_id: str) -> int:
    """Count what was submitted, practice and gold items too, from an index alone."""
    query = (
        select(func.count())
        .select_from(Presentation)
        .where(Presentation.study_id == study_id, col(Presentation.submitted_at).is_not(None))
    )
    return session.exec(query).one()


def stamp_of(session: Session, study: Study, judgments: int) -> str:
    """Name the state of everything that findings rest on, and the code that computes them.

    Judgments are only ever added, so counts tell states apart. For a large study revisions are counted over all
    studies, which is quick, and at worst computes what has not changed.
    """
    facts = {
        "code": _code(),
        "study": [study.version, study.withdrawal.value, judgments, _revisions(session, study.id, judgments)],
        "exclusions": _counts(session, Exclusion, Exclusion.study_id == study.id, col(Exclusion.revoked_at).is_(None)),
        "members": sorted(
            [pid, str(state)]
            for pid, state in session.exec(
                select(Membership.pid, Membership.state).where(Membership.study_id == study.id)
            )
        ),
        "exits": _counts(session, ExitAnswer, ExitAnswer.study_id == study.id, ExitAnswer.recognised_model),
        "checks": _counts(
            session, ComprehensionAttempt, ComprehensionAttempt.study_id == study.id, ComprehensionAttempt.passed
        ),
        "arms": sorted(session.exec(select(Arm.name).where(Arm.study_id == study.id))),
        "traces": _traces(session, study.id),
    }
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _counts(session: Session, table: Any, where: Any, which: Any) -> list[int]:
    """Count the rows of a table, and those of them for which something holds."""
    query = select(func.count(), func.count().filter(which)).select_from(table).where(where)
    return list(session.exec(query).one())


def _revisions(session: Session, study_id: str, judgments: int) -> int:
    query = select(func.count()).select_from(Revision)
    if judgments <= AT_ONCE:
        ours = query.join(Presentation, col(Presentation.id) == col(Revision.presentation_id))
        query = ours.where(Presentation.study_id == study_id, Revision.kind == RevisionKind.SUBMITTED)
    return session.exec(query).one()


def _traces(session: Session, study_id: str) -> int:
    query = (
        select(func.count())
        .select_from(Trace)
        .join(ItemResponse, col(ItemResponse.response_id) == col(Trace.response_id))
        .join(Item, col(Item.id) == col(ItemResponse.item_id))
        .where(Item.study_id == study_id)
    )
    return session.exec(query).one()


@cache
def _code() -> str:
    """Hash the code that findings come from, so that an update of Tuneshift computes anew."""
    sources = [
        Path(file) for package in (stats, report) for place in package.__path__ for file in Path(place).glob("*.py")
    ]
    digest = hashlib.sha256()
    for path in sorted(sources):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()
