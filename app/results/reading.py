"""The columns that findings rest on, read out of the database table by table rather than judgment by judgment.

They hold what the rows of the export hold; a test keeps the two equal. This meets what annotators may not know.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import and_, func
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select

from app.cells import known_ms
from app.monitor.excluding import excluding
from app.monitor.exclusions import Given, reasons
from app.results.people import annotator_rows, exclusion_rows
from app.results.report.columns import Columns, of_rows
from app.results.report.tables import Tables, Text, asked_of, tables_of
from app.results.span_reading import shown_columns, span_columns
from app.results.text_reading import texts_of
from models import (
    Arm,
    Item,
    ItemKind,
    Membership,
    Presentation,
    PresentationState,
    Revision,
    RevisionKind,
    Study,
)

_AT_ONCE = 5_000
_FINISHED = (PresentationState.SUBMITTED, PresentationState.SKIPPED)


def read_tables(session: Session, study: Study) -> Tables:
    """Read a study's tables; the session should be one read transaction, which is one snapshot."""
    columns = _judged(session, study)
    texts: Mapping[tuple[str, str], Text] = texts_of(session, study.id)
    columns |= {
        "hallucinations": span_columns(session, study),
        "evidence": shown_columns(session, study),
        "gold": _gold(session, study),
        "annotators": of_rows("annotators", annotator_rows(session, study, external_ids=False)),
        "exclusions": of_rows("exclusions", _texted(exclusion_rows(session, study))),
    }
    return tables_of(columns, texts, asked_of(study.questions))


def _texted(rows: Iterable[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    # Of a revoked rule only that it is revoked counts here.
    return (row | {"revoked_at": "revoked" if row["revoked_at"] else ""} for row in rows)


def _final_and_first() -> tuple[Any, Any, Any, Any]:
    numbers: Any = (
        select(
            col(Revision.presentation_id).label("shown"),
            func.max(Revision.number).label("last"),
            func.min(Revision.number).label("first"),
        )
        .join(Presentation, col(Presentation.id) == col(Revision.presentation_id))
        .where(Revision.kind == RevisionKind.SUBMITTED)
    )
    return numbers, aliased(Revision), aliased(Revision), Presentation


def _judgments_query(study_id: str, kind: ItemKind) -> Any:
    numbers, final, first, shown = _final_and_first()
    which = numbers.where(shown.study_id == study_id).group_by(col(Revision.presentation_id)).subquery()
    return (
        select(  # type: ignore[call-overload]
            shown.id, shown.item_id, shown.annotator_id, shown.left_arm_id, shown.right_arm_id,
            final.preference, final.strength, first.preference,
            final.active_ms, final.recognised_model, final.guideline_version, final.recognised_guess,
            final.ratings, final.acceptability,
        )
        .join(which, which.c.shown == shown.id)
        .join(final, and_(col(final.presentation_id) == which.c.shown, col(final.number) == which.c.last))
        .join(first, and_(col(first.presentation_id) == which.c.shown, col(first.number) == which.c.first))
        .join(Item, col(Item.id) == shown.item_id)
        .where(shown.study_id == study_id, Item.kind == kind, col(shown.state).in_(_FINISHED))
        .execution_options(yield_per=_AT_ONCE)
    )  # fmt: skip


def _judged(session: Session, study: Study) -> dict[str, Columns]:
    arms, pids, prompts = _names(session, study.id)
    rules = excluding(session, study)
    rows, ratings, accepted = [], _long("dimension", "value"), _long("acceptable")
    for (
        shown,
        item,
        person,
        left,
        right,
        raw,
        strength,
        before,
        active,
        knew,
        version,
        guess,
        rated,
        fine,
    ) in session.exec(_judgments_query(study.id, ItemKind.REGULAR)):
        by = reasons(rules.rules, Given(person, active, knew, version), rules.people) if rules.rules else ()
        arms_shown = arms[left], arms[right]
        said = raw, strength, before, known_ms(active), knew, version
        rows.append((item, shown, pids[person], prompts[item], *arms_shown, *said, bool(by), "; ".join(by), guess))
        for side, values in rated.items():
            # Ten values to a judgment: columns grow by the side, not by the value.
            for name, more in zip(
                ratings, ([shown] * len(values), [side] * len(values), values, values.values()), strict=True
            ):
                ratings[name].extend(more)
        for side in ("left", "right"):
            if side in fine:
                _append(accepted, shown, side, fine[side])
    names = of_rows("preferences", ()).keys()
    columns = zip(*rows, strict=True) if rows else ((),) * len(names)
    return {
        "preferences": dict(zip(names, columns, strict=True)),
        "ratings": ratings,
        "acceptability": accepted,
    }


def _long(*names: str) -> dict[str, list[Any]]:
    return {"presentation_id": [], "side": [], **{name: [] for name in names}}


def _append(columns: dict[str, list[Any]], *values: Any) -> None:
    for column, value in zip(columns.values(), values, strict=True):
        column.append(value)


def _names(session: Session, study_id: str) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    arms = session.exec(select(Arm.id, Arm.name).where(Arm.study_id == study_id)).all()
    pids = session.exec(select(Membership.user_id, Membership.pid).where(Membership.study_id == study_id)).all()
    prompts = session.exec(select(Item.id, Item.prompt).where(Item.study_id == study_id)).all()
    return dict(arms), dict(pids), dict(prompts)


def _gold(session: Session, study: Study) -> Columns:
    arms, pids, _ = _names(session, study.id)
    expected = dict(
        session.exec(select(Item.id, Item.expected).where(Item.study_id == study.id, Item.kind == ItemKind.GOLD)).all()
    )
    columns: dict[str, list[Any]] = {"annotator_pid": [], "right": []}
    for row in session.exec(_judgments_query(study.id, ItemKind.GOLD)):
        right = expected[row[1]]
        if right == "better":
            right = "left" if arms[row[3]] == "better" else "right"
        _append(columns, pids[row[2]], row[5] == right)
    return columns
