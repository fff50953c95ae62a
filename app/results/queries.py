"""Reading judgments out of the database, item by item, so that a study of any size fits in memory.

This is where presentations meet their arms again; only researchers' routes and the command line come here.
"""

import os
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import and_, func
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select

from app.monitor.excluding import excluding
from app.results.attribution import attribution, evidence_rows, judged_beside
from app.results.export import TABLES, write_table
from app.results.leaks import leak_flag_rows
from app.results.people import annotator_rows, exclusion_rows
from app.results.revisions import revision_rows
from app.results.spans import span_shift
from app.shift.packing import unpack
from models import (
    Arm,
    Item,
    ItemKind,
    ItemResponse,
    Membership,
    Preference,
    Presentation,
    PresentationState,
    Response,
    Revision,
    RevisionKind,
    Side,
    Span,
    Study,
    Trace,
)

_ZIP_TIME = (1980, 1, 1, 0, 0, 0)


def _submitted(pick: Callable[..., Any]) -> Any:
    one = aliased(Revision)
    return (
        select(pick(one.number))
        .where(one.presentation_id == Presentation.id, one.kind == RevisionKind.SUBMITTED)
        .correlate(Presentation)
        .scalar_subquery()
    )


# Made once: a query of new aliases would be compiled anew for every item.
_FINAL, _FIRST = aliased(Revision), aliased(Revision)
_LAST_SUBMITTED, _FIRST_SUBMITTED = _submitted(func.max), _submitted(func.min)


@dataclass(frozen=True, slots=True)
class _Names:
    """What ids are called in an export of one study."""

    arms: Mapping[str, str]
    pids: Mapping[str, str]
    hashes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Judged:
    """One judgment: what was shown, the revision that counts, and the first one submitted."""

    item: Item
    presentation: Presentation
    final: Revision
    first: Revision


def iter_table(session: Session, study: Study, table: str, *, external_ids: bool = False) -> Iterator[str]:
    """Yield the lines of a table of `TABLES`, items in order; the same state, the same bytes.

    The session should be one read transaction, which is one snapshot. What recruiting platforms call annotators is
    written only where `external_ids` asks for it.
    """
    rows: dict[str, Callable[[Session, Study], Iterator[dict[str, Any]]]] = {
        "preferences.csv": _preference_rows,
        "ratings.csv": _rating_rows,
        "hallucinations.jsonl": _hallucination_rows,
        "evidence.jsonl": _evidence_rows,
        "acceptability.csv": _acceptability_rows,
        "gold.csv": _gold_rows,
        "annotators.csv": partial(annotator_rows, external_ids=external_ids),
        "exclusions.csv": exclusion_rows,
        "revisions.jsonl": revision_rows,
        "leak_flags.csv": leak_flag_rows,
    }
    return write_table(table, rows[table](session, study))


def write_zip(session: Session, study: Study, path: Path, *, external_ids: bool = False) -> None:
    """Write every table into one zip at `path`; it appears whole or not at all."""
    part = path.with_name(f"{path.name}.part")
    try:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
            for table in TABLES:
                entry = zipfile.ZipInfo(table, _ZIP_TIME)
                entry.compress_type = zipfile.ZIP_DEFLATED
                with archive.open(entry, "w", force_zip64=True) as file:
                    for line in iter_table(session, study, table, external_ids=external_ids):
                        file.write(line.encode())
        part.replace(path)
    finally:
        if part.exists():
            os.unlink(part)  # noqa: PTH108  the same call on a path would hide that it is only tidying up


def _preference_rows(session: Session, study: Study) -> Iterator[dict[str, Any]]:
    names, rules = _names(session, study), excluding(session, study)
    for judged in _judgments(session, study):
        excluded_by = rules.names(judged.presentation, judged.final)
        yield _preference_row(study, names, judged) | {
            "excluded": bool(excluded_by),
            "exclusion_reason": "; ".join(excluded_by) or None,
        }


def _preference_row(study: Study, names: _Names, judged: _Judged) -> dict[str, Any]:
    shown, final = judged.presentation, judged.final
    left, right = names.arms[shown.left_arm_id], names.arms[shown.right_arm_id]
    chosen = {Preference.LEFT: left, Preference.RIGHT: right, Preference.CANNOT_JUDGE: ""}
    return {
        "study_id": study.id,
        "study_version": study.version,
        "item_id": judged.item.id,
        "presentation_id": shown.id,
        "annotator_pid": names.pids[shown.annotator_id],
        "prompt": judged.item.prompt,
        "model_left": left,
        "model_right": right,
        "response_left_sha256": names.hashes[shown.left_response_id],
        "response_right_sha256": names.hashes[shown.right_response_id],
        "side_order_key": shown.side_order_key,
        "preference_raw": _required(final.preference).value,
        "preference_model": chosen.get(_required(final.preference), "tie"),
        "strength": final.strength,
        "revision": final.number,
        "first_preference": _required(judged.first.preference).value,
        "created_at": shown.created_at,
        "submitted_at": final.created_at,
        "active_ms": final.active_ms,
        "wall_ms": final.wall_ms,
        "skipped": final.preference == Preference.CANNOT_JUDGE,
        "skip_reason": final.skip_reason,
        "flagged": final.flagged,
        "comment": final.comment,
        "recognised_model": final.recognised_model,
        "guideline_version": final.guideline_version,
        "app_version": final.app_version,
        "recognised_guess": final.recognised_guess,
    }


def _rating_rows(session: Session, study: Study) -> Iterator[dict[str, Any]]:
    names = _names(session, study)
    for judged in _judgments(session, study):
        for side, rated in judged.final.ratings.items():
            for dimension, value in rated.items():
                yield _where(names, judged, Side(side)) | {"dimension": dimension, "value": value}


def _acceptability_rows(session: Session, study: Study) -> Iterator[dict[str, Any]]:
    names = _names(session, study)
    for judged in _judgments(session, study):
        for side in Side:
            if side.value in judged.final.acceptability:
                yield _where(names, judged, side) | {"acceptable": judged.final.acceptability[side.value]}


def _gold_rows(session: Session, study: Study) -> Iterator[dict[str, Any]]:
    names = _names(session, study)
    for judged in _judgments(session, study, ItemKind.GOLD):
        shown, final = judged.presentation, judged.final
        expected = judged.item.expected
        if expected == "better":
            expected = "left" if names.arms[shown.left_arm_id] == "better" else "right"
        answered = _required(final.preference).value
        yield {
            "presentation_id": shown.id,
            "annotator_pid": names.pids[shown.annotator_id],
            "item_id": judged.item.id,
            "prompt": judged.item.prompt,
            "expected": expected,
            "preference_raw": answered,
            "right": answered == expected,
            "revision": final.number,
            "submitted_at": final.created_at,
            "active_ms": final.active_ms,
        }


def _hallucination_rows(session: Session, study: Study) -> Iterator[dict[str, Any]]:
    names = _names(session, study)
    for judged in _judgments(session, study):
        spans = session.exec(
            select(Span).where(Span.revision_id == judged.final.id).order_by(col(Span.position), col(Span.id))
        )
        for span in spans:
            shown = judged.presentation
            response_id = shown.left_response_id if span.side == Side.LEFT else shown.right_response_id
            yield _where(names, judged, span.side) | {
                "start": span.start,
                "end": span.end,
                "quote": span.quote,
                "prefix": span.prefix,
                "suffix": span.suffix,
                "type": span.type,
                "severity": span.severity.value,
                **attribution(judged_beside(session, span), none_of_these=span.no_evidence),
                "note": span.note,
                "shift": _shift(session, response_id, span),
            }


def _evidence_rows(session: Session, study: Study) -> Iterator[dict[str, Any]]:
    names = _names(session, study)
    for judged in _judgments(session, study):
        for side, columns in evidence_rows(session, judged.presentation.id, judged.final.id):
            yield _where(names, judged, side) | columns


def _shift(session: Session, response_id: str, span: Span) -> dict[str, Any] | None:
    """Tell how tuning shifted the tokens of a span; None where the response was imported or never scored."""
    query = (
        select(Response.run, Trace.reference, Trace.tokens)
        .join(Trace, col(Trace.response_id) == col(Response.id))
        .where(Response.id == response_id, col(Trace.checkpoint) == col(Response.checkpoint))
        .order_by(Trace.reference, Trace.base_prompt)
    )
    row = session.exec(query).first()
    if row is None or "text_lengths" not in row[0]:
        return None
    run, reference, tokens = row
    classes = [token.shift_class for token in unpack(tokens)]
    return {"reference": reference, **span_shift(run["text_lengths"], classes, start=span.start, end=span.end)}


def _where(names: _Names, judged: _Judged, side: Side) -> dict[str, Any]:
    shown = judged.presentation
    return {
        "presentation_id": shown.id,
        "annotator_pid": names.pids[shown.annotator_id],
        "item_id": judged.item.id,
        "side": side.value,
        "model": names.arms[shown.left_arm_id if side == Side.LEFT else shown.right_arm_id],
    }


def _required(preference: Preference | None) -> Preference:
    if preference is None:
        raise ValueError("a submitted revision without a preference, which the table forbids")
    return preference


def _names(session: Session, study: Study) -> _Names:
    arms = session.exec(select(Arm.id, Arm.name).where(Arm.study_id == study.id))
    pids = session.exec(select(Membership.user_id, Membership.pid).where(Membership.study_id == study.id))
    hashes = session.exec(
        select(Response.id, Response.text_sha256)
        .join(ItemResponse, col(ItemResponse.response_id) == col(Response.id))
        .join(Item, col(Item.id) == col(ItemResponse.item_id))
        .where(Item.study_id == study.id)
    )
    return _Names(arms=dict(arms.all()), pids=dict(pids.all()), hashes=dict(hashes.all()))


def _judgments(session: Session, study: Study, kind: ItemKind = ItemKind.REGULAR) -> Iterator[_Judged]:
    # Every study's items are listed at once, but only one item's judgments are in memory at a time.
    query = select(Item.id).where(Item.study_id == study.id, Item.kind == kind).order_by(col(Item.position))
    item_ids = session.exec(query).all()
    for item_id in item_ids:
        item = session.get_one(Item, item_id)
        for judged in _judgments_of(session, item):
            yield judged
            # A session keeps what was read together until the garbage collector comes by; an export cannot wait for it.
            for row in (judged.presentation, judged.final, judged.first):
                # The first revision may be the final one, and that is one object.
                if row in session:
                    session.expunge(row)
        session.expunge(item)


def _judgments_of(session: Session, item: Item) -> Sequence[_Judged]:
    rows = session.exec(
        select(Presentation, _FINAL, _FIRST)
        .select_from(Presentation)
        .join(_FINAL, and_(col(_FINAL.presentation_id) == Presentation.id, col(_FINAL.number) == _LAST_SUBMITTED))
        .join(_FIRST, and_(col(_FIRST.presentation_id) == Presentation.id, col(_FIRST.number) == _FIRST_SUBMITTED))
        .where(
            Presentation.item_id == item.id,
            col(Presentation.state).in_((PresentationState.SUBMITTED, PresentationState.SKIPPED)),
        )
        .order_by(col(Presentation.id))
    )
    return [_Judged(item, *row) for row in rows]
