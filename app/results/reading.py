"""The columns that findings rest on, read out of the database table by table rather than judgment by judgment.

They hold what the rows of the export hold; a test keeps the two equal. This meets what annotators may not know.
"""

import json
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from sqlalchemy import String, Text, and_, cast, func, type_coerce
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select

from app.monitor.excluding import Excluding, excluding
from app.monitor.exclusions import Given, reasons
from app.results.judged_columns import NumberColumn, TextColumn, accepted_columns
from app.results.people import annotators_known, exclusion_rows
from app.results.rating_reading import RatingsRead
from app.results.report.columns import Columns, of_rows
from app.results.report.tables import Ratings, Tables, asked_of, tables_of
from app.results.span_reading import marked_columns
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
_READ = (
    "shown", "item", "person", "left", "right", "preference_raw", "strength", "first_preference", "active_ms",
    "recognised_model", "guideline_version", "recognised_guess", "ratings", "fine",
)  # fmt: skip
_TEXTS = ("item", "person", "left", "right", "preference_raw", "first_preference", "recognised_guess")
_LOOKED_AT = ("person", "active_ms", "recognised_model", "guideline_version")
# A time that is unknown is stored as the tables have it, -1.
_NUMBERS = ("strength", "active_ms", "guideline_version")
_FINISHED = (PresentationState.SUBMITTED, PresentationState.SKIPPED)


def read_tables(session: Session, study: Study, on_read: Callable[[int], None] = lambda _read: None) -> Tables:
    """Read a study's tables; the session should be one read transaction, which is one snapshot.

    `on_read` is called now and then with how many judgments are read. Raises what it raises.
    """
    columns, rated = _judged(session, study, on_read)
    texts = texts_of(session, study.id)
    columns |= {
        **dict(zip(("hallucinations", "evidence"), marked_columns(session, study), strict=True)),
        "gold": _gold(session, study),
        "annotators": of_rows("annotators", annotators_known(session, study)),
        "exclusions": of_rows("exclusions", _texted(exclusion_rows(session, study))),
    }
    return tables_of(columns, texts, asked_of(study.questions), rated)


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
        .join(Item, col(Item.id) == col(Presentation.item_id))
        .where(Revision.kind == RevisionKind.SUBMITTED)
    )
    return numbers, aliased(Revision), aliased(Revision), Presentation


def _judgments_query(study_id: str, kind: ItemKind) -> Any:
    numbers, final, first, shown = _final_and_first()
    which = (
        numbers.where(shown.study_id == study_id, Item.kind == kind).group_by(col(Revision.presentation_id)).subquery()
    )
    return (
        select(  # type: ignore[call-overload]
            shown.id, shown.item_id, shown.annotator_id, shown.left_arm_id, shown.right_arm_id,
            type_coerce(final.preference, String).label("said"), final.strength,
            type_coerce(first.preference, String).label("said_first"),
            final.active_ms, final.recognised_model, final.guideline_version, final.recognised_guess,
            cast(final.ratings, Text), cast(final.acceptability, Text),
        )
        .join(which, which.c.shown == shown.id)
        .join(final, and_(col(final.presentation_id) == which.c.shown, col(final.number) == which.c.last))
        .join(first, and_(col(first.presentation_id) == which.c.shown, col(first.number) == which.c.first))
        .join(Item, col(Item.id) == shown.item_id)
        .where(shown.study_id == study_id, Item.kind == kind, col(shown.state).in_(_FINISHED))
        .execution_options(yield_per=_AT_ONCE)
    )  # fmt: skip


def _judged(session: Session, study: Study, on_read: Callable[[int], None]) -> tuple[dict[str, Columns], Ratings]:
    """Read the judgments of regular items, batch after batch, so that their rows are never in memory together."""
    arms, pids, prompts, strata = _names(session, study.id)
    rules = excluding(session, study)
    shown: list[str] = []
    texts = {name: TextColumn() for name in (*_TEXTS, "reason", "fine")}
    numbers = {name: NumberColumn() for name in _NUMBERS} | {"recognised_model": NumberColumn(np.bool_)}
    ratings = RatingsRead()
    known: dict[Given, str] = {}
    for batch in session.exec(_judgments_query(study.id, ItemKind.REGULAR)).partitions():
        rows = dict(zip(_READ, zip(*batch, strict=True), strict=True))
        shown.extend(rows["shown"])
        for name in _TEXTS:
            texts[name].add(rows[name])
        for name, column in numbers.items():
            column.add(rows[name])
        texts["reason"].add(_reasons(rules, rows, known))
        texts["fine"].add(rows["fine"])
        ratings.add(rows["ratings"])
        on_read(len(shown))
    said = {name: texts[name].whole() for name in ("preference_raw", "first_preference", "recognised_guess")}
    reason, fine = texts["reason"].whole(), texts["fine"].whole()
    columns = {
        "item_id": texts["item"].whole(),
        "presentation_id": shown,
        "annotator_pid": texts["person"].whole(pids),
        "prompt": texts["item"].whole(prompts),
        "stratum": texts["item"].whole(strata),
        "model_left": texts["left"].whole(arms),
        "model_right": texts["right"].whole(arms),
        **said,
        **{name: column.whole() for name, column in numbers.items()},
        "excluded": np.asarray([bool(name) for name in reason.names], np.bool_)[reason.codes],
        "exclusion_reason": reason,
    }
    accepted = accepted_columns(shown, fine, {text: json.loads(text) for text in fine.names})
    return {"preferences": columns, "acceptability": accepted}, ratings.whole()


def _reasons(rules: Excluding, rows: Mapping[str, Sequence[Any]], known: dict[Given, str]) -> list[str]:
    """Name the rules that take each judgment out; `known` remembers answers that rules cannot tell apart."""
    if not rules.rules:
        return [""] * len(rows["shown"])
    found = []
    # Rules know thresholds of time alone, so times between two of them are one.
    steps = sorted({0, *(rule.settings["seconds"] * 1000 for rule in rules.rules if rule.name == "min_active")})
    for who, ms, recognised, version in zip(*(rows[name] for name in _LOOKED_AT), strict=True):
        step = bisect_right(steps, ms)
        given = Given(who, steps[step - 1] if step else -1, recognised, version)
        if given not in known:
            known[given] = "; ".join(reasons(rules.rules, given, rules.people))
        found.append(known[given])
    return found


def _append(columns: dict[str, list[Any]], *values: Any) -> None:
    for column, value in zip(columns.values(), values, strict=True):
        column.append(value)


def _names(session: Session, study_id: str) -> tuple[dict[str, str], dict[str, str], dict[str, str], dict[str, str]]:
    arms = session.exec(select(Arm.id, Arm.name).where(Arm.study_id == study_id)).all()
    pids = session.exec(select(Membership.user_id, Membership.pid).where(Membership.study_id == study_id)).all()
    items = session.exec(select(Item.id, Item.prompt, Item.stratum).where(Item.study_id == study_id)).all()
    prompts, strata = {key: prompt for key, prompt, _ in items}, {key: stratum for key, _, stratum in items}
    return dict(arms), dict(pids), prompts, strata


def _gold(session: Session, study: Study) -> Columns:
    arms, pids, _, _ = _names(session, study.id)
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
